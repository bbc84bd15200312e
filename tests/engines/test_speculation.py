"""On a cluster of two machines (by name), what Spark computes twice is written once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.find_spark_home import _find_spark_home

import hardneg_fast as hn
from same_dataset import assert_same_dataset

HERE = Path(__file__).parent


@pytest.fixture
def cluster(tmp_path):
    """A master and two workers, on two names of this machine: Spark never tries a task twice on one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    paths = os.pathsep.join([str(HERE.parents[1] / "python"), str(HERE)])
    env = os.environ | {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": paths, "SPARK_DAEMON_MEMORY": "256m"}
    begin = [f"{_find_spark_home()}/bin/spark-class"]
    daemons = [
        ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"],
        *(
            [
                "org.apache.spark.deploy.worker.Worker", "--host", host, "--cores", "1", "--memory", "600m",
                "--webui-port", "0", "--work-dir", str(tmp_path / f"work {host}"), master,
            ]
            for host in ("127.0.0.2", "127.0.0.3")
        ),
    ]  # fmt: skip
    with ExitStack() as stack:
        for i, daemon in enumerate(daemons):
            log = stack.enter_context((tmp_path / f"daemon {i}").open("w"))
            started = subprocess.Popen([*begin, *daemon], env=env, stdout=log, stderr=log)
            stack.callback(started.wait)
            stack.callback(started.kill)
            while i == 0 and not _listens(port):
                assert started.poll() is None, (tmp_path / "daemon 0").read_text()
                time.sleep(0.2)
        yield master, env


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def test_speculative_tasks_change_nothing(cluster, log_path, key, tmp_path):
    master, env = cluster
    events, notes = tmp_path / "events", tmp_path / "notes"
    events.mkdir()
    notes.mkdir()
    hn.mine(log_path, tmp_path / "here", privacy=hn.Privacy.k_users(4))
    places = [log_path, tmp_path / "spark", key.args[0], events, notes]
    command = [sys.executable, HERE / "speculating.py", master, *places]
    ran = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 0, ran.stderr[-3_000:]

    assert_same_dataset(tmp_path / "spark", tmp_path / "here")
    ends = [
        json.loads(line)
        for path in events.rglob("*")
        if path.is_file()
        for line in path.read_text().splitlines()
        if line.startswith('{"Event":"SparkListenerTaskEnd"')
    ]
    won = {end["Stage ID"] for end in ends if end["Task Info"]["Speculative"] and not end["Task Info"]["Failed"]}
    twice = {int(path.name.split()[1]) for path in notes.iterdir() if path.name.endswith("attempt 1")}
    assert len(twice) >= 10, "splitting, counting, releasing, answers, selecting, and tables each began a task twice"
    assert won >= twice
