"""What is public, and that real dataframes and engines can be passed in and take results out."""

from __future__ import annotations

import inspect
import itertools
import pickle
import random
import subprocess
import sys
import time
import types
import typing

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hardneg_fast as hn
import strategies
from hardneg_fast.count import TABLES

N = 600
POOL = random.Random(4)
ROWS = pa.table(
    {
        "user_id": pa.array([f"user {i // 6 % 40}" for i in range(N)]),
        "search_id": pa.array([i // 6 for i in range(N)]),
        "query": pa.array([["Red Shoes", "red  shoes", "hats"][i // 6 % 3] for i in range(N)]),
        "doc_id": pa.array([f"d{(i * 7) % 9}" for i in range(N)]),
        "position": pa.array([i % 6 + 1 for i in range(N)], pa.int32()),
        "clicked": pa.array([POOL.random() < (0.5 if (i * 7) % 9 < 2 else 0.02) for i in range(N)]),
        "timestamp": pa.array([strategies.NOON + i // 6 * 30_000_000 for i in range(N)], pa.timestamp("us", tz="UTC")),
    }
)
CONFIG = hn.Config(select=hn.SelectConfig(positive_coec=0.1, alpha=1.0, negative_coec=10.0))
NONE = hn.Privacy.none()


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_is_sorted_and_true():
    assert sorted(hn.__all__) == hn.__all__
    assert len(set(hn.__all__)) == len(hn.__all__)
    for name in hn.__all__:
        assert getattr(hn, name) is not None
        assert name in dir(hn)
    with pytest.raises(AttributeError, match="no attribute 'moan'"):
        hn.moan  # noqa: B018  # the attribute is what is asked for
    assert hn.__version__ == typing.cast("str", fresh("import hardneg_fast; print(hardneg_fast.__version__)"))


def test_functions_that_use_the_package_can_be_sent_elsewhere():
    """Spark, Dask and Ray pickle what a function names; the package goes by its name."""
    assert pickle.loads(pickle.dumps(hn)) is hn  # noqa: S301 - our own bytes


def test_every_public_name_has_a_docstring():
    for name in hn.__all__:
        value = getattr(hn, name)
        assert inspect.getdoc(value), name
        if inspect.isclass(value) and not issubclass(value, Exception):
            for method, own in vars(value).items():
                if not method.startswith("_") and callable(getattr(value, method)):
                    assert inspect.getdoc(getattr(value, method)), f"{name}.{method}"
                assert not isinstance(own, property) or own.__doc__, f"{name}.{method}"
        elif inspect.isfunction(value):
            options = [p for p in inspect.signature(value).parameters.values() if p.default is not p.empty]
            assert all(p.kind is p.KEYWORD_ONLY for p in options[1:]), f"{name}: options are named"


@pytest.mark.parametrize(
    "before",
    [
        "import hardneg_fast.count, hardneg_fast.select",
        "from hardneg_fast import pipeline",
        "import hardneg_fast as hn; hn.count; import hardneg_fast.count, hardneg_fast.evidence, hardneg_fast.release",
        "import hardneg_fast.simulate; from hardneg_fast import simulate",
        "import importlib; [importlib.import_module('hardneg_fast.' + n) for n in NAMES]",
        "import importlib; [importlib.import_module('hardneg_fast.' + n) for n in NAMES[::-1]]",
        "import importlib, hardneg_fast as h\nfor n in NAMES: h.count; importlib.import_module(f'hardneg_fast.{n}')",
    ],
)
def test_functions_are_not_replaced_by_the_modules_they_live_in(before):
    names = [n for n in hn.__all__ if isinstance(getattr(hn, n), types.FunctionType)]
    modules = ["count", "select", "release", "evidence", "simulate", "anonymize", "read"]
    assert {*modules} <= {*names}
    check = f"import hardneg_fast as h; print([n for n in {names} if type(getattr(h, n)).__name__ != 'function'])"
    assert fresh(f"NAMES = {modules}\n{before}\n{check}") == "[]"


def test_what_is_imported_when():
    heavy = "print(sorted({'pyarrow', 'numpy', 'polars', 'duckdb', 'datasets'} & set(sys.modules)))"
    assert fresh(f"import sys, hardneg_fast; {heavy}") == "[]"
    help_ = "import contextlib as c, io\nwith c.suppress(SystemExit), c.redirect_stdout(io.StringIO()): main"
    for words in ("['--help']", "['mine', '--help']", "['--version']"):
        assert fresh(f"import sys\nfrom hardneg_fast.cli import main\n{help_}({words})\n{heavy}") == "[]"
    assert fresh(f"import sys, hardneg_fast; hardneg_fast.mine; {heavy}") == "['numpy', 'pyarrow']"


def test_the_debug_flag_is_told():
    flag = "import sys; from hardneg_fast import _hardneg; print(_hardneg.DEBUG_BUILD)"
    quiet = fresh("import warnings; warnings.simplefilter('ignore')\n" + flag)
    warned = fresh(f"import warnings\nwith warnings.catch_warnings(record=True) as w:\n  {flag}\nprint(len(w))")
    assert warned.split() == [quiet, "1" if quiet == "True" else "0"]


def relation(table: pa.Table) -> duckdb.DuckDBPyRelation:
    connection = duckdb.connect()
    connection.register("log", table)
    return connection.sql("from log")


PRODUCERS = {
    "pyarrow": lambda t: t,
    "batch": lambda t: t.combine_chunks().to_batches()[0],
    "reader": lambda t: t.to_reader(),
    "polars": pl.from_arrow,
    "lazy": lambda t: pl.from_arrow(t).lazy(),
    "pandas": lambda t: t.to_pandas(),
    "pandas_arrow": lambda t: t.to_pandas(types_mapper=pd.ArrowDtype),
    "duckdb": relation,
    "datasets": datasets.Dataset,
    "categories": lambda t: pl.from_arrow(t).with_columns(pl.col("user_id", "query", "doc_id").cast(pl.Categorical)),
}


@pytest.mark.parametrize("name", PRODUCERS)
def test_logs_of_any_producer(name):
    log = PRODUCERS[name](ROWS)
    if name == "datasets":
        log = log.data.table  # a Dataset itself speaks no Arrow interface
    found, expected = hn.count(log), hn.count(ROWS)
    for table in ("queries", "pairs", "preferences", "cells", "successions"):
        assert pa.table(found.table(table)) == pa.table(expected.table(table))
        assert pa.table(found.table(table)).num_rows > 0


def series(name: str, values: pa.Array) -> object:
    return {
        "array": lambda: values,
        "chunked": lambda: pa.chunked_array([values[:1], values[1:1], values[1:]]),
        "dictionary": lambda: values.dictionary_encode(),
        "polars": lambda: pl.Series(values),
        "categorical": lambda: pl.Series(values).cast(pl.String).cast(pl.Categorical),
        "pandas": lambda: pd.Series(values, dtype=pd.ArrowDtype(values.type)),
        "duckdb": lambda: relation(pa.table({"x": values})),
        "frame": lambda: pl.DataFrame({"x": values}),
    }[name]()


@pytest.mark.parametrize(
    "name", ["array", "chunked", "dictionary", "polars", "categorical", "pandas", "duckdb", "frame"]
)
def test_columns_of_any_producer(name):
    key = hn.Key(bytes(32))
    for values in (["42", None, "Ünal  x", "42"], ["", "a"]):
        column = pa.array(values)
        made = hn.pseudonymize(series(name, column), key=key)
        assert made.type == pa.binary(16)
        assert made == hn.pseudonymize(column, key=key)
    whole = pa.array([42, None, -7])
    assert hn.pseudonymize(series(name, whole), key=key) == hn.pseudonymize(whole.cast(pa.string()), key=key)
    queries = pa.array(["RED\u00a0 Shoes ", None, " \x00", "stra\u00dfe"])
    assert hn.normalize(series(name, queries)).to_pylist() == ["red shoes", None, None, "strasse"]


def test_what_is_no_column():
    key = hn.Key(bytes(32))
    for act in (hn.normalize, lambda x: hn.pseudonymize(x, key=key)):
        for wrong in (["a"], "a", 5, None, ROWS):
            with pytest.raises(hn.UsageError):
                act(wrong)
    for wrong in (pa.array([1.5]), pa.array([["a"]]), pa.array([True])):
        with pytest.raises(hn.ColumnError, match="type"):
            hn.pseudonymize(wrong, key=key)
    with pytest.raises(hn.UsageError, match="field"):
        hn.pseudonymize(pa.array(["a"]), key=key, field="doc_id")
    with pytest.raises(hn.UsageError, match="key must be a Key"):
        hn.pseudonymize(pa.array(["a"]), key=bytes(32))


def test_results_go_into_each():
    counts = hn.count(ROWS)
    released = hn.release(counts, privacy=hn.Privacy.k_users(2))
    evidence = hn.evidence(released)
    selected = hn.select(evidence, config=CONFIG.select)
    results = [counts.pairs, counts.queries, released.table(), evidence.table(), evidence.positions()]
    results += [selected.negatives, selected.positives, selected.triplets]
    for made in results:
        table = pa.table(made)
        assert (table.num_rows, table.column_names) == (made.num_rows, made.column_names)
        assert table.num_rows > 0
        rows = table.to_pylist()
        assert pl.DataFrame(made).to_dicts() == rows, "again, and in polars"
        assert pa.table(relation(made)).to_pylist() == rows
        assert pd.DataFrame.from_arrow(made).shape == table.shape
        assert datasets.Dataset(table).to_list() == rows
        assert str(made.num_rows) in repr(made)


def test_the_stages_by_hand_are_mine():
    result = hn.mine(ROWS, privacy=NONE, config=CONFIG)
    evidence = hn.evidence(hn.release(hn.count(ROWS, config=CONFIG), privacy=NONE), config=CONFIG.evidence)
    selected = hn.select(evidence, config=CONFIG.select, seed=CONFIG.seed)
    assert pa.table(selected.negatives) == result.negatives
    assert pa.table(selected.triplets) == result.triplets
    assert result.negatives.num_rows > 3
    again = hn.mine(hn.read(ROWS), privacy=NONE, config=CONFIG)
    assert again.negatives == result.negatives


def test_result(tmp_path):
    result = hn.mine(ROWS, tmp_path / "out", privacy=NONE, config=CONFIG)
    found = result.to_hf()
    assert found["triplets"].to_list() == result.triplets.to_pylist()
    assert found["negatives"].column_names == result.negatives.column_names
    row = result.negatives.to_pylist()[0]
    words = result.explain(row["query"], row["neg_id"])
    assert str(row["users"]) in words[0]
    assert len(result.explain(row["query"])) >= len(words)
    for wrong in (("nobody asked",), (row["query"], "d99"), ("Red Shoes",)):
        with pytest.raises(hn.UsageError, match="no negative here"):
            result.explain(*wrong)
    assert len(repr(result)) < 5_000, "report and statement are not spelled out"
    least = hn.mine(ROWS, privacy=hn.Privacy.k_users(2), config=CONFIG)
    assert all("at least" in words for words in least.explain(least.negatives["query"][0].as_py()))


def test_merge_of_disjoint_users():
    parts = [ROWS.filter(pa.compute.field("user_id") < "user 3"), ROWS.filter(pa.compute.field("user_id") >= "user 3")]
    whole = hn.count(ROWS)
    for first, second in itertools.permutations(hn.count(part) for part in parts):
        merged = hn.merge(first, second)
        assert (merged.rows, merged.sizes, merged.has) == (whole.rows, whole.sizes, whole.has)
        for name in TABLES[:-2]:
            assert pa.table(merged.table(name)) == pa.table(whole.table(name)), name
        chosen = hn.select(hn.evidence(hn.release(merged, privacy=NONE)), config=CONFIG.select)
        assert pa.table(chosen.negatives) == hn.mine(ROWS, privacy=NONE, config=CONFIG).negatives
    with pytest.raises(hn.UsageError, match="cannot be merged"):
        hn.merge(whole, hn.count(ROWS.drop(["user_id"])))
    with pytest.raises(hn.UsageError, match="cells were not counted"):
        hn.count(ROWS, tables=("pairs",)).cells  # noqa: B018  # the attribute is what is asked for
    with pytest.raises(hn.UsageError, match="tabel"):
        whole.table("tabel")


def test_progress_is_told_and_can_stop(tmp_path):
    told = []
    hn.count(ROWS, progress=lambda stage, rows, _done: told.append((stage, rows)))
    assert all(stage in ("reading", "bounding", "counting") and rows <= N for stage, rows in told)

    def stop(_stage: str, _rows: int, _done: float | None) -> None:
        raise KeyboardInterrupt

    def slow():
        for batch in ROWS.to_batches(max_chunksize=100):
            time.sleep(0.15)
            yield batch

    with pytest.raises(KeyboardInterrupt):
        hn.mine(pa.RecordBatchReader.from_batches(ROWS.schema, slow()), tmp_path / "o", privacy=NONE, progress=stop)
    assert not (tmp_path / "o").exists()
