"""`hardneg-fast export`: its options and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import cli_shared as shared

FORMATS = (
    "st-triplet", "st-ntuple", "st-pairs", "st-list", "st-ids", "flag", "tevatron", "pylate", "msmarco", "lightgbm",
    "xgboost", "letor", "qrels", "opensearch", "colbert", "beir", "torcheasyrec", "croissant",
)  # fmt: skip
"""Names for the help: to import the formats takes Arrow, half a second."""


def _export(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    command.add_argument("dataset", type=Path, metavar="OUT", help="dataset directory that mine wrote")
    command.add_argument("--to", required=True, metavar="FORMAT", help=f"one of {', '.join(FORMATS)}")
    command.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="directory to write")
    text = "Parquet with doc_id, text, for formats with texts; those of the dataset otherwise"
    command.add_argument("--documents", type=Path, metavar="FILE", help=text)
    text = "Parquet with doc_id, maybe query, and a column of numbers for each feature, for rankers"
    command.add_argument("--features", type=Path, metavar="FILE", help=text)
    text = "negatives in each row, for st-ntuple, pylate and colbert [1]"
    command.add_argument("--num-negatives", type=int, metavar="N", help=text)
    text = (
        "say how relevant documents are, where the format can: relevance, the chance of negatives to be relevant after "
        "all, or model, what the model says that the dataset was mined with [none: 0 and 1]"
    )
    command.add_argument("--scores", choices=("relevance", "model"), help=text)
    command.add_argument("--overwrite", action="store_true", help="replace an export that stands at DIR")
    shared.format_option(command)


def run_export(args: argparse.Namespace) -> None:
    """Exports, and says what was written and left out."""
    from .export import export

    done = export(
        args.dataset,
        args.out,
        to=args.to,
        documents=args.documents,
        features=args.features,
        num_negatives=args.num_negatives,
        scores=args.scores or False,
        overwrite=args.overwrite,
    )
    if shared.as_json(args, done | {"out": args.out}):
        return
    print(f"-> {args.out} (README.md says how it is opened)")
    for name, rows in done["rows"].items():
        print(f"  {name}: {rows:,} rows")
    for reason, n in done["left_out"].items():
        print(f"  left out: {reason} {n:,}")


EXPORT = shared.Command(
    name="export",
    about="write a dataset in the format of another library: trainers, rankers, evaluation, search engines",
    examples=(
        "hardneg-fast export negatives --to flag -o for-flag",
        "hardneg-fast export negatives --to st-ntuple --num-negatives 4 -o for-st",
        "hardneg-fast export negatives --to lightgbm --features features.parquet -o for-lightgbm",
    ),
    options=_export,
    run=run_export,
)
