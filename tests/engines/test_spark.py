"""Mining on Spark comes to the same tables as on one machine, to the last bit, whatever becomes of its tasks."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark import TaskContext
from pyspark.sql import DataFrameWriter
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

import hardneg_fast as hn
from hardneg_fast import spark as on_spark
from hardneg_fast.calibration import BIAS_ONE, GRID
from hardneg_fast.ledger import Ledger
from hardneg_fast.pipeline import private
from hardneg_fast.spark.storage import Storage
from same_dataset import assert_same_dataset, bits

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
@pytest.mark.parametrize("parts", [None, 1, 17])
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


DATASETS = {
    "none": (NONE, {}, ()),
    "k_users": (hn.Privacy.k_users(4), {"validation": 0.3}, ("documents",)),
    # All documents but one of seven have a text; parts are selected from twice.
    "everything": (
        NONE,
        {"max_queries_per_document": 2, "validation": 0.2, "curriculum": "on", "num_negatives": 2},
        ("documents", "scores"),
    ),
}


def test_the_digest_of_a_card_follows_from_the_rows(log, key, tmp_path):
    """However the tables were cut; by it `load_dataset` tells them from those of another run."""

    def card(name, parts, k):
        on_spark.mine(log, tmp_path / name, privacy=hn.Privacy.k_users(k), key=key, parts=parts)
        return re.findall(r'description: "([a-p]{16})"', (tmp_path / name / "README.md").read_text())

    one, other, fewer = card("one", 3, 4), card("other", 5, 4), card("fewer", 3, 6)
    assert one == other
    assert len({*one}) == 1
    assert {*one} != {*fewer}


def test_texts_of_other_documents_replace_nothing(log, key, tmp_path):
    on_spark.mine(log, tmp_path / "out", privacy=NONE, key=key)
    before = (tmp_path / "out" / "README.md").read_bytes()
    strangers = pa.table({"doc_id": ["nobody's"], "text": ["of another shop"]})
    with pytest.raises(hn.DataError, match="none has one there"):
        on_spark.mine(log, tmp_path / "out", privacy=NONE, key=key, documents=strangers, overwrite=True)
    assert (tmp_path / "out" / "README.md").read_bytes() == before


def test_ranks_and_what_matches_nothing(log, log_path, key):
    queries = pq.read_table(log_path.parent / "all" / "queries.parquet")["query"].to_pylist()
    documents = pq.read_table(log_path.parent / "all" / "documents.parquet")["doc_id"].to_pylist()
    # Lists of thirty, last first.
    runs = [
        (query, documents[(i * 7 + n) % len(documents)], n) for i, query in enumerate(queries) for n in range(30, 0, -1)
    ]
    given = {"retrieved": pa.table(dict(zip(("query", "doc_id", "rank"), zip(*runs, strict=True), strict=True)))}
    config = hn.Config(select=hn.SelectConfig(semi_negatives=2, retrieved_from=10, retrieved_to=25))
    found = on_spark.mine(log, privacy=NONE, key=key, config=config, **given)
    assert_equal(found, hn.mine(log_path, privacy=NONE, config=config, **given))
    assert {row["kind"] for row in found.negatives.to_pylist()} == {"hard", "semi"}
    nobody = pa.table({"query": ["nobody asked"], "doc_id": ["d"]})
    notes = on_spark.mine(log, privacy=NONE, key=key, known_relevant=nobody).report["input"]["notes"]
    assert "known_relevant: none of its pairs names a query of this output" in notes


@pytest.mark.parametrize("name", DATASETS)
def test_spark_writes_what_one_machine_writes(log, log_path, key, tmp_path, name):
    privacy, chosen, given = DATASETS[name]
    config = hn.Config(select=hn.SelectConfig(**chosen))
    documents = pq.read_table(log_path.parent / "all" / "documents.parquet")
    beside = {
        "documents": documents.filter(pa.array([i % 7 != 3 for i in range(documents.num_rows)])),
        "scores": scored(log_path),
    }
    beside = {what: beside[what] for what in given}
    hn.mine(log_path, tmp_path / "here", privacy=privacy, config=config, **beside)
    found = on_spark.mine(log, tmp_path / "spark", privacy=privacy, key=key, config=config, **beside)
    assert_same_dataset(tmp_path / "spark", tmp_path / "here")
    assert found.report == json.loads((tmp_path / "spark" / "report.json").read_text())
    assert found.table("negatives").count() == found.report["written"]["negatives"] > 50
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def scored(log_path: Path) -> pa.Table:
    """A score for two thirds of the pairs, hardly any equal."""
    pairs = pq.read_table(log_path, columns=["query", "doc_id"]).group_by(["query", "doc_id"]).aggregate([])
    pairs = pairs.sort_by([("query", "ascending"), ("doc_id", "ascending")]).take(
        pa.array([i for i in range(pairs.num_rows) if i % 3])
    )
    return pairs.append_column("score", pa.array([(i * 7919 % 10_007) / 10_007 for i in range(pairs.num_rows)]))


def test_what_stands_there_stays_unless_it_may_go(log, key, tmp_path):
    out = tmp_path / "out"
    first = on_spark.mine(log, out.as_uri(), privacy=hn.Privacy.k_users(4), key=key, parts=2)
    with pytest.raises(hn.UsageError, match="not empty"):
        on_spark.mine(log, out, privacy=NONE, key=key)
    second = on_spark.mine(log, str(out), privacy=hn.Privacy.k_users(8), key=key, parts=2, overwrite=True)
    assert first.path == second.path
    assert json.loads((out / "privacy.json").read_text())["k"] == 8
    (out / "mine.txt").touch()
    with pytest.raises(hn.UsageError, match=r"mine\.txt"):
        on_spark.mine(log, out, privacy=NONE, key=key, overwrite=True)
    with pytest.raises(hn.UsageError, match="no file system"):
        on_spark.mine(log, "nosuch://bucket/out", privacy=NONE, key=key)


@pytest.mark.parametrize("lost", [(2,), (2, 3)], ids=["the new one stays out", "the old one cannot come back"])
def test_what_is_to_be_replaced_is_never_lost(spark, tmp_path, monkeypatch, lost):
    """Whatever a file system throws between the two moves."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_text("old")
    moved, calls = Storage._moved, []

    def thrown(self, one, other):
        calls.append(one)
        if len(calls) in lost:
            raise OSError("quota")
        moved(self, one, other)

    monkeypatch.setattr(Storage, "_moved", thrown)
    with pytest.raises(hn.FileError) as raised, Storage(spark, out).whole(overwrite=True) as stage:
        stage.write("report.json", b"new")
    (left,) = tmp_path.iterdir()
    assert (left / "report.json").read_text() == "old"
    assert left == out if lost == (2,) else left.name in str(raised.value)


def test_names_that_are_patterns_are_refused(log, key, tmp_path):
    with pytest.raises(hn.UsageError, match="pattern"):
        on_spark.mine(log, tmp_path / "out[1]", privacy=NONE, key=key)


def test_a_run_that_fails_leaves_nothing(log, key, tmp_path, monkeypatch):
    """As where each machine writes to a disk of its own: the driver does not find what tasks wrote."""
    write = DataFrameWriter.parquet

    def losing(self, path, *args, **options):
        write(self, path, *args, **options)
        files = sorted(Path(path.removeprefix("file:")).glob("part-*.parquet"))
        if path.endswith("/negatives"):
            files[-1].unlink()

    monkeypatch.setattr(DataFrameWriter, "parquet", losing)
    with pytest.raises(hn.FileError, match="all machines share"):
        on_spark.mine(log, tmp_path / "out", privacy=NONE, key=key)
    assert [*tmp_path.iterdir()] == []


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
    notes = tmp_path / "notes"
    notes.mkdir()
    hn.mine(log_path, tmp_path / "here", privacy=hn.Privacy.k_users(4))
    dying = Dying(key, notes)
    on_spark.mine(log.repartition(4), tmp_path / "spark", privacy=hn.Privacy.k_users(4), key=dying)
    assert_same_dataset(tmp_path / "spark", tmp_path / "here")
    assert len(list(notes.iterdir())) >= 13, (
        "splitting, counting, releasing, three answers, selecting, documents by range and five tables each lost one"
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
        return b"\n".join(self._new(path) for path in self._files())

    def _new(self, path: Path) -> bytes:
        # Likewise behind the jobs before this one, between the list and the look.
        with suppress(FileNotFoundError):
            return path.read_bytes()[self._before.get(path, 0) :]
        return b""


@pytest.mark.parametrize("with_texts", [True, False], ids=["texts", "ids"])
def test_nothing_raw_is_written(spark, log_path, key, places, tmp_path, with_texts):
    table = pq.read_table(log_path)
    # A page of the planted query, twelve times, that is passed over down to a click on the planted document.
    page = [row for row in table.to_pylist() if row["search_id"] == table["search_id"][0].as_py()]
    rows = [
        {
            **row,
            "user_id": f"planted-person-{4711 + i}",
            "session_id": f"planted-session-{4712 + i}",
            "search_id": f"planted-search-{4713 + i}",
            "query": PLANTED["query"],
            "doc_id": f"{PLANTED['doc_id']}-{row['position']}",
            "clicked": row["position"] == 4,
            "dwell_ms": 90_000 if row["position"] == 4 else None,
        }
        for i in range(12)
        for row in page
    ]
    texts = pa.table(
        {
            "doc_id": [f"{PLANTED['doc_id']}-{row['position']}" for row in page],
            "text": [f"planted text of {row['position']}" for row in page],
        }
    )
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist(rows, table.schema)]), tmp_path / "log.parquet")
    log = spark.read.parquet(str(tmp_path / "log.parquet"))
    words = [word.encode() for word in (*PLANTED.values(), PLANTED["query"].lower(), "planted text of")]
    words += [key().material(), base64.b64encode(key().material())]
    people = [u.encode() for u in table["user_id"].unique().to_pylist()[:200]]

    listening = Written(places)
    on_spark.mine(log, tmp_path / "out", privacy=NONE, key=key, documents=texts if with_texts else None)
    found = listening.everything()
    assert (
        PLANTED["query"].lower()
        in pa.concat_tables(pq.read_table(path) for path in (tmp_path / "out" / "queries").iterdir())[
            "query"
        ].to_pylist()
    ), "it is written where it belongs"
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
    monkeypatch.setattr(private, "release_private", recorder)
    config = hn.Config(read=hn.ReadConfig(position_base="1", columns={name: name for name in log.columns}))
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
    before, columns = (tmp_path / "ledger").read_bytes(), {name: name for name in log.columns}
    for read, error, why in [
        (hn.ReadConfig(position_base="1"), hn.PrivacyError, "are named beforehand"),
        (hn.ReadConfig(columns=columns), hn.UsageError, "say what the log calls the top position"),
    ]:
        with pytest.raises(error, match=why):
            on_spark.mine(log, privacy=privacy, key=key, config=hn.Config(read=read))
    assert (tmp_path / "ledger").read_bytes() == before
    config = hn.Config(read=hn.ReadConfig(position_base="1", columns=columns))
    written = on_spark.mine(log, tmp_path / "out", privacy=privacy, key=key, config=config)
    assert written.privacy["mode"] == "dp"
    assert written.table("negatives").count() == written.report["written"]["negatives"]
    assert (tmp_path / "out" / "privacy.json").exists()
    assert (tmp_path / "out.private" / "exact.json").exists()
