"""Mining on Spark comes to the same tables as on one machine, to the last bit, whatever becomes of its tasks."""

from __future__ import annotations

import base64
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark import TaskContext
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

import hardneg_fast as hn
from hardneg_fast import pipeline_private
from hardneg_fast import spark as on_spark
from hardneg_fast.calibration import BIAS_ONE, GRID
from hardneg_fast.ledger import Ledger

TABLES = ("negatives", "triplets", "positives", "queries", "by_position")
FIGURES = (
    "quarantine",
    "cleaning",
    "scrubbed",
    "funnel",
    "counts",
    "release",
    "select",
    "evidence",
    "coverage",
    "yield",
    "config",
)
NONE = hn.Privacy.none()
MODES = [NONE, hn.Privacy.k_users(4)]


def bits(column: pa.ChunkedArray) -> bytes:
    """Floats as they are: comparison takes -0.0 for 0.0."""
    return column.combine_chunks().fill_null(-1.0).to_numpy().tobytes()


def assert_equal(found: hn.Result, expected: hn.Result) -> None:
    for name in TABLES:
        one, other = getattr(found, name), getattr(expected, name)
        assert one.num_rows > 5, name
        assert one == other, name
        for a, b in zip(one.columns, other.columns, strict=True):
            assert not pa.types.is_floating(a.type) or bits(a) == bits(b), name
    assert found.privacy == expected.privacy
    for figure in FIGURES:
        assert found.report[figure] == expected.report[figure], figure
    assert found.report["input"]["rows"] == expected.report["input"]["rows"]


@pytest.mark.parametrize("privacy", MODES, ids=lambda p: p.mode)
@pytest.mark.parametrize("parts", [None, 1, 13])
def test_the_same_as_on_one_machine(log, log_path, key, privacy, parts):
    expected = hn.mine(log_path, privacy=privacy)
    assert_equal(on_spark.mine(log.repartition(4), privacy=privacy, key=key, parts=parts), expected)


def test_given_propensities(log, log_path, key):
    law = hn.Propensities.power_law(0.75, depth=10)
    expected = hn.mine(log_path, privacy=NONE, propensities=law)
    assert expected.report["evidence"]["reason"] == "given"
    assert_equal(on_spark.mine(log, privacy=NONE, key=key, propensities=law), expected)


def test_what_is_not_kept_is_not_explained(log, key):
    found = on_spark.mine(log, privacy=NONE, key=key)
    row = found.negatives.to_pylist()[0]
    assert found.explain(row["query"], row["neg_id"])
    with pytest.raises(hn.UsageError, match="stayed with Spark's tasks"):
        found.explain(row["query"], "no such document")


SELECTIONS = {
    "twice": {"target_fnr": 0.02, "max_p_false_negative": 1.0, "max_queries_per_document": 2, "validation": 0.2},
    "drawn": {"fill": "easy", "refill": "random", "num_negatives": 2, "max_negatives_per_query": 4},
    "chained": {"chain_users": 1},
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_selections_that_need_all_parts(log, log_path, key, name):
    config = hn.Config(select=hn.SelectConfig(**SELECTIONS[name]))
    found = on_spark.mine(log, privacy=NONE, key=key, config=config)
    assert_equal(found, hn.mine(log_path, privacy=NONE, config=config))


def test_a_dataset_directory_is_the_same_but_for_its_input(log, log_path, key, tmp_path):
    hn.mine(log_path, tmp_path / "here", privacy=NONE)
    on_spark.mine(log, tmp_path / "spark", privacy=NONE, key=key)
    for path in (tmp_path / "here").rglob("*.parquet"):
        other = tmp_path / "spark" / path.relative_to(tmp_path / "here")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_other_columns_types_and_bases(log, log_path, key):
    """Ids are numbers, positions begin at 0 and are text, names are not canonical, and one has a dot in it."""
    names = {"user_id": "user", "position": "rank", "query": "q.text", "clicked": "event.clicked"}
    changed = log.select(
        F.substring("user_id", 2, 20).cast("long").alias("user"),
        (F.col("position") - 1).cast("string").alias("rank"),
        F.col("query").alias("q.text"),
        F.struct(F.col("clicked").cast("int").alias("clicked"), F.lit("x").alias("other")).alias("event"),
        "search_id", "doc_id", "timestamp", "dwell_ms",
    )  # fmt: skip
    config = hn.Config(read=hn.ReadConfig(columns=names))
    table = pq.read_table(log_path)
    table = table.set_column(
        table.column_names.index("user_id"),
        "user_id",
        pa.array([u and int(u[1:]) for u in table["user_id"].to_pylist()], pa.int64()),
    )
    expected = hn.mine(table.drop(["session_id"]), privacy=NONE)
    found = on_spark.mine(changed, privacy=NONE, key=key, config=config)
    for name in TABLES:
        assert getattr(found, name) == getattr(expected, name), name
    assert found.report["input"]["position_bases"] == {"": 0}


def test_bad_rows_are_counted_alike(log, key):
    """Every reason is the same, though users without an id have no part of their own."""
    bad = log.withColumn("user_id", F.when(F.col("search_id").endswith("7"), None).otherwise(F.col("user_id")))
    bad = bad.withColumn("doc_id", F.when(F.col("position") == 9, "").otherwise(F.col("doc_id")))
    bad = bad.withColumn("position", F.when(F.col("position") == 8, 70_000).otherwise(F.col("position")))
    table = pa.Table.from_batches(bad.toArrow().to_batches())
    expected = hn.mine(table, privacy=NONE, config=hn.Config(read=hn.ReadConfig(position_base="1")))
    found = on_spark.mine(bad, privacy=NONE, key=key)
    assert set(found.report["quarantine"]) >= {"null_user_id", "null_doc_id", "position_impossible"}
    assert found.report["quarantine"] == expected.report["quarantine"]
    assert found.negatives == expected.negatives


@dataclass(frozen=True)
class Dying:
    """Gets the key, but kills its process where a stage's task of this number is tried for the first time."""

    key: partial[hn.Key]
    notes: Path
    dies: int = 1

    def __call__(self) -> hn.Key:
        task = TaskContext.get()
        if task is not None and task.partitionId() == self.dies and task.attemptNumber() == 0:
            (self.notes / f"stage {task.stageId()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.key()


def test_killed_tasks_are_tried_again_and_change_nothing(log, log_path, key, tmp_path):
    expected = hn.mine(log_path, privacy=hn.Privacy.k_users(4))
    dying = Dying(key, tmp_path)
    assert_equal(on_spark.mine(log.repartition(4), privacy=hn.Privacy.k_users(4), key=dying), expected)
    assert len(list(tmp_path.iterdir())) >= 7, (
        "splitting, counting, releasing, three answers and selecting each lost one"
    )


PLANTED = {
    "user_id": "planted-person-4711",
    "session_id": "planted-session-4712",
    "search_id": "planted-search-4713",
    "query": "Planted Secret Question",
    "doc_id": "planted-document-4714",
}


class Written:
    """What Spark writes from now on: events, plans among them, shuffle files, blocks that went to disk."""

    def __init__(self, places: dict[str, Path]) -> None:
        self._places = places
        # Spark tidies up behind earlier jobs meanwhile: what is gone by then is no file of before.
        self._before = {path: size for path in self._files() if (size := self._size(path)) is not None}

    @staticmethod
    def _size(path: Path) -> int | None:
        with suppress(FileNotFoundError):
            return path.stat().st_size
        return None

    def _files(self) -> list[Path]:
        return [path for folder in self._places.values() for path in folder.rglob("*") if path.is_file()]

    def everything(self) -> bytes:
        return b"\n".join(path.read_bytes()[self._before.get(path, 0) :] for path in self._files())


def test_nothing_raw_is_written(spark, log_path, key, places, tmp_path):
    table = pq.read_table(log_path)
    rows = [{**row, **PLANTED} for row in table.slice(0, 12).to_pylist()]
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist(rows, table.schema)]), tmp_path / "log.parquet")
    log = spark.read.parquet(str(tmp_path / "log.parquet"))
    words = [word.encode() for word in (*PLANTED.values(), PLANTED["query"].lower())]
    words += [key().material(), base64.b64encode(key().material())]
    people = [u.encode() for u in table["user_id"].unique().to_pylist()[:200]]

    written = Written(places)
    on_spark.mine(log, privacy=NONE, key=key)
    found = written.everything()
    assert len(found) > 1_000_000, "blocks were shuffled"
    assert b"SparkListenerSQLExecutionStart" in found, "plans were logged"
    assert [word for word in (*words, *people) if word in found] == []

    plain = Written(places)
    log.repartition(3, "user_id").write.format("noop").mode("overwrite").save()
    found = plain.everything()
    assert [word for word in words[:5] if word in found] == words[:5], (
        "a shuffle of rows shows them: this test would see it"
    )


def test_errors_of_tasks_come_by_name(log, key):
    with pytest.raises(hn.FileError, match="cannot be read") as caught:
        on_spark.mine(log, privacy=NONE, key=Missing(key))
    assert "Traceback" not in str(caught.value)


@dataclass(frozen=True)
class Missing:
    """Gets the key in the driver alone."""

    key: partial[hn.Key]

    def __call__(self) -> hn.Key:
        return self.key() if TaskContext.get() is None else hn.Key.load("/nowhere/hn.key")


class SeenError(Exception):
    """Ends a run where noise would be drawn."""


class Recorder:
    """Stands where the release draws its noise, and notes what comes there."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict, dict[str, float]]] = []

    def __call__(self, contributions, *_lists, **_constants) -> None:
        core = contributions._core
        every = {"max_items": 10_000, "thresholds": [-(GRID << 30)], "biases": [[BIAS_ONE]]}
        keys = core.select(**every, sigma=1, threads=1)
        self.seen.append((contributions.private, dict(zip(keys.queries, keys.scores, strict=True))))
        raise SeenError


def test_private_rows_come_to_the_driver_and_are_released_there_once(log, log_path, key, tmp_path, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(pipeline_private, "release_private", recorder)
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    entries = []
    for name, mined in (("here", partial(hn.mine, log_path)), ("there", partial(on_spark.mine, log, key=key))):
        ledger = Ledger.create(tmp_path / name, epsilon=10, delta=1e-6)
        before = (tmp_path / name).read_text().count("\n")
        privacy = hn.Privacy.dp(epsilon=8, lineage="web", ledger=tmp_path / name)
        with pytest.raises(SeenError):
            mined(privacy=privacy, config=config)
        assert ledger is not None
        entries.append((tmp_path / name).read_text().count("\n") - before)
    (here, one), (there, other) = recorder.seen
    assert here == there
    assert here["rows"] > 50_000
    # The noise that is left is of one part of the grid in standard deviation.
    assert one.keys() == other.keys()
    assert max(abs(one[query] - other[query]) for query in one) < 50
    assert entries[0] == entries[1] > 0


def test_a_private_release(log, key, tmp_path):
    Ledger.create(tmp_path / "ledger", epsilon=10, delta=1e-6)
    privacy = hn.Privacy.dp(epsilon=8, lineage="web", ledger=tmp_path / "ledger")
    config = hn.Config(read=hn.ReadConfig(position_base="1"))
    result = on_spark.mine(log, tmp_path / "out", privacy=privacy, key=key, config=config)
    assert result.privacy["mode"] == "dp"
    assert (tmp_path / "out" / "privacy.json").exists()
    assert (tmp_path / "out.private" / "exact.json").exists()
