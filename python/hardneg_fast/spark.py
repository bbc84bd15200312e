"""The same kernels on Spark, 3.5 or 4: users are counted in parts, and queries released in parts.

Nothing here imports pyspark: it comes in with the frame. Keys do not travel: each task gets the key where it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.compute

from . import exceptions, options
from .blocks import BLOCKS, Header, opened, rows_of, sealed
from .config import Config, Privacy, ReadConfig, SelectConfig
from .count import Counts, load_counts, merge
from .evidence import Evidence, evidence
from .exceptions import DataError, HardnegError, UsageError
from .keys import Key
from .pipeline import (
    MINED_TABLES,
    check_beside,
    check_job,
    check_users,
    chosen_by,
    count,
    enter,
    finished,
    kind_of,
    refuse_nothing,
    split,
    tables_beside,
    told,
    with_propensities,
)
from .pipeline import mine as mine_here
from .pipeline_private import window
from .read import ReadReport, glance
from .release import gather, load_released, release
from .result import Result
from .scores import Scorer, load_scorer
from .select import select
from .sources import open_source, positions
from .whole import Whole, answer
from .writers.texts import documents_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["mine"]

pc: Any = pyarrow.compute

KeySource = Callable[[], Key]
"""Gets the master key where it is called: in the driver, and in every task. It travels; the key does not."""

TRAVEL = "label int, block binary"
"""What is shuffled: where a block goes, and the sealed block."""
RELEASED = "label int, block binary, facts binary, asked binary"
"""Of each part of the queries, sealed: what passed, figures beside tables, users by query."""
SHARES = "label int, block binary, asked binary, share binary"
"""A part, and its share of what all parts know; a row has one of the two."""
TABLES = ("negatives", "positives", "triplets")
CHOSEN = f"part int, {', '.join(f'{name} binary' for name in TABLES)}, outcome binary, funnel binary"
"""What was selected of a part, sealed."""


def mine(
    df: DataFrame,
    out: Path | str | None = None,
    *,
    privacy: Privacy,
    key: KeySource,
    config: Config | None = None,
    parts: int | None = None,
    memory: int | str = "512MB",
    documents: object = None,
    positives: object = None,
    known_relevant: object = None,
    extra_negatives: object = None,
    retrieved: object = None,
    scores: object = None,
    query_vectors: object = None,
    document_vectors: object = None,
    scorer: Scorer | str | None = None,
    propensities: object = None,
    overwrite: bool = False,
) -> Result:
    """Raw click log in, hard negatives out, as `hardneg_fast.mine`: the same rows, to the last bit.

    Rows are sealed into blocks by user and shuffled; each part of the users is counted whole; counts are sealed by
    query and shuffled; each part of the queries is summed, released, weighed and selected from where it is. The driver
    works out what all parts have in common, and gathers what was selected. Under differential privacy the rows
    themselves come to the driver, sealed, and are bounded and released there: noise is drawn once, where the ledger is.

    Args:
        df: the log, a row per result shown.
        out: dataset directory for the driver to write, whole or not at all; None writes nothing.
        privacy: what may leave; there is no default.
        key: gets the master key, in the driver and in each task: `functools.partial(Key.load, "/run/secrets/hn.key")`,
            `functools.partial(Key.from_env, "HARDNEG_KEY")`, or a function that asks a secret store.
        config: options; their defaults otherwise. `memory` and `threads` are those of the driver.
        parts: parts of the users, and of the queries; `spark.sql.shuffle.partitions` by default.
        memory: budget of a task for counting, which has one thread.
        documents: as for `hardneg_fast.mine`, and so are all but the last after it; the driver reads them.
        positives: see there.
        known_relevant: see there.
        extra_negatives: see there.
        retrieved: see there.
        scores: see there.
        query_vectors: see there.
        document_vectors: see there.
        scorer: see there.
        propensities: see there.
        overwrite: replace the dataset that stands at `out`.

    Raises:
        PrivacyError: the privacy asked for cannot be had on this log.
        ColumnError, DataError: the log cannot be read, or no rule can run on it.
        UsageError: options that cannot be.
    """
    config = options.checked(config or Config())
    if propensities is not None and privacy.mode != "dp":
        config = with_propensities(config, propensities)
    task = options.checked(replace(config, threads=1, memory=memory))
    check_job(out, privacy=privacy, key=None, overwrite=overwrite)
    if isinstance(key, Key) or not callable(key):
        raise UsageError(
            "key must be a function that gets the key where it runs, such as functools.partial(Key.load, FILE): a key "
            "itself would travel with the plan"
        )
    master = key()
    session = df.sparkSession
    parts = parts or int(session.conf.get("spark.sql.shuffle.partitions") or 200)
    log = _log(df, config, privacy)
    with _named():
        base = _position_base(log, config)
    read = replace(config.read, position_base=base)
    work = _Work(key, replace(task, read=read), privacy, log.names, parts, _labels(session, parts))
    given: dict[str, Any] = {"positives": positives, "known_relevant": known_relevant}
    given |= {"extra_negatives": extra_negatives, "retrieved": retrieved, "scores": scores}
    given |= {"query_vectors": query_vectors, "document_vectors": document_vectors}
    if privacy.mode == "dp":
        private = replace(config, read=ReadConfig(position_base=base))
        with _named():
            rows = _rows(log.df, replace(work, parts=1, labels=[0]), master)
            return mine_here(
                rows,
                out,
                privacy=privacy,
                config=private,
                documents=documents,
                scorer=scorer,
                propensities=propensities,
                overwrite=overwrite,
                **given,
            )
    beside = tables_beside(config, master, **given)
    scorer = load_scorer(scorer)
    check_beside(privacy, config, beside, scorer=scorer is not None, documents=documents is not None)
    texts = None if documents is None else documents_table(documents)
    enter(privacy, window=window(config), what=kind_of(privacy))
    with _named(), _released(log.df, work, master) as found:
        counts = found.facts
        log.report.rows_in = counts.rows
        raw = SimpleNamespace(report=log.report)
        refuse_nothing(raw, counts)

        names = [*beside, *([] if scorer is None else ["scorer"])]
        if config.select.chain_users > 0:
            # What users clicked for the next query stands with that query, which is of another part.
            released = gather(found.blocks(), privacy=privacy, key=master)
            return finished(
                raw,
                counts,
                released,
                out,
                config=config,
                beside=beside,
                documents=texts,
                scorer=scorer,
                overwrite=overwrite,
            )

        def of(beside: Mapping[str, pa.Table], chosen: SelectConfig) -> _Chosen:
            return found.selected(replace(config, select=chosen), beside)

        selected = chosen_by(of, config, beside, documents=texts, scorer=scorer)
        return told(
            raw,
            counts,
            SimpleNamespace(privacy=privacy, passed=counts.shown(privacy.k)),
            selected.weighed,
            selected,
            out,
            config=config,
            beside=names,
            documents=texts,
            overwrite=overwrite,
        )


@dataclass(frozen=True)
class _Log:
    """The columns of a frame that stand for something."""

    df: DataFrame
    """Under numbers: Spark hands tasks no columns with dots in their names."""
    names: list[str]
    """What they are called."""
    position: str | None
    report: ReadReport


def _log(df: DataFrame, config: Config, privacy: Privacy) -> _Log:
    """What is known of the log before a row is read."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

    found, _, report = glance(
        pa.schema([(f.name, _type(f.dataType)) for f in df.schema.fields]).empty_table(), config.read
    )
    if found.shape != "rows":
        raise UsageError(
            f"on Spark a log has a row per result shown, and this has {found.shape}: explode lists of results, or join "
            "clicks to what was shown, before"
        )
    check_users(privacy, [*found.columns, *found.constants])
    paths = [path for all_of in found.columns.values() for path in all_of]
    needed = [each for path in paths for each in (found.preset.inputs(path) if found.preset.recipes else (path,))]
    names = [*dict.fromkeys(path if path in df.columns else path.partition(".")[0] for path in needed)]
    report.format = "spark"
    quoted = (name.replace("`", "``") for name in names)
    chosen = df.select(*(F.col(f"`{name}`").alias(f"c{i}") for i, name in enumerate(quoted)))
    return _Log(chosen, names, next(iter(found.columns.get("position", ())), None), report)


def _position_base(log: _Log, config: Config) -> Any:
    """What the log calls the top position, by all of its rows."""
    base: Any = config.read.position_base
    if log.position is not None and base == "auto":
        rows = log.df.mapInArrow(_zeros_and_ones(log), "zeros long, ones long").collect()
        base = str(positions.base(sum(row.zeros for row in rows), sum(row.ones for row in rows)))
    base = "1" if base == "auto" else base
    if log.position is not None:
        log.report.position_bases[""] = int(base)
    return base


def _zeros_and_ones(log: _Log) -> Any:
    names, path = log.names, str(log.position)

    def counted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        zeros = ones = 0
        for batch in batches:
            source, _ = open_source(batch.rename_columns(names), ReadConfig())
            for column in source.scan({"position": path}, ReadReport(), batch.num_rows or 1):
                more = positions.zeros_and_ones(column.column(0))
                zeros, ones = zeros + more[0], ones + more[1]
        yield pa.record_batch({"zeros": pa.array([zeros], pa.int64()), "ones": pa.array([ones], pa.int64())})

    return counted


SIMPLE = {
    "string": pa.string(),
    "char": pa.string(),
    "varchar": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "void": pa.null(),
}
"""Types of Spark that have no parts, by name; what is not here is no column of a log."""


def _type(of: Any) -> pa.DataType:
    name = of.typeName()
    if name == "decimal":
        return pa.decimal128(of.precision, of.scale)
    if name == "array":
        return pa.list_(_type(of.elementType))
    if name == "struct":
        return pa.struct([(f.name, _type(f.dataType)) for f in of.fields])
    # An interval stands for nothing that a log has.
    return SIMPLE.get(name, pa.month_day_nano_interval())


def _labels(session: Any, parts: int) -> list[int]:
    """A number for each partition that Spark's own hash sends there: parts then meet no other part."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

    tried = 32 * parts
    while True:
        number = F.col("id").cast("int")
        rows = session.range(tried).select(number, F.pmod(F.hash(number), F.lit(parts))).collect()
        first: dict[int, int] = {}
        for label, place in rows:
            first.setdefault(place, label)
        if len(first) == parts:
            return [first[place] for place in range(parts)]
        tried *= 2


@dataclass(frozen=True)
class _Work:
    """What tasks do. It travels to them, and holds no key."""

    key: KeySource
    config: Config
    privacy: Privacy
    names: list[str]
    parts: int
    labels: list[int]

    def split(self) -> Any:
        """Rows to blocks by user."""

        def split_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            batches = iter(batches)
            first = next(batches, None)
            if first is None:
                return
            named = (batch.rename_columns(self.names) for batch in _chained(first, batches))
            schema = pa.schema([f.with_name(name) for f, name in zip(first.schema, self.names, strict=True)])
            log = pa.RecordBatchReader.from_batches(schema, named)
            yield from self._labelled(split(log, self.parts, key=self.key(), config=self.config))

        return split_rows

    def count(self) -> Any:
        """Blocks of one part of the users to blocks of its counts by query."""

        def count_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            batches = iter(batches)
            first = next((batch for batch in batches if batch.num_rows), None)
            if first is None:
                return
            key, part = self.key(), self.labels.index(first["label"][0].as_py())
            blocks = pa.RecordBatchReader.from_batches(BLOCKS, map(_as_blocks, _chained(first, batches)))
            counts = count(blocks, config=self.config, tables=MINED_TABLES, key=key, part=(part, self.parts))
            yield from self._labelled(split(counts, self.parts, key=key))

        return count_users

    def release(self) -> Any:
        """Blocks of counts of one part of the queries to what passes of it."""

        def release_queries(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            key = None
            label = -1
            sums: list[tuple[int, Counts]] = []
            for batch in batches:
                for label, block in zip(batch["label"].to_pylist(), batch["block"], strict=True):
                    key, part = key or self.key(), self.labels.index(label)
                    level, counts = 0, load_counts(block.as_py(), config=self.config, key=key)
                    # By twos, as they come.
                    while sums and sums[-1][0] == level:
                        level, counts = level + 1, merge(sums.pop()[1], counts)
                    sums.append((level, counts))
            if key is None:
                return
            total = merge(*(counts for _, counts in reversed(sums)))
            released = release(total, privacy=self.privacy, part=(part, self.parts))
            header = Header(stage="facts", part=part, of=self.parts, config="", key=key.id)
            said = _Facts.from_counts(total) | {"passed": released._core.passed}
            facts = sealed(json.dumps(said).encode(), header, part, key)
            asked = sealed(_asked(total, self.privacy.k or 1), header, part, key)
            block = released.block(key=key)
            yield pa.record_batch(
                {
                    "label": pa.array([label], pa.int32()),
                    "block": pa.array([block]),
                    "facts": pa.array([facts]),
                    "asked": pa.array([asked]),
                }
            )

        return release_queries

    def answer(self, question: bytes) -> Any:
        """What passed of a part to what it answers."""

        def answer_question(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for block in batch["block"].to_pylist():
                    key = self.key()
                    part = load_released(block, privacy=self.privacy, key=key)
                    said = answer(part, question, key=key, threads=1)
                    yield pa.record_batch({"block": pa.array([said], pa.binary())})

        return answer_question

    def select(self, beside: Mapping[str, bytes]) -> Any:
        """What passed of a part, and its share, to what is selected of it."""

        def select_queries(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            found: dict[str, Any] = {}
            for batch in batches:
                for row in batch.to_pylist():
                    found |= {name: value for name, value in row.items() if value is not None}
            if "share" not in found:
                return
            key, part = self.key(), (self.labels.index(found["label"]), self.parts)
            released = load_released(found["block"], privacy=self.privacy, key=key)
            own: dict[str, Any] = {"seed": self.config.seed, "threads": 1, "part": part}
            weighed = evidence(released, config=self.config.evidence, share=found["share"], key=key, **own)
            given = {name: _table_of(block, key) for name, block in beside.items()}
            selected = select(weighed, config=self.config.select, **own, **given)
            header = Header(stage="selected", part=part[0], of=self.parts, config="", key=key.id)
            made = {name: sealed(_as_ipc(pa.table(getattr(selected, name))), header, part[0], key) for name in TABLES}
            made["outcome"] = selected.outcome(key=key)
            made["funnel"] = sealed(json.dumps(selected.funnel).encode(), header, part[0], key)
            columns = {name: pa.array([value], pa.binary()) for name, value in made.items()}
            yield pa.record_batch({"part": pa.array([part[0]], pa.int32()), **columns})

        return select_queries

    def _labelled(self, blocks: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in blocks:
            labels = pa.array((self.labels[part] for part in batch["part"].to_pylist()), pa.int32())
            yield pa.record_batch({"label": labels, "block": batch["block"]})


def _asked(counts: Counts, least: int) -> pa.Buffer:
    """Users by query, of queries that may be named."""
    table = pa.table(counts.table("queries", columns=ASKED))
    return _as_ipc(table.filter(pc.greater_equal(table["users"], least)))


def _as_ipc(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _table_of(block: bytes, key: Key) -> pa.Table:
    return pa.ipc.open_stream(opened(block, key, stage="selected")[1]).read_all()


def _chained(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _as_blocks(batch: pa.RecordBatch) -> pa.RecordBatch:
    # Which part a block is of stands in its header.
    return pa.RecordBatch.from_arrays([batch["label"], batch["block"]], schema=BLOCKS)


@contextmanager
def _released(df: DataFrame, work: _Work, key: Key) -> Iterator[_Parts]:
    """What passed of each part of the queries; it stays with the executors, sealed, until this ends.

    Raises:
        DataError: the log has no rows.
    """
    counted = df.mapInArrow(work.split(), TRAVEL).repartition(work.parts, "label").mapInArrow(work.count(), TRAVEL)
    released = counted.repartition(work.parts, "label").mapInArrow(work.release(), RELEASED).persist()
    parts = _Parts(released, work, key)
    try:
        # All parts at once; then figures are fetched some at a time, so that no limit of results is met.
        if released.count() == 0:
            raise DataError("the log has no rows; a log needs at least one record")
        yield parts
    finally:
        parts.close()


def _fetched(df: DataFrame, parts: int) -> Iterator[Any]:
    yield from df.coalesce(min(parts, 32)).toLocalIterator(prefetchPartitions=True)


@dataclass
class _Chosen:
    """What was selected of all parts, for the report and the result."""

    negatives: pa.Table
    positives: pa.Table
    triplets: pa.Table
    funnel: dict[str, Any]
    told: Any
    weighed: Evidence

    gathered: ClassVar[bool] = False
    """What speaks for and against a document was known where its part was, and went with it."""


class _Parts:
    """Parts of a release, where executors keep them."""

    def __init__(self, released: DataFrame, work: _Work, key: Key) -> None:
        self._released, self._work, self._key = released, work, key
        self._kept = [released]

    @cached_property
    def facts(self) -> _Facts:
        """Figures beside the tables, of all parts."""
        rows = _fetched(self._released.select("facts", "asked"), self._work.parts)
        blocks = (tuple(opened(bytes(block), self._key, stage="facts")[1] for block in row) for row in rows)
        return _Facts.of((json.loads(facts.to_pybytes()), asked) for facts, asked in blocks)

    def blocks(self) -> Iterator[bytes]:
        """What passed, sealed."""
        yield from (bytes(block) for (block,) in _fetched(self._released.select("block"), self._work.parts))

    def selected(self, config: Config, beside: Mapping[str, pa.Table]) -> _Chosen:
        """Selects from every part, by what all of them know."""
        task = replace(self._work.config, select=config.select)
        work = replace(self._work, config=task)
        whole = Whole(work.parts, key=self._key, privacy=work.privacy, config=config)
        while (question := whole.question) is not None:
            answers = self._made(self._released.select("block").mapInArrow(work.answer(question), "block binary"))
            whole.take(bytes(block) for (block,) in _fetched(answers, work.parts))
            self._kept.remove(answers.unpersist())
        header = Header(stage="selected", part=0, of=work.parts, config="", key=self._key.id)
        given = {name: sealed(_as_ipc(table), header, 0, self._key) for name, table in beside.items()}
        outcomes: dict[int, bytes] = {}
        latest: dict[int, DataFrame] = {}
        again = [*range(work.parts)]
        while again:
            made = self._made(self._with_shares(whole, again, work).mapInArrow(work.select(given), CHOSEN))
            outcomes |= {part: bytes(block) for part, block in _fetched(made.select("part", "outcome"), work.parts)}
            latest |= dict.fromkeys(again, made)
            again = whole.settle(outcomes.values())
        return self._gathered(latest, whole)

    def _with_shares(self, whole: Whole, parts: list[int], work: _Work) -> DataFrame:
        """Each of some parts beside its share."""
        from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

        rows = [(work.labels[part], None, None, bytearray(whole.share(part))) for part in parts]
        shares = self._released.sparkSession.createDataFrame(rows, SHARES)
        wanted = self._released
        if len(parts) < work.parts:
            wanted = wanted.filter(F.col("label").isin([work.labels[part] for part in parts]))
        both = wanted.select("label", "block", "asked", F.lit(None).cast("binary").alias("share")).union(shares)
        return both.repartition(work.parts, "label")

    def _gathered(self, latest: Mapping[int, DataFrame], whole: Whole) -> _Chosen:
        """The tables, in the order of the parts, and figures of all of them."""
        found: dict[int, Any] = {}
        for frame in {id(frame): frame for frame in latest.values()}.values():
            fetched = _fetched(frame.select("part", *TABLES, "funnel"), self._work.parts)
            found |= {row.part: row for row in fetched if latest[row.part] is frame}
        rows = [found[part] for part in range(self._work.parts)]
        tables = {
            name: pa.concat_tables([_table_of(bytes(row[name]), self._key) for row in rows]).combine_chunks()
            for name in TABLES
        }
        funnels = [
            json.loads(opened(bytes(row["funnel"]), self._key, stage="selected")[1].to_pybytes()) for row in rows
        ]
        return _Chosen(**tables, funnel=_added(funnels), told=whole.told, weighed=whole.evidence)

    def _made(self, df: DataFrame) -> DataFrame:
        """Made by all executors at once, and kept: what is fetched unmade is made one partition after the other."""
        self._kept.append(df.persist())
        df.count()
        return df

    def close(self) -> None:
        """Lets go of what executors keep."""
        for df in self._kept:
            df.unpersist()


def _added(funnels: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of all parts; what is off is off in each."""
    total = funnels[0]
    for funnel in funnels[1:]:
        for name, value in funnel.items():
            if name == "rules_off":
                continue
            if isinstance(value, dict):
                for key, n in value.items():
                    total[name][key] = total[name].get(key, 0) + n
            else:
                total[name] += value
    return {name: dict(sorted(value.items())) if isinstance(value, dict) else value for name, value in total.items()}


def _rows(df: DataFrame, work: _Work, key: Key) -> pa.RecordBatchReader:
    """The rows of a log, sealed on their way to the driver."""
    blocks = df.mapInArrow(work.split(), TRAVEL).toLocalIterator(prefetchPartitions=True)
    parts, found = pa.array([0], pa.int32()), (bytes(block) for _, block in blocks)
    tables = (pa.RecordBatch.from_arrays([parts, pa.array([block])], schema=BLOCKS) for block in found)
    rows = rows_of(pa.RecordBatchReader.from_batches(BLOCKS, tables), key)
    if rows is None:
        raise DataError("the log has no rows; a log needs at least one record")
    return rows.reader


ASKED = ("query", "users")
FIGURES = ("rows", "quarantine", "timestamp_notations", "scrubbed", "dropped", "sizes", "has")


@dataclass
class _Facts:
    """Figures beside the tables of counts, summed over parts."""

    rows: int = 0
    quarantine: dict[str, int] = field(default_factory=dict)
    timestamp_notations: dict[str, int] = field(default_factory=dict)
    scrubbed: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    has: dict[str, bool] = field(default_factory=dict)
    passed: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: list[pa.Table] = field(default_factory=list)

    def shown(self, k: int | None) -> dict[str, tuple[int, int]]:
        """Table → rows before and after the release, as they may be shown."""
        least = k or 1
        return {name: (a // least * least, b // least * least) for name, (a, b) in self.passed.items()}

    def table(self, name: str, *, columns: tuple[str, ...]) -> pa.Table:
        """As of counts; only of queries that may be named."""
        return pa.concat_tables({"queries": self.asked}[name]).select(columns)

    @staticmethod
    def from_counts(counts: Counts) -> dict[str, Any]:
        return {name: getattr(counts, name) for name in FIGURES}

    @classmethod
    def of(cls, parts: Iterable[tuple[Mapping[str, Any], pa.Buffer]]) -> _Facts:
        total = cls()
        for part, asked in parts:
            total.asked.append(pa.ipc.open_stream(asked).read_all())
            total.rows += part["rows"]
            total.has = {name: has or total.has.get(name, False) for name, has in part["has"].items()}
            for name, (before, after) in part["passed"].items():
                sums = total.passed.get(name, (0, 0))
                total.passed[name] = (sums[0] + before, sums[1] + after)
            for name in ("quarantine", "timestamp_notations", "scrubbed", "dropped", "sizes"):
                sums = getattr(total, name)
                for reason, n in part[name].items():
                    sums[reason] = sums.get(reason, 0) + n
        return total


NAMED = re.compile(r"hardneg_fast\.exceptions\.(\w+): ([^\n]*)")


@contextmanager
def _named() -> Iterator[None]:
    """What a task raised of ours comes as that error, without the traces of two machines around it."""
    try:
        yield
    except HardnegError:
        raise
    except Exception as error:
        found = NAMED.search(str(error))
        kind = getattr(exceptions, found[1], None) if found else None
        if found is None or kind is None:
            raise
        raise kind(found[2]) from None
