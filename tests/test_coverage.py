"""Which queries have negatives, against counting by hand."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hardneg_fast.coverage import EDGES, coverage

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
    assert coverage(queries, negatives, k) == expected
