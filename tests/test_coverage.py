"""Which queries have negatives, against counting by hand."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hardneg_fast.coverage import EDGES, counted_by_users, coverage_of_released, shown_by_users

LOGS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.tuples(st.integers(1, 30_000), st.integers(0, 6)), max_size=12
)


@given(LOGS, st.sampled_from([None, 2, 10]))
def test_equals_counting_by_hand(log, k):
    least = k or 1
    queries = pa.table(
        {"query": pa.array([*log], pa.string()), "users": pa.array([u for u, _ in log.values()], pa.int64())}
    )
    rows = [(q, f"d{i}") for q, (users, n) in log.items() if users >= least for i in range(n) for _ in range(2)]
    columns = [*zip(*rows, strict=True)] or [(), ()]
    negatives = pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(("query", "neg_id"), columns, strict=True)}
    )
    expected = []
    for place, edge in enumerate(EDGES):
        below = EDGES[place + 1] if place + 1 < len(EDGES) else None
        among = [n for users, n in log.values() if edge <= users // least and (below is None or users // least < below)]
        counts = [sum(n >= m for n in among) // least * least for m in (0, 1, 4)]
        if counts[0]:
            names = ("from", "below", "queries", "with_1", "with_4")
            expected.append(dict(zip(names, (edge * least, below and below * least, *counts), strict=True)))
    assert shown_by_users(counted_by_users(queries, negatives, k), k) == expected


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3), st.tuples(st.floats(-50, 3_000), st.integers(1, 6)), max_size=12
    ),
    st.data(),
)
def test_of_a_private_release_equals_counting_by_hand(log, data):
    """By impressions with their noise, which can be below 1; negatives of fewer documents than were released."""
    rows = [(query, seen) for query, (seen, n) in log.items() for _ in range(n)]
    negatives = {query: data.draw(st.integers(0, n)) for query, (_, n) in log.items()}
    released = pa.table(
        {
            "query": pa.array([q for q, _ in rows], pa.string()),
            "impressions": pa.array([x for _, x in rows], pa.float64()),
        }
    )
    chosen = [(query, f"d{i}") for query, n in negatives.items() for i in range(n)]
    expected = []
    for first, below in zip([None, *EDGES], [*EDGES, None], strict=True):
        among = [q for q, (x, _) in log.items() if (first is None or x >= first) and (below is None or x < below)]
        if among:
            counted = {f"with_{m}": sum(negatives[q] >= m for q in among) for m in (1, 4)}
            expected.append({"from": first, "below": below, "queries": len(among), **counted})
    table = pa.table(
        [pa.array(c, pa.string()) for c in zip(*chosen, strict=True)] or [pa.array([], pa.string())] * 2,
        ["query", "neg_id"],
    )
    assert coverage_of_released(released, table) == expected
