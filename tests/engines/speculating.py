"""Mines on a cluster where one task of each stage is slow, so that Spark starts it a second time elsewhere.

python speculating.py MASTER LOG OUT KEY EVENTS NOTES
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark import TaskContext
from pyspark.sql import SparkSession

import hardneg_fast as hn
from hardneg_fast import spark

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.executor.cores": 1,
    "spark.sql.shuffle.partitions": 4,
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.minTaskRuntime": "500ms",
    "spark.speculation.multiplier": 1.1,
    "spark.speculation.quantile": 0.5,
    "spark.locality.wait": "0s",
}


@dataclass(frozen=True)
class Slow:
    """Gets the key, but takes its time where a stage's second task is tried for the first time."""

    key: partial[hn.Key]
    notes: str
    seconds: float = 60.0

    def __call__(self) -> hn.Key:
        task = TaskContext.get()
        if task is not None and task.partitionId() == 1:
            (Path(self.notes) / f"stage {task.stageId()} attempt {task.attemptNumber()}").touch()
            if task.attemptNumber() == 0:
                time.sleep(self.seconds)
        return self.key()


def main(master: str, log: str, out: str, key: str, events: str, notes: str) -> None:
    builder = SparkSession.builder.master(master).config("spark.eventLog.dir", Path(events).as_uri())
    for name, value in SETTINGS.items():
        builder = builder.config(name, str(value))
    session = builder.getOrCreate()
    slow = Slow(partial(hn.Key.load, key), notes)
    rows = session.read.parquet(log).repartition(4)
    spark.mine(rows, out, privacy=hn.Privacy.k_users(4), key=slow)
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
