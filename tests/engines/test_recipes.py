"""The lines of docs/SPARK.md for other engines, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn

GUIDE = Path(__file__).parents[2] / "docs" / "SPARK.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def snippet(word: str) -> str:
    (found,) = [code for code in SNIPPETS if word in code]
    return found


PRELUDE = """
from functools import partial
import hardneg_fast as hn
get_key, path = partial(hn.Key.load, {key!r}), {path!r}
"""
START = """
import ray
import tempfile
short = tempfile.TemporaryDirectory()  # the path of a socket has 107 bytes
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=short.name, object_store_memory=10**8)
"""
END = """
import pyarrow.parquet as pq
for name in ("negatives", "triplets"):
    pq.write_table(pa.table(getattr(selected, name)), {folder!r} + "/" + name)
"""
IN_PARTS = """
pq.write_table(select_in_parts(list(blocks["block"].compute())), {folder!r} + "/in parts")
"""


@pytest.fixture(scope="module")
def expected(log_path) -> hn.Result:
    return hn.mine(log_path, privacy=hn.Privacy.k_users(4))


def test_spark(spark, log_path, key, expected, tmp_path):
    names = {"session": spark, "path": str(log_path), "key_file": key.args[0], "out": str(tmp_path / "out")}
    exec(compile(snippet("spark.mine"), str(GUIDE), "exec"), names)  # noqa: S102 - shown code is run
    assert names["negatives"].count() == expected.negatives.num_rows
    assert pq.read_table(tmp_path / "out" / "negatives") == expected.negatives


@pytest.mark.parametrize(("engine", "start", "more"), [("import dask", "", IN_PARTS), ("import ray", START, "")])
def test_other_engines(engine, start, more, log_path, key, expected, tmp_path):
    """In a program of its own, whose functions these engines send about."""
    prelude, start, end = (
        text.format(key=str(key.args[0]), path=str(log_path), folder=str(tmp_path))
        for text in (PRELUDE, start, END + more)
    )
    program = tmp_path / "program.py"
    shown = snippet("def release") + snippet("def select_in_parts") + snippet(engine)
    program.write_text(prelude + start + shown + end, encoding="utf-8")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    if more:
        assert pq.read_table(tmp_path / "in parts") == expected.negatives
    for name in ("negatives", "triplets"):
        found = pq.read_table(tmp_path / name)
        assert found == getattr(expected, name), name
        assert found.num_rows > 5
