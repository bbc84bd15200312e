"""One Spark session for all tests: a few partitions, an event log, and shuffle files that can be searched."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import hardneg_fast as hn

PARTS = 5
os.environ["PYSPARK_PYTHON"] = sys.executable
# Tasks get key sources of the tests, and import the module that these are of.
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="session")
def places(tmp_path_factory) -> dict[str, Path]:
    """Where Spark keeps what it writes."""
    return {name: tmp_path_factory.mktemp(name) for name in ("events", "local", "warehouse")}


@pytest.fixture(scope="session")
def spark(places):
    builder = SparkSession.builder.master("local[2,4]").appName("hardneg_fast")
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": PARTS,
        "spark.local.dir": places["local"],
        "spark.sql.warehouse.dir": places["warehouse"],
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": places["events"].as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.logStageExecutorMetrics": "true",
        # What Spark writes is to be read by the tests as it is.
        "spark.shuffle.compress": "false",
        "spark.shuffle.spill.compress": "false",
        "spark.rdd.compress": "false",
        "spark.broadcast.compress": "false",
        "spark.sql.session.timeZone": "Europe/Berlin",
        "spark.sql.execution.arrow.maxRecordsPerBatch": 3_000,
        "spark.driver.memory": "1g",
    }
    for name, value in settings.items():
        builder = builder.config(name, str(value))
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def key(tmp_path_factory) -> partial[hn.Key]:
    """Gets a key where it is called."""
    path = tmp_path_factory.mktemp("key") / "hn.key"
    hn.Key.ephemeral().save(path)
    return partial(hn.Key.load, path)


@pytest.fixture(scope="session")
def log_path(tmp_path_factory) -> Path:
    """A simulated log in several files, whose rows are in no order."""
    folder = tmp_path_factory.mktemp("simulated")
    hn.simulate(folder / "all", impressions=60_000, seed=6)
    table = pq.read_table(folder / "all" / "log.parquet")
    log = folder / "log"
    log.mkdir()
    for i in range(3):
        pq.write_table(table.take(pa.array(range(i, table.num_rows, 3))), log / f"{i}.parquet", row_group_size=7_000)
    return log


@pytest.fixture(scope="session")
def log(spark, log_path):
    return spark.read.parquet(str(log_path))
