"""export: what `mine` wrote, in the formats of other libraries. Reads the dataset directory, never a log."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from .exceptions import DataError, FileError, UsageError, told
from .parquet import ParquetFile
from .plain import plain_table
from .targets import TARGETS, Job, MinedDirectory, Target
from .targets.features import Features
from .targets.job import Scores
from .writers.atomic import whole_directory
from .writers.given import given_table, of_object
from .writers.parquet import digest_of
from .writers.privacy_words import statement

__all__ = ["export"]


def export(
    dataset: Path | str,
    out: Path | str,
    *,
    to: str,
    documents: object = None,
    features: object = None,
    num_negatives: int | None = None,
    scores: bool | Literal["relevance", "model"] = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a dataset directory in another library's format; the new directory appears whole or not at all.

    Args:
        dataset: the directory that `mine` wrote.
        out: directory to write.
        to: the format: a name of `hardneg_fast.targets.TARGETS` (docs/TARGETS.md).
        documents: table or Parquet file with doc_id and text, for formats with texts; those of the dataset otherwise.
        features: table or Parquet file with doc_id, maybe query_id or query, and a column of numbers for each feature,
            for formats with features.
        num_negatives: negatives in each row, for formats with rows of one length (1 otherwise).
        scores: say for each document how relevant it is, where the format can. True, or `relevance`: of negatives their
            chance to be relevant after all (p_false_negative), and 1 of positives; `model`: what the model says that
            the dataset was mined with (its column `score`), for distillation. What it did not score is left out.
        overwrite: replace an export to the same format that stands at `out`.

    Returns:
        `rows`: file → rows; `left_out`: reason → what was left out: queries without a positive or a negative that can
        be written, documents without text or features, rows with too few negatives.

    Raises:
        UsageError: no such format, an option that it does not take, or one that it needs.
        DataError: no dataset directory; document ids that the format cannot hold.
        ColumnError: documents or features without the columns they need.
        FileError: something cannot be read or written.
    """
    target = _target(to)
    source, final = Path(dataset), Path(out)
    said: Scores = "relevance" if scores is True else scores or ""
    _check(target, num_negatives, scores=said, features=features is not None)
    if source.resolve() in (final.resolve(), *final.resolve().parents):
        raise UsageError("the export would stand inside the dataset; give a directory beside it")
    mined = MinedDirectory(source)
    if said == "model" and any("score" not in mined.tables[name].column_names for name in ("negatives", "positives")):
        raise UsageError(
            "the dataset has no scores of a model; mine it with scores, vectors or a scorer, or export with scores "
            "relevance"
        )
    held = mined.tables["documents"]
    given = (
        given_table(documents, "documents", ["doc_id", "text"])
        if documents is not None
        else held
        if "text" in held.column_names
        else None
    )
    with whole_directory(final, replaceable=(*target.files, "README.md") if overwrite else ()) as partial:
        job = Job(
            source=mined,
            out=partial,
            target=target,
            documents=given,
            features=None if features is None else Features(plain_table(_table(features))),
            num_negatives=num_negatives or 1,
            scores=said,
        )
        target.write(job)
        (partial / "README.md").write_text(_readme(target, job), encoding="utf-8")
    return {"rows": job.rows, "left_out": {reason: n for reason, n in job.left_out.items() if n}}


def _target(name: str) -> Target:
    if name in TARGETS:
        return TARGETS[name]
    close = difflib.get_close_matches(name, TARGETS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(TARGETS)}"
    raise UsageError(f"no format is called {name[:40]!r}; {hint}")


def _check(target: Target, num_negatives: int | None, *, scores: str, features: bool) -> None:
    if num_negatives is not None and not target.width:
        raise UsageError(f"{target.name} has no rows of one length; leave out num_negatives")
    if num_negatives is not None and not 1 <= num_negatives <= 1_000:
        raise UsageError(f"num_negatives is {num_negatives}; 1 to 1,000")
    if scores not in get_args(Scores):
        raise UsageError(f"scores is {scores!r}; choose one of relevance, model")
    if scores and not target.scores:
        raise UsageError(f"{target.name} holds no scores; leave them out")
    if features and not target.features:
        raise UsageError(f"{target.name} holds no features; leave them out")


def _table(features: object) -> pa.Table:
    if isinstance(features, str | Path):
        name = Path(features).name
        try:
            return ParquetFile(features).read()
        except FileNotFoundError:
            raise FileError(f"features {name!r}: no such file") from None
        except (pa.ArrowException, OSError, DataError) as error:
            raise FileError(f"features {name!r} cannot be read ({told(error)}); give a Parquet file") from None
    return of_object(features, "features must be a Parquet file or a table")


def _readme(target: Target, job: Job) -> str:
    """What this is, how it is opened, and how far it is private. Constants and counts: no word of the data."""
    headline, paragraphs = statement(job.source.privacy, job.source.report.get("release", {}))
    head = ["---", "configs:"]
    digest = digest_of(job.out) if target.configs else ""
    for config in target.configs:
        head += [f"- config_name: {config}", f'  description: "{digest}"']
        head += ["  data_files:", "  - split: train", f"    path: {config}/train.parquet"]
    parts = [
        *(["\n".join([*head, "---"])] if target.configs else []),
        "# Hard negatives from click logs",
        f"{target.about}.",
        f"```{target.language}\n{target.load}\n```",
        "\n".join(f"- `{name}`: {rows:,} rows" for name, rows in job.rows.items()),
        "## Privacy",
        f"**{headline}.**",
        *paragraphs,
    ]
    return "\n\n".join(parts) + "\n"
