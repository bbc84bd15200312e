"""Make the log that the workloads run on: pages of ten, Zipf-like users and queries, clicks that fall with rank.

Written one row group at a time, each from a generator of its own. What is held for all of them is the vocabulary: a
user for every hundred rows, a query for fifty, six documents for a hundred, and the shelf of each query. That is 0.7 GB
for 50M rows, 1.6 GB for 200M.
"""

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

RANKS = 10
SHELF = 20  # documents that can be shown for a query; a page shows ten of them
CLICK_AT_RANK = 0.189 * np.arange(1, RANKS + 1) ** -0.8
ROW_GROUP = 1_000_000
PAGES = ROW_GROUP // RANKS  # in a row group; its last session is cut there
CHUNK = 250_000  # things of the vocabulary that are made at a time
START = np.datetime64("2026-01-01T00:00:00", "us").astype(np.int64)
MONTH_US = 30 * 86_400 * 1_000_000
# Above the entries of any column in a row group: beyond the limit a writer falls back to plain strings.
DICTIONARY_BYTES = 64 << 20
MOST_ATTRACTIVE = 4.0

# None begins another, so different words are different strings.
SYLLABLES = [
    *("ka", "lo", "mi", "ter", "san", "vel", "dro", "pin"),
    *("que", "ras", "tol", "ben", "shi", "wor", "gan", "lex"),
]
MOST_WORDS = 5


@dataclass(frozen=True)
class Vocabulary:
    """What rows are made of."""

    users: pa.Array
    queries: pa.Array
    documents: pa.Array
    user_shares: np.ndarray
    """Cumulated probability; user `user_naming[i]` has the i-th."""
    user_naming: np.ndarray
    query_shares: np.ndarray
    query_naming: np.ndarray
    shelf: np.ndarray
    """The documents of each query."""
    attraction: np.ndarray
    """Of each place of each shelf; its mean is one, so that clicks by rank are those of CLICK_AT_RANK."""


def shares(n: int, exponent: float, offset: float) -> np.ndarray:
    """Zipf-Mandelbrot probabilities of n things."""
    unnormed: np.ndarray = (np.arange(n) + offset) ** -exponent
    return np.divide(unnormed, unnormed.sum())


def draw(rng: np.random.Generator, cumulated: np.ndarray, n: int) -> np.ndarray:
    """n things by inverse transform: what rng.choice does, without its copies."""
    drawn = np.searchsorted(cumulated, rng.random(n), side="right")
    return np.minimum(drawn, len(cumulated) - 1)  # the sum may end just below 1


def chunks(n: int) -> Iterator[slice]:
    """0..n in pieces."""
    return (slice(first, min(first + CHUNK, n)) for first in range(0, n, CHUNK))


def digests(kind: str, first: int, n: int, length: int = 16) -> pa.Array:
    """n opaque ids: hexadecimal digits that do not compress like a counter would."""
    numbers = range(first, first + n)
    return pa.array([kind + hashlib.blake2b(f"{kind}{i}".encode()).hexdigest()[:length] for i in numbers])


def syllables(digits: int) -> pa.Array:
    """Each number of that many hexadecimal digits as a word."""
    return pa.array(["".join(SYLLABLES[int(d, 16)] for d in f"{i:0{digits}x}") for i in range(16**digits)])


def query_texts(rng: np.random.Generator, n: int) -> pa.Array:
    """n distinct queries, most of one to four words."""
    words = syllables(3)
    lengths = rng.choice(4, size=n, p=[0.2, 0.4, 0.25, 0.15]) + 1
    # A query is a number in base 4097, a word a digit, 0 for none.
    text = np.zeros(n, dtype=np.int64)
    for place in range(4):
        text += np.where(place < lengths, rng.integers(1, len(words) + 1, size=n), 0) * (len(words) + 1) ** place
    while True:
        order = np.argsort(text, kind="stable")
        again = order[1:][text[order][1:] == text[order][:-1]]
        if not len(again):
            break
        # A query that exists gets a word more, as a user would narrow it.
        if lengths[again].max() == MOST_WORDS:
            raise ValueError("more queries than there are texts")
        text[again] += rng.integers(1, len(words) + 1, size=len(again)) * (len(words) + 1) ** lengths[again]
        lengths[again] += 1
    pieces = []
    for chunk in chunks(n):
        digits = [text[chunk] // (len(words) + 1) ** place % (len(words) + 1) for place in range(MOST_WORDS)]
        taken = [words.take(pa.array(d - 1, mask=d == 0)) for d in digits]
        pieces.append(pc.binary_join_element_wise(*taken, " ", null_handling="skip"))
    return pa.concat_arrays(pieces)


def document_ids(rng: np.random.Generator, n: int) -> pa.Array:
    """n distinct document ids of 14 to 19 bytes: a category and a number."""
    categories = syllables(3).take(pa.array(range(16, 4096, 5)))
    numbers = rng.permutation(n) + 100_000_000
    pieces = []
    for chunk in chunks(n):
        category = categories.take(pa.array(rng.integers(len(categories), size=chunk.stop - chunk.start)))
        pieces.append(pc.binary_join_element_wise(category, pa.array(numbers[chunk]).cast(pa.string()), "-"))
    return pa.concat_arrays(pieces)


def shelf_of(rng: np.random.Generator, queries: int, documents: int) -> np.ndarray:
    """SHELF distinct documents for each query."""
    shelf = rng.integers(0, documents, size=(queries, SHELF), dtype=np.int32)
    while True:
        ordered = np.sort(shelf, axis=1)
        bad = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(bad):
            return shelf
        shelf[bad] = rng.integers(0, documents, size=(len(bad), SHELF), dtype=np.int32)


def vocabulary(rng: np.random.Generator, rows: int) -> Vocabulary:
    """The vocabulary of a log of that many rows."""
    users, queries, documents = rows // 100, rows // 50, rows * 6 // 100
    query_shares = shares(queries, 0.745, 1.0)
    query_shares[0] = 0.0267  # the busiest query is busier than its Zipf line
    shelf = np.empty((queries, SHELF), dtype=np.int32)
    attraction = np.empty((queries, SHELF), dtype=np.float32)
    for chunk in chunks(queries):
        n = chunk.stop - chunk.start
        shelf[chunk] = shelf_of(rng, n, documents)
        attraction[chunk] = np.minimum(rng.standard_exponential((n, SHELF), dtype=np.float32), MOST_ATTRACTIVE)
    attraction /= 1 - np.exp(-MOST_ATTRACTIVE)
    return Vocabulary(
        users=pa.concat_arrays([digests("u", chunk.start, chunk.stop - chunk.start) for chunk in chunks(users)]),
        queries=query_texts(rng, queries),
        documents=document_ids(rng, documents),
        user_shares=np.cumsum(shares(users, 0.6, 1.5)),
        user_naming=rng.permutation(users),
        query_shares=np.cumsum(query_shares / query_shares.sum()),
        query_naming=rng.permutation(queries),
        shelf=shelf,
        attraction=attraction,
    )


def page_queries(rng: np.random.Generator, session: np.ndarray, words: Vocabulary) -> np.ndarray:
    """A query for each page, none twice in a session."""
    query = draw(rng, words.query_shares, len(session))
    while True:
        key = session * len(words.query_naming) + query
        order = np.argsort(key, kind="stable")
        again = order[1:][key[order][1:] == key[order][:-1]]
        if not len(again):
            return words.query_naming[query]
        query[again] = draw(rng, words.query_shares, len(again))


def column(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """Codes as a dictionary column that holds only the values of this row group."""
    used, indices = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), values.take(pa.array(used)))


SCHEMA = pa.schema(
    [(name, pa.dictionary(pa.int32(), pa.string())) for name in ("user_id", "session_id", "query", "doc_id")]
    + [("rank", pa.int32()), ("clicked", pa.bool_()), ("dwell_ms", pa.int32()), ("timestamp", pa.timestamp("us"))]
)


def row_group(
    rng: np.random.Generator, words: Vocabulary, pages: int, span: tuple[float, float], first_session: int
) -> tuple[pa.RecordBatch, int]:
    """That many pages, shown in that part of the month, and how many sessions they make."""
    sizes = 1 + rng.poisson(1.5, size=pages)
    sessions = int(np.searchsorted(np.cumsum(sizes), pages)) + 1
    session = np.repeat(np.arange(sessions), sizes[:sessions])[:pages]
    session_start = np.sort(rng.integers(int(span[0] * MONTH_US), int(span[1] * MONTH_US), size=sessions))
    user = words.user_naming[draw(rng, words.user_shares, sessions)][session]
    query = page_queries(rng, session, words)
    within = np.arange(pages) - np.searchsorted(session, session)
    time = START + session_start[session] + within * 60_000_000 + rng.integers(0, 50_000_000, size=pages)
    # The order of the shelf, shuffled a little: the top of the shelf is shown nearly always.
    noisy = np.arange(SHELF, dtype=np.float32) + rng.standard_normal((pages, SHELF), dtype=np.float32) * 5.5
    place = np.argsort(noisy, axis=1)[:, :RANKS]
    shown_for = query[:, None]
    clicked = rng.random((pages, RANKS)) < CLICK_AT_RANK * words.attraction[shown_for, place]
    dwell = np.where(clicked, rng.lognormal(9.6, 1.3, size=(pages, RANKS)).clip(100, 3_600_000), 0)
    arrays = [
        column(np.repeat(user, RANKS), words.users),
        column(np.repeat(session, RANKS), digests("s", first_session, sessions)),
        column(np.repeat(query, RANKS), words.queries),
        column(words.shelf[shown_for, place].ravel(), words.documents),
        pa.array(np.tile(np.arange(1, RANKS + 1, dtype=np.int32), pages)),
        pa.array(clicked.ravel()),
        pa.array(dwell.ravel().astype(np.int32)),
        pa.array(np.repeat(time, RANKS), type=pa.timestamp("us")),
    ]
    return pa.record_batch(arrays, schema=SCHEMA), sessions


def make_log(path: Path, rows: int, seed: int = 7) -> None:
    """Write `rows` impressions, to a whole page, to `path` as Parquet."""
    pages = rows // RANKS
    words = vocabulary(np.random.default_rng(seed), rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    # Without the Arrow schema a reader sees plain string columns, as in a log that another system wrote.
    writer = pq.ParquetWriter(
        part, SCHEMA, compression="zstd", store_schema=False, dictionary_pagesize_limit=DICTIONARY_BYTES
    )
    sessions = 0
    with writer:
        for number, first in enumerate(range(0, pages, PAGES)):
            n = min(PAGES, pages - first)
            span = (first / pages, (first + n) / pages)
            batch, made = row_group(np.random.default_rng([seed, number]), words, n, span, sessions)
            writer.write_batch(batch, row_group_size=ROW_GROUP)
            sessions += made
    part.rename(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    make_log(args.path, args.rows, args.seed)


if __name__ == "__main__":
    main()
