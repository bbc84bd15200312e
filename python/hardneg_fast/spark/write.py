"""A dataset directory that Spark writes: each task the tables of its parts, the driver the figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ..exceptions import FileError
from ..write import completed, pages
from ..writers.dataset import Written as Counted
from ..writers.hardness import hardness_of, places_in_sample, words_of
from ..writers.parquet import in_letters
from ..writers.stable_json import to_json
from ..writers.texts import Texts, check_some
from .parts import Chosen
from .sealing import sealed_table, table_of
from .storage import Stage, Storage
from .tasks import TRAVEL
from .writing import Opened, OpenedDocuments, Ranges, Wanted, negatives, positives, queries, training

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Written", "write", "written_here"]

pc: Any = pyarrow.compute

TYPES = {
    "string": "string",
    "bool": "boolean",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
}
"""Arrow's types of our tables → Spark's."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A dataset directory, as `hardneg_fast.mine` writes it: the same rows, in Parquet files of Spark's."""

    path: str
    """Where it stands."""
    report: dict[str, Any] = field(repr=False)
    """As in its `report.json`."""
    privacy: dict[str, Any] = field(repr=False)
    """As in its `privacy.json`."""
    _session: Any = field(repr=False)

    def table(self, name: str) -> DataFrame:
        """`negatives`, `positives`, `queries`, `documents` or `triplets` (without those held out), read by Spark."""
        found: DataFrame = self._session.read.parquet(f"{self.path}/{name}/train-*.parquet")
        return found


def write(
    chosen: Chosen,
    storage: Storage,
    *,
    report: dict[str, Any],
    privacy: dict[str, Any],
    documents: pa.Table | None,
    overwrite: bool,
) -> Written:
    """Has Spark write what was selected. Nothing is shuffled but sealed blocks.

    Args:
        chosen: what was selected.
        storage: where.
        report: figures of the run.
        privacy: what was protected and how.
        documents: doc_id, text.
        overwrite: replace the dataset that stands there.

    Raises:
        UsageError: something stands there and is not to be replaced.
        DataError: `documents` are others than were mined.
        FileError: it cannot be written, or the driver does not see what tasks wrote.
    """
    session = chosen.frame.sparkSession
    with storage.whole(overwrite=overwrite) as stage:
        job = _Job(chosen, stage, documents)
        counted = job.run()
        report = completed(report, counted, job.texts, by_position=[], hardness=job.hardness(privacy.get("k")))
        counted.digest = in_letters(hashlib.sha256(to_json({"sums": job.sums, "config": report["config"]})))
        said = pages(report, privacy, counted)
        for name, content in said.items():
            stage.write(name, content)
    plain = {name: json.loads(said[f"{name}.json"]) for name in ("report", "privacy")}
    return Written(path=storage.uri, **plain, _session=session)


def written_here(path: Path, session: Any) -> Written:
    """What the driver wrote itself."""
    report, privacy = (json.loads((path / f"{name}.json").read_text("utf-8")) for name in ("report", "privacy"))
    return Written(path=path.absolute().as_uri(), report=report, privacy=privacy, _session=session)


class _Job:
    """One directory."""

    def __init__(self, chosen: Chosen, stage: Stage, documents: pa.Table | None) -> None:
        self._chosen, self._stage, self._documents = chosen, stage, documents
        self._key, self._work, self._figures = chosen.parts.key, chosen.work, chosen.figures
        self._rows = {name: sum(part[name] for part in self._figures.rows) for name in self._figures.rows[0]}
        self.texts: Texts | None = None
        self.sums: dict[str, str] = {}
        """Folder → the sum of its rows' hashes, whatever their order: that follows from the rows and the options. The
        bytes are with the tasks, and few file systems know a sum of them."""
        self._sample: pa.Table | None = None

    def hardness(self, k: int | None) -> dict[str, Any]:
        """As `writers.hardness.hardness`."""
        words = None if self._sample is None else words_of(self._sample, self.texts)
        return hardness_of(self._figures.measures["places"], k, words)

    def run(self) -> Counted:
        """Writes all tables."""
        frame, counted = self._chosen.frame, Counted()
        schemas = {
            name: pa.schema([(column, pa.type_for_alias(kind)) for column, kind in columns])
            for name, columns in self._figures.columns.items()
        }
        if self._work.config.select.curriculum == "on":
            schemas["negatives"] = schemas["negatives"].append(pa.field("curriculum", pa.float64()))
        schemas["documents"] = pa.schema([("doc_id", pa.string())])
        if self._documents is None:
            rows, documents = frame.select("label", "negatives", "triplets"), self._ranges(frame)
        else:
            rows, documents = self._with_texts(frame, self._documents)
            schemas["documents"] = schemas["documents"].append(pa.field("text", pa.string()))
            schemas["triplets"] = pa.schema([(name, pa.string()) for name in schemas["triplets"].names])
            counted.documents_without_text = self._without_text
        steps = None
        if self._work.config.select.curriculum == "on":
            steps = sealed_table(self._chosen.steps(), (0, self._work.parts), self._key)
        key = self._work.key
        folders: dict[str, tuple[DataFrame, Opened | OpenedDocuments]] = {
            "triplets": (rows, Opened(key, training, schemas["triplets"], held_out=False)),
            "negatives": (frame.select("label", "negatives"), Opened(key, negatives, schemas["negatives"], steps)),
            "positives": (
                frame.select("label", "queries", "positives"),
                Opened(key, positives, schemas["positives"]),
            ),
            "queries": (frame.select("label", "queries"), Opened(key, queries, schemas["queries"])),
            "documents": (documents, OpenedDocuments(key, schemas["documents"])),
        }
        if self._work.config.select.validation > 0:
            folders["validation"] = (rows, Opened(key, training, schemas["triplets"], held_out=True))
        for name, (df, opened) in folders.items():
            made = df.mapInArrow(opened, _ddl(opened.schema))
            made.write.option("compression", "zstd").parquet(self._stage.folder(name))
        found = self._found({name: opened.schema for name, (_, opened) in folders.items()})
        self._settle(found)
        counted.schemas = schemas
        counted.held_out = found.pop("validation", 0)
        counted.rows = {**found, "triplets": found["triplets"] + counted.held_out}
        if self._documents is not None:
            counted.without_text = self._rows["triplets"] - counted.rows["triplets"]
        return counted

    def _found(self, schemas: Mapping[str, pa.Schema]) -> dict[str, int]:
        """Rows of each folder, as whoever reads it next finds them.

        Raises:
            FileError: they are not all there.
        """
        from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

        session = self._chosen.frame.sparkSession
        each = [
            session.read.schema(_ddl(schema))
            .parquet(self._stage.folder(name))
            .select(F.lit(name).alias("name"), F.xxhash64("*").cast("decimal(38,0)").alias("hash"))
            for name, schema in schemas.items()
        ]
        rows = reduce(lambda one, other: one.union(other), each).groupBy("name")
        told = rows.agg(F.count("hash"), F.sum("hash")).collect()
        found = dict.fromkeys(schemas, 0) | {name: n for name, n, _ in told}
        self.sums = {name: str(total) for name, _, total in told}
        expected = {name: n for name, n in self._rows.items() if name in found}
        if self._documents is None:
            expected["triplets"] -= found.get("validation", 0)
        else:
            del expected["triplets"]
        for name, n in expected.items():
            if found[name] != n:
                raise FileError(
                    f"of {n:,} rows of {name} the driver finds {found[name]:,} where tasks wrote them: give a place "
                    "for `out` that all machines share"
                )
        return found

    def _settle(self, found: Mapping[str, int]) -> None:
        for name, n in found.items():
            if name != "validation":
                self._stage.settle(name, "train", name, self._work.parts)
            elif n:
                self._stage.settle(name, "validation", "triplets", self._work.parts)
            else:
                self._stage.remove(name)

    def _ranges(self, frame: DataFrame) -> DataFrame:
        """Documents that appear, each once, in ranges of their bytes: partition after partition they ascend."""
        parts, some = self._work.parts, self._figures.documents
        ends = [some[len(some) * i // parts] for i in range(1, parts)] if some else []
        table = pa.table({"doc_id": pa.array(ends, pa.string())})
        ranges = Ranges(self._work.key, self._work.labels, sealed_table(table, (0, parts), self._key))
        tables = frame.select("label", "negatives", "queries", "positives", "triplets")
        return tables.mapInArrow(ranges, TRAVEL).repartition(parts, "label")

    def _with_texts(self, frame: DataFrame, given: pa.Table) -> tuple[DataFrame, DataFrame]:
        """Training rows beside the texts of their documents, and documents with texts; the driver has the texts."""
        from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

        key, parts, labels, session = self._key, self._work.parts, self._work.labels, frame.sparkSession
        wanted = frame.select("part", "label", "negatives", "queries", "positives", "triplets").mapInArrow(
            Wanted(self._work.key, parts, self._sampled()), "part int, ids binary, sample binary"
        )
        with self._chosen.parts.kept(wanted) as made:
            rows = self._chosen.parts.fetched(made, "part", "ids", "sample")
            by_part = {part: (table_of(ids, key), table_of(sample, key)) for part, ids, sample in rows}
        self._sample = pa.concat_tables([by_part[part][1] for part in range(parts)])
        ids = pc.unique(pa.chunked_array([by_part[part][0]["doc_id"].combine_chunks() for part in range(parts)]))
        ids = ids.take(pc.sort_indices(ids))
        self.texts = texts = Texts(given, ids)
        check_some(texts, len(ids))

        def told(some: Any) -> pa.Table:
            places = texts.find(some)
            known = places >= 0
            return pa.table({"doc_id": some.filter(pa.array(known)), "text": texts.take(places[known])})

        every = told(ids)
        self._without_text = len(ids) - every.num_rows
        own = [
            (labels[part], bytearray(sealed_table(told(by_part[part][0]["doc_id"]), (part, parts), key)))
            for part in range(parts)
        ]
        beside = session.createDataFrame(own, "label int, texts binary")
        nothing = [F.lit(None).cast("binary").alias(name) for name in ("negatives", "triplets")]
        both = frame.select("label", "negatives", "triplets", F.lit(None).cast("binary").alias("texts"))
        both = both.union(beside.select("label", *nothing, "texts")).repartition(parts, "label")
        cuts = np.linspace(0, every.num_rows, parts + 1).astype(np.int64)
        blocks = [
            (labels[i], bytearray(sealed_table(every.slice(cuts[i], cuts[i + 1] - cuts[i]), (i, parts), key)))
            for i in range(parts)
        ]
        documents = session.createDataFrame(blocks, TRAVEL).repartition(parts, "label")
        return both, documents

    def _sampled(self) -> list[list[int]]:
        """Which training rows of each part are compared word by word."""
        ends = np.cumsum([part["triplets"] for part in self._figures.rows])
        at = places_in_sample(int(ends[-1]))
        starts = [0, *ends[:-1]]
        return [(at[(at >= first) & (at < end)] - first).tolist() for first, end in zip(starts, ends, strict=True)]


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f"`{f.name.replace('`', '``')}` {TYPES[str(f.type)]}" for f in schema)
