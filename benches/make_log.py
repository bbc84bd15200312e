"""Make the log that the workloads run on: pages of ten, Zipf-like users and queries, clicks that fall with rank.

Every random step is over users, sessions, pages or (page, rank) arrays; strings are made once per distinct value.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RANKS = 10
SHELF = 20  # documents that can be shown for a query; a page shows ten of them
CLICK_AT_RANK = 0.189 * np.arange(1, RANKS + 1) ** -0.8
ROW_GROUP = 1_000_000
START = np.datetime64("2026-01-01T00:00:00", "us").astype(np.int64)
MONTH_US = 30 * 86_400 * 1_000_000
# Above the entries of any column in a row group: beyond the limit a writer falls back to plain strings.
DICTIONARY_BYTES = 64 << 20

SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ter",
    "san",
    "vel",
    "dro",
    "pin",
    "que",
    "ras",
    "tol",
    "ben",
    "shi",
    "wor",
    "gan",
    "lex",
]


def weights(n: int, exponent: float, offset: float) -> np.ndarray:
    """Zipf-Mandelbrot probabilities of n things."""
    unnormed: np.ndarray = (np.arange(n) + offset) ** -exponent
    return np.divide(unnormed, unnormed.sum())


def draw(rng: np.random.Generator, probabilities: np.ndarray, n: int) -> np.ndarray:
    """n things by inverse transform: what rng.choice does, without its copies."""
    drawn = np.searchsorted(np.cumsum(probabilities), rng.random(n), side="right")
    return np.minimum(drawn, len(probabilities) - 1)  # the sum may end just below 1


def digests(kind: str, n: int, length: int) -> list[str]:
    """n opaque ids: hexadecimal digits that do not compress like a counter would."""
    return [kind + hashlib.blake2b(f"{kind}{i}".encode(), digest_size=16).hexdigest()[:length] for i in range(n)]


def query_texts(rng: np.random.Generator, n: int) -> list[str]:
    """n distinct queries of one to four words."""
    vocabulary = ["".join(SYLLABLES[int(d, 16)] for d in f"{i:03x}") for i in range(4096)]
    lengths = rng.choice(4, size=n, p=[0.2, 0.4, 0.25, 0.15]) + 1
    words = rng.integers(0, len(vocabulary), size=(n, 4))
    seen: dict[str, None] = {}
    for i in range(n):
        text = " ".join(vocabulary[w] for w in words[i, : lengths[i]])
        while text in seen:
            text += " " + vocabulary[int(rng.integers(len(vocabulary)))]
        seen[text] = None
    return list(seen)


def document_ids(rng: np.random.Generator, n: int) -> list[str]:
    """n distinct document ids of 14 to 19 bytes: a category and a number."""
    categories = ["".join(SYLLABLES[int(d, 16)] for d in f"{i:x}") for i in range(16, 4096, 5)]
    numbers = rng.permutation(n) + 100_000_000
    return [f"{categories[c]}-{i}" for c, i in zip(rng.integers(len(categories), size=n), numbers, strict=True)]


def shelves(rng: np.random.Generator, queries: int, documents: int) -> np.ndarray:
    """For each query SHELF distinct documents."""
    shelf = rng.integers(0, documents, size=(queries, SHELF), dtype=np.int32)
    while True:
        ordered = np.sort(shelf, axis=1)
        bad = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(bad):
            return shelf
        shelf[bad] = rng.integers(0, documents, size=(len(bad), SHELF), dtype=np.int32)


def page_queries(rng: np.random.Generator, session: np.ndarray, queries: int) -> np.ndarray:
    """A query for each page, none twice in a session."""
    probabilities = weights(queries, 0.745, 1.0)
    probabilities[0] = 0.0267  # the busiest query is busier than its Zipf line
    probabilities /= probabilities.sum()
    naming = rng.permutation(queries)
    query = draw(rng, probabilities, len(session))
    while True:
        key = session * queries + query
        order = np.argsort(key, kind="stable")
        again = order[1:][key[order][1:] == key[order][:-1]]
        if not len(again):
            return naming[query]
        query[again] = draw(rng, probabilities, len(again))


def column(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """Codes as a dictionary column that holds only the values of this row group."""
    used, indices = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), values.take(pa.array(used)))


def make_log(path: Path, rows: int, seed: int = 7) -> None:
    """Write about `rows` impressions (whole pages) to `path` as Parquet."""
    rng = np.random.default_rng(seed)
    pages = rows // RANKS
    users, queries, documents = rows // 100, rows // 50, rows * 6 // 100

    sizes = 1 + rng.poisson(1.5, size=pages)
    sessions = int(np.searchsorted(np.cumsum(sizes), pages)) + 1
    session = np.repeat(np.arange(sessions), sizes[:sessions])[:pages]
    session_start = np.sort(rng.integers(0, MONTH_US, size=sessions))
    user_of_session = rng.permutation(users)[draw(rng, weights(users, 0.6, 1.5), sessions)]
    query = page_queries(rng, session, queries)
    within = np.arange(pages) - np.searchsorted(session, session)
    page_time = START + session_start[session] + within * 60_000_000 + rng.integers(0, 50_000_000, size=pages)

    shelf = shelves(rng, queries, documents)
    # Attractiveness has mean one, so that clicks by rank are those of CLICK_AT_RANK.
    attraction = np.minimum(rng.standard_exponential((queries, SHELF)), 4.0)
    attraction /= attraction.mean()

    strings = {
        "user_id": pa.array(digests("u", users, 16)),
        "session_id": pa.array(digests("s", sessions, 16)),
        "query": pa.array(query_texts(rng, queries)),
        "doc_id": pa.array(document_ids(rng, documents)),
    }
    schema = pa.schema(
        [(name, pa.dictionary(pa.int32(), pa.string())) for name in strings]
        + [("rank", pa.int32()), ("clicked", pa.bool_()), ("dwell_ms", pa.int32()), ("timestamp", pa.timestamp("us"))]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    # Without the Arrow schema a reader sees plain string columns, as in a log that another system wrote.
    writer = pq.ParquetWriter(
        part, schema, compression="zstd", store_schema=False, dictionary_pagesize_limit=DICTIONARY_BYTES
    )
    with writer:
        for first in range(0, pages, ROW_GROUP // RANKS):
            group = slice(first, min(first + ROW_GROUP // RANKS, pages))
            n = group.stop - group.start
            # The order of the shelf, shuffled a little: the top of the shelf is shown nearly always.
            noisy = np.arange(SHELF, dtype=np.float32) + rng.standard_normal((n, SHELF), dtype=np.float32) * 5.5
            place = np.argsort(noisy, axis=1)[:, :RANKS]
            shown_for = query[group][:, None]
            clicked = rng.random((n, RANKS)) < CLICK_AT_RANK * attraction[shown_for, place]
            dwell = np.where(clicked, rng.lognormal(9.6, 1.3, size=(n, RANKS)).clip(100, 3_600_000), 0).astype(np.int32)
            codes = {
                "user_id": np.repeat(user_of_session[session[group]], RANKS),
                "session_id": np.repeat(session[group], RANKS),
                "query": np.repeat(query[group], RANKS),
                "doc_id": shelf[shown_for, place].ravel(),
            }
            arrays = [column(codes[name], strings[name]) for name in strings]
            arrays += [
                pa.array(np.tile(np.arange(1, RANKS + 1, dtype=np.int32), n)),
                pa.array(clicked.ravel()),
                pa.array(dwell.ravel()),
                pa.array(np.repeat(page_time[group], RANKS), type=pa.timestamp("us")),
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema), row_group_size=ROW_GROUP)
    part.rename(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    make_log(args.path, args.rows, args.seed)


if __name__ == "__main__":
    main()
