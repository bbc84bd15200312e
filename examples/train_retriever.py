"""From a click log to a retriever, on a CPU, in a minute: what mined negatives add.

A text is the sum of its words' vectors. They are trained on the same pairs of query and positive, from the same start,
with the other documents of each batch as negatives: the positives of other queries, and, beside these, a document a row
that is random, that was shown for its query and not clicked, or that was mined. What is measured is nDCG@10 over the
whole catalogue, of queries whose words were in no training together.

    pip install scipy
    python examples/train_retriever.py
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

import hardneg_fast as hn

DIMENSIONS, BATCH, STEPS, RATE, TEMPERATURE = 64, 128, 150, 0.02, 0.05
FILLERS = {"best", "for", "reviews"}


def words(text: str) -> list[str]:
    """Its words, in lower case."""
    return re.findall(r"\w+", text.lower())


def meaning(query: str) -> str:
    """What a simulated query asks for, whatever the order of its words: the unit of the split and of the interval."""
    return " ".join(sorted({*words(query)} - FILLERS))


class Bags:
    """Texts as rows of a sparse matrix: a column a word, weighted by its rarity in the catalogue."""

    def __init__(self, catalogue: list[str]) -> None:
        found = sorted({word for text in catalogue for word in words(text)})
        self.column = {word: i for i, word in enumerate(found)}
        self.rarity = np.ones(len(found), np.float32)
        holding = np.bincount(self.of(catalogue).indices, minlength=len(found))
        self.rarity = np.log1p(len(catalogue) / np.maximum(holding, 1)).astype(np.float32)

    def of(self, texts: list[str]) -> sp.csr_array:
        """A row a text; words that the catalogue does not have are left out."""
        rows = [sorted({self.column[word] for word in words(text) if word in self.column}) for text in texts]
        ends = np.cumsum([0, *map(len, rows)])
        columns = np.array([column for row in rows for column in row], dtype=np.int64)
        return sp.csr_array((self.rarity[columns], columns, ends), shape=(len(texts), len(self.rarity)))


def unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length 1, and the lengths that they had."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows / lengths, lengths


def start(bags: Bags) -> np.ndarray:
    """A vector a word, at random: nearly at right angles, so that texts are alike where they share rare words."""
    return np.random.default_rng(0).standard_normal((len(bags.rarity), DIMENSIONS), dtype=np.float32)


def train(bags: Bags, rows: pa.Table, negatives: list[str]) -> np.ndarray:
    """Word vectors after training on `query`, `positive` and these columns of mined negatives.

    The loss is the softmax of each positive against all other documents of the batch (van den Oord et al. 2018), the
    optimiser Adam (Kingma & Ba 2015).
    """
    asked, *held = (bags.of(rows[name].to_pylist()) for name in ("query", "positive", *negatives))
    query = np.unique(rows["query"].to_pylist(), return_inverse=True)[1]
    vectors, draw = start(bags), np.random.default_rng(0)
    first, second = np.zeros_like(vectors), np.zeros_like(vectors)
    for step in range(1, STEPS + 1):
        batch = draw.choice(rows.num_rows, BATCH, replace=False)
        # Another document of the same query is left out unless it is this row's own.
        same = (query[batch, None] == query[batch]) & ~np.eye(BATCH, dtype=bool)
        gradient = slope(asked[batch], sp.vstack([of[batch] for of in held]), vectors, np.tile(same, len(held)))
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        vectors -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return vectors


def slope(asked: sp.csr_array, held: sp.csr_array, vectors: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Gradient of the mean loss by the vectors; document i of `held` is the positive of row i of `asked`."""
    (seek, asked_length), (find, held_length) = unit(asked @ vectors), unit(held @ vectors)
    logits = np.where(left_out, -np.inf, seek @ find.T / TEMPERATURE)
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    share[np.arange(len(share)), np.arange(len(share))] -= 1
    share /= len(share) * TEMPERATURE
    to_seek, to_find = share @ find, share.T @ seek
    to_seek = (to_seek - seek * (to_seek * seek).sum(axis=1, keepdims=True)) / asked_length
    to_find = (to_find - find * (to_find * find).sum(axis=1, keepdims=True)) / held_length
    return (asked.T @ to_seek + held.T @ to_find).astype(np.float32)


def ndcg(
    vectors: np.ndarray, asked: sp.csr_array, held: sp.csr_array, names: np.ndarray, truth: dict[str, dict[str, float]]
) -> np.ndarray:
    """nDCG@10 of each query of `truth`, whose bags are `asked`, over all documents, whose are `held`."""
    queries, seek, find = [*truth], unit(asked @ vectors)[0], unit(held @ vectors)[0]
    discount, found = 1 / np.log2(np.arange(2, 12)), np.zeros(len(queries))
    for at in range(0, len(queries), 256):
        score = seek[at : at + 256] @ find.T
        top = np.argpartition(-score, 10, axis=1)[:, :10]
        order = np.argsort(-np.take_along_axis(score, top, 1), axis=1, kind="stable")
        for i, ranked in enumerate(np.take_along_axis(top, order, 1), at):
            known = truth[queries[i]]
            ideal = np.sort([*known.values()])[::-1][:10]
            found[i] = [known.get(name, 0.0) for name in names[ranked]] @ discount / (ideal @ discount[: len(ideal)])
    return found


def interval(values: np.ndarray, groups: list[str]) -> tuple[float, float, float]:
    """Mean, and its 95 % bootstrap interval, drawing groups."""
    _, at = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(at, values), np.bincount(at)
    drawn = np.random.default_rng(0).integers(0, len(sums), (2_000, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def unclicked(log: Path, texts: dict[str, str], rows: pa.Table) -> list[str | None]:
    """For each row any document that was shown for its query and that nobody clicked: what the log says by itself."""
    pairs = pa.table(hn.count(log).pairs).select(["query", "doc_id", "clicks"]).sort_by("doc_id")
    shown: dict[str, list[str]] = {}
    for query, document, clicks in zip(*(column.to_pylist() for column in pairs.columns), strict=True):
        if clicks == 0:
            shown.setdefault(query, []).append(texts[document])
    draw = np.random.default_rng(0)
    return [draw.choice(shown[query]) if query in shown else None for query in rows["query"].to_pylist()]


def main() -> None:
    """Simulates, mines, trains, measures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--impressions", type=int, default=300_000, help="size of the simulated log [300000]")
    parser.add_argument("--seed", type=int, default=7, help="of the simulated log [7]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        hn.simulate(at / "sim", impressions=args.impressions, seed=args.seed)
        log, documents = at / "sim" / "log.parquet", at / "sim" / "documents.parquet"
        hn.mine(log, at / "mined", privacy=hn.Privacy.k_users(5), documents=documents)
        rows = pq.read_table(at / "mined" / "triplets").rename_columns({"negative_1": "mined"})
        catalogue, known = pq.read_table(documents), pq.read_table(at / "sim" / "truth.parquet")
        texts = dict(zip(catalogue["doc_id"].to_pylist(), catalogue["text"].to_pylist(), strict=True))
        rows = rows.append_column("unclicked", pa.array(unclicked(log, texts, rows)))
    rows = rows.append_column("random", pa.array(np.random.default_rng(1).choice([*texts.values()], rows.num_rows)))
    truth: dict[str, dict[str, float]] = {}
    for query, document, relevance in zip(*(column.to_pylist() for column in known.columns), strict=True):
        truth.setdefault(query, {})[document] = relevance
    meanings = sorted({meaning(query) for query in truth})
    held_out = {m for m, x in zip(meanings, np.random.default_rng(0).random(len(meanings)), strict=True) if x < 1 / 5}
    tested = {query: of for query, of in truth.items() if meaning(query) in held_out and max(of.values()) > 0}
    rows = rows.filter([meaning(query) not in held_out for query in rows["query"].to_pylist()]).drop_null()
    print(f"{rows.num_rows:,} rows to train on, {len(tested):,} queries held out; nDCG@10 with 95 % intervals:")

    bags, groups = Bags([*texts.values()]), [meaning(query) for query in tested]
    judged = bags.of([*tested]), bags.of([*texts.values()]), np.array([*texts]), tested
    scores = {"not trained": ndcg(start(bags), *judged)}
    scores["in-batch"] = ndcg(train(bags, rows, []), *judged)
    for name in ("random", "unclicked", "mined"):
        scores[f"in-batch, {name}"] = ndcg(train(bags, rows, [name]), *judged)
    for name, of in scores.items():
        print("  {:<20} {:.3f} [{:.3f}, {:.3f}]".format(name, *interval(of, groups)))
    for other in ("in-batch", "in-batch, random", "in-batch, unclicked"):
        difference = scores["in-batch, mined"] - scores[other]
        what = f"mined less {other.removeprefix('in-batch, ')}"
        print("  {:<20} {:+.3f} [{:+.3f}, {:+.3f}]".format(what, *interval(difference, groups)))


if __name__ == "__main__":
    main()
