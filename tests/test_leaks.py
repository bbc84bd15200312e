"""No raw identifier leaves, in any byte, on any path; and k-users outputs name nobody's own."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.pipeline import mine as pipeline

K = 3
LOOSE = hn.Config(
    select=hn.SelectConfig(
        rules=("skip_above", "click_no_click_next", "top_shown_never_clicked", "shown_not_clicked"),
        positive_coec=0.5,
        own_positive="strict",
        alpha=1.0,
        negative_coec=0.9,
        num_negatives=2,
        refill="random",
        carry=("users_shown", "users_clicked", "impressions", "clicks", "rejections", "skips", "skip_weight", "coec"),
    )
)
ARGS = ["--select.positive-coec", "0.5", "--select.alpha", "1"]
SIMULATED = re.compile(rb"[usp]\d{9}")
"""User, session and search ids as the simulation makes them."""


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """A simulated log with a query, and a document, that fewer than K users stand behind."""
    folder = tmp_path_factory.mktemp("sim")
    hn.simulate(folder / "log", impressions=30_000, seed=5)
    table = pq.read_table(folder / "log" / "log.parquet")
    ids = ("user_id", "session_id", "search_id")
    assert all(SIMULATED.fullmatch(v.encode()) for name in ids for v in table[name].unique().to_pylist())
    rare = [
        {**row, "query": "my rare illness", "clicked": row["position"] == 2, "search_id": f"p99999{user}00{i // 10}"}
        for user in range(K - 1)
        for i, row in enumerate(table.slice(0, 20).to_pylist())
        for row in [{**row, "user_id": f"u99999999{user}", "doc_id": f"rare-document-{i % 10}"}]
    ]
    path = folder / "log.parquet"
    pq.write_table(pa.concat_tables([table, pa.Table.from_pylist(rare, table.schema)]), path)
    return path


def everything(out: Path) -> bytes:
    """Raw bytes of all files, and the cells and metadata of tables, which are compressed in the files."""
    found = []
    for path in sorted(p for p in ([out] if out.is_file() else out.rglob("*")) if p.is_file()):
        found += [path.name.encode(), path.read_bytes()]
        if path.suffix == ".parquet" or path == out:
            file = pq.ParquetFile(path)
            for column in file.read().columns:
                for value in column.to_pylist():
                    found.append(value if isinstance(value, bytes) else str(value).encode())
            found.append(str(file.metadata.to_dict()).encode())
    return b"\n".join(found)


def raw_ids(table: pa.Table) -> set[str]:
    return {str(v) for name in ("user_id", "session_id", "search_id") for v in table[name].unique().to_pylist() if v}


def found_in(ids: set[str], content: bytes) -> set[str]:
    words = set(re.findall(r"[0-9A-Za-z_-]+", content.decode("utf-8", "replace")))
    # As words first, which is quick, then as parts of anything, and as they look inside a dump of bytes.
    return (ids & words) or {i for i in ids if i.encode() in content or i.encode().hex().encode() in content}


def run(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "hardneg_fast", *map(str, args)], capture_output=True, check=False)


@pytest.mark.parametrize("mode", [("--no-privacy",), ("--k-users", str(K))])
def test_mine_of_the_simulated_log(mode, log, tmp_path):
    key = tmp_path / "key"
    hn.Key.ephemeral().save(key)
    texts = log.with_name("log") / "documents.parquet"
    for i, more in enumerate([[], ["--key", str(key), "--documents", str(texts)]]):
        done = run("mine", log, "-o", tmp_path / str(i), *mode, *ARGS, *more)
        assert done.returncode == 0, done.stderr
        content = everything(tmp_path / str(i)) + done.stdout + done.stderr
        assert b"d00000" in content
        assert not SIMULATED.findall(content)
    # Nor what stands for a user inside.
    ids = pq.read_table(log)["user_id"].unique()
    codes = hn.pseudonymize(ids, key=hn.Key.load(key)).to_pylist()
    assert not [c for c in codes if c[:8] in content or c[:8].hex().encode() in content]
    assert not re.search(re.escape(key.read_bytes().split(b"\n")[1]), content)


def test_the_search_finds_what_is_there(log):
    assert len(set(SIMULATED.findall(everything(log)))) > 1_000
    ids = raw_ids(pq.read_table(log))
    assert found_in(ids, everything(log)) == ids
    one = next(iter(ids)).encode()
    assert found_in(ids, b"x" + one) == found_in(ids, b"<" + one.hex().encode()) == {one.decode()}


def test_anonymize_of_the_simulated_log(log, tmp_path):
    done = run("anonymize", log, "-o", tmp_path / "safe.parquet")
    assert done.returncode == 0, done.stderr
    assert not SIMULATED.findall(everything(tmp_path / "safe.parquet") + done.stdout + done.stderr)


def test_inspect_says_no_values(log):
    done = run("inspect", log)
    assert done.returncode == 0, done.stderr
    assert not SIMULATED.findall(done.stdout + done.stderr)


@pytest.mark.parametrize("name", ["ubi_queries_events.ndjson", "log_events.zip"])
def test_the_published_ubi_logs(name, data_dir, tmp_path):
    log, config = data_dir / "ubi-chorus" / name, hn.Config(read=hn.ReadConfig(preset="ubi"))
    ids = raw_ids(hn.read(log, config=config).read_all())
    assert len(ids) > 250
    for mode in [["--no-privacy"]] if name.endswith("zip") else [["--k-users", "2"], ["--no-privacy"]]:
        done = run("mine", log, "-o", tmp_path / mode[0], "--preset", "ubi", *mode)
        assert done.returncode == 0, done.stderr
        assert not found_in(ids, everything(tmp_path / mode[0]) + done.stdout + done.stderr)
    done = run("anonymize", log, "-o", tmp_path / "safe.parquet", "--preset", "ubi")
    assert done.returncode == 0, done.stderr
    content = everything(tmp_path / "safe.parquet") + done.stdout + done.stderr
    assert not found_in(ids, content)
    for personal in (b"Mozilla", b"130.8.186.60"):
        assert personal not in content
    done = run("inspect", log)
    assert not found_in(ids, done.stdout + done.stderr)


SECRET = "u424242424"  # noqa: S105  # an identifier


def rows(**columns: object) -> dict[str, object]:
    base = {
        "user_id": [SECRET] * 6,
        "session_id": [SECRET] * 6,
        "search_id": [SECRET] * 6,
        "query": ["shoes"] * 6,
        "doc_id": list("abcdef"),
        "position": list(range(1, 7)),
        "clicked": [False, True] * 3,
        "timestamp": ["2026-01-01"] * 6,
    }
    return base | columns


def broken(kind: str, folder: Path) -> object:
    """Logs that cannot be read, with the secret where an error would like to quote it."""
    path = folder / "log"
    if kind == "missing":
        return pa.table(rows()).drop(["clicked"])
    if kind in ("float_id", "list_id", "struct_id", "time_id"):
        kinds = {"float_id": 424242424.0, "list_id": [SECRET], "struct_id": {"id": SECRET}, "time_id": None}
        return pa.table(rows(user_id=[kinds[kind]] * 6))
    if kind == "everywhere":
        return pa.table(rows(clicked=[SECRET] * 6, position=[SECRET] * 6, timestamp=[SECRET] * 6))
    if kind == "positions":
        return pa.table(rows(position=[SECRET] * 6))
    if kind == "reader":

        def batches():
            yield pa.RecordBatch.from_pydict(rows())
            raise ValueError(f"cannot read {SECRET}")

        return pa.RecordBatchReader.from_batches(pa.RecordBatch.from_pydict(rows()).schema, batches())
    if kind == "lazy":
        return pl.DataFrame(rows()).lazy().with_columns(pl.col("user_id").cast(pl.Int64))
    if kind == "duckdb":
        con = duckdb.connect()
        con.register("log", pa.table(rows()))
        return con.sql("select user_id::int as user_id, * exclude user_id from log")
    if kind == "dictionary":
        keys = pa.array([0, 0, 0, 0, 0, 7], pa.int32())
        return pa.table(rows(user_id=pa.DictionaryArray.from_arrays(keys, pa.array([SECRET]), safe=False)))
    if kind == "parquet":
        pq.write_table(pa.table(rows(user_id=[f"{SECRET}{i}" for i in range(6)])), path, compression="none")
        content = path.read_bytes()
        at = content.rindex(SECRET.encode(), 0, content.index(b"shoes"))
        path.write_bytes(content[: at - 40] + b"\xff" * 30 + content[at - 10 :])
        return path
    lines = [",".join(rows())] + [f"{SECRET},{SECRET},{SECRET},shoes,{d},1,{SECRET},{SECRET}" for d in "abc"]
    if kind == "csv":
        path.write_text("\n".join([*lines, f'"{SECRET},never closed']))
    elif kind == "ndjson":
        path.write_text(f'{{"user_id": "{SECRET}"\n{{"user_id": {{"id": "{SECRET}"}}, "query": "q"}}\n')
    return path


KINDS = [
    "missing",
    "float_id",
    "list_id",
    "struct_id",
    "time_id",
    "everywhere",
    "positions",
    "reader",
    "lazy",
    "duckdb",
]


@pytest.mark.parametrize("kind", [*KINDS, "dictionary", "parquet", "csv", "ndjson"])
@pytest.mark.parametrize("job", ["mine", "anonymize", "count", "inspect"])
def test_errors_quote_nothing(job, kind, tmp_path, capfd):
    out = tmp_path / "out"
    jobs = {
        "mine": lambda log: hn.mine(log, out, privacy=hn.Privacy.k_users(2)),
        "anonymize": lambda log: hn.anonymize(log, out),
        "count": lambda log: hn.count(log),
        "inspect": lambda log: hn.inspect(log).lines(),
    }
    try:
        said = repr(jobs[job](broken(kind, tmp_path)))
    except hn.HardnegError as error:
        said = "".join([repr(error), *traceback.format_exception(error)])
        assert not out.exists()
    captured = capfd.readouterr()
    said += captured.out + captured.err
    assert SECRET not in said
    assert "424242424" not in said
    if out.exists():
        assert SECRET.encode() not in everything(out)


@pytest.mark.parametrize("error", [ValueError, KeyError, type("PanicException", (BaseException,), {})])
def test_the_command_line_quotes_no_internal_error(error, log, monkeypatch, capsys):
    def fail(*_args, **_options):
        raise error(f"byte 3 is not a boundary of {SECRET}")

    monkeypatch.setattr(pipeline, "mine", fail)
    assert cli.main(["mine", str(log), "-o", "out", "--no-privacy"]) == 1
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert error.__name__ in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("k", [None, 3])
def test_results_print_counts_alone(k, tmp_path):
    hn.simulate(tmp_path / "sim", impressions=30_000, seed=3)
    log = tmp_path / "sim" / "log.parquet"
    values = pq.read_table(log, columns=["query", "doc_id", "user_id", "session_id", "search_id"])
    known = {value for column in values.columns for value in column.unique().to_pylist() if value and len(value) > 3}
    privacy = hn.Privacy.none() if k is None else hn.Privacy.k_users(k)
    counts = hn.count(log)
    released = hn.release(counts, privacy=privacy)
    weighed = hn.evidence(released)
    selected = hn.select(weighed)
    result = hn.mine(log, privacy=privacy)
    assert result.negatives.num_rows > 20
    assert repr(result) == (
        f"<Result: {result.negatives.num_rows:,} negatives of {result.queries.num_rows:,} queries, "
        f"{result.triplets.num_rows:,} training rows; {'none' if k is None else 'k_users, K = 3'}>"
    )
    clicks = hn.click_log(log)
    shown = [result, counts, counts.pairs, released, released.table(), weighed, selected, selected.negatives]
    shown += [hn.related_queries(log), clicks, hn.fit_click_model(clicks, model="pbm"), hn.estimate_propensities(log)]
    for each in shown:
        for said in (repr(each), str(each), f"{[each]}"):
            assert not [value for value in known if value in said]


def test_constants_do_not_show():
    config = hn.Config(read=hn.ReadConfig(constants={"query": SECRET}))
    assert SECRET not in repr(config) + str(config.read)


def test_keys_do_not_show():
    material = bytes(range(100, 132))
    key = hn.Key(material)
    shown = [repr(key), str(key), f"{key}", f"{key!r}", key.id, repr([key]), repr({"key": key})]
    for act in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises((hn.UsageError, TypeError)) as caught:
            act(key)
        shown.append("".join(traceback.format_exception(caught.value)))
    for wrong in (material[:-1], material + b"x"):
        with pytest.raises(hn.UsageError) as caught:
            hn.Key(wrong)
        shown.append(str(caught.value))
    for said in shown:
        for form in (material.hex(), str(material)[2:-1], "ZGVmZ2hpamts"):
            assert form not in said
    assert not hasattr(key, "__dict__")


# k-users: checked against counts of the raw log that know nothing of cleaning, so that they can only be larger.
NAIVE = {
    "query": "select query, count(distinct user_id) n from log group by query",
    "shown": "select query, doc_id, count(distinct user_id) n from log group by query, doc_id",
    "clicked": "select query, doc_id, count(distinct user_id) n from log where clicked group by query, doc_id",
    "preferred": """select a.query, a.doc_id, b.doc_id, count(distinct a.user_id) n from log a join log b
        using (user_id, search_id) where a.query = b.query and a.clicked and not b.clicked
        and (b.position < a.position or b.position = a.position + 1) group by all""",
}


@pytest.fixture(scope="module")
def released(log, tmp_path_factory):
    """A run of k-users, and naive counts."""
    out = tmp_path_factory.mktemp("k") / "out"
    hn.mine(log, out, privacy=hn.Privacy.k_users(K), config=LOOSE)
    con = duckdb.connect()
    con.read_parquet(str(log)).create("log")
    naive = {name: {row[:-1]: row[-1] for row in con.sql(sql).fetchall()} for name, sql in NAIVE.items()}
    assert naive["query"]["my rare illness",] == K - 1
    return out, naive


def test_what_is_named_has_k_users(released):
    out, naive = released
    names = ("negatives", "positives", "triplets", "queries", "documents")
    tables = {name: pq.read_table(out / name).to_pylist() for name in names}
    assert len(tables["negatives"]) > 100
    assert {row["rule"] for row in tables["negatives"]} >= {"skip_above", "top_shown_never_clicked"}
    public = {doc for (_, doc), n in naive["shown"].items() if n >= K}
    for row in tables["negatives"]:
        assert naive["query"][row["query"],] >= K
        assert naive["shown"][row["query"], row["neg_id"]] >= K
        if row["pos_id"] is None:
            assert row["users"] <= naive["shown"][row["query"], row["neg_id"]]
        else:
            assert naive["clicked"][row["query"], row["pos_id"]] >= K
            assert K <= row["users"] <= naive["preferred"][row["query"], row["pos_id"], row["neg_id"]]
        assert naive["clicked"].get((row["query"], row["neg_id"]), 0) == 0, "guard F1, but for robots"
    for row in tables["triplets"]:
        assert naive["query"][row["query"],] >= K
        assert naive["clicked"][row["query"], row["positive"]] >= K
        assert {row["negative_1"], row["negative_2"]} <= public
    asked = {row["query_id"]: row["query"] for row in tables["queries"]}
    assert all(naive["clicked"][asked[row["query_id"]], row["doc_id"]] >= K for row in tables["positives"])
    assert {row["query"] for row in tables["queries"]} <= {query for (query,), n in naive["query"].items() if n >= K}
    assert {row["doc_id"] for row in tables["documents"]} <= public
    content = everything(out)
    assert b"rare illness" not in content
    assert b"rare-document" not in content


def test_counts_are_multiples_of_k(released):
    out, _ = released
    table = pq.read_table(out / "negatives")
    counts = [
        "users",
        "expected_clicks",
        "users_shown",
        "users_clicked",
        "impressions",
        "clicks",
        "rejections",
        "skips",
    ]
    for name in [*counts, "skip_weight"]:
        assert all(value is None or value % K == 0 for value in table[name].to_pylist()), name
    assert table["coec"].null_count == len(table)
    report = json.loads((out / "report.json").read_text())

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, f"{path}.{name}")
        elif isinstance(value, list):
            for inner in value:
                walk(inner, path)
        elif isinstance(value, int) and path not in public:
            seen.append(path)
            assert value % K == 0, (path, value)

    seen: list[str] = []
    # Options are public, positions are places, and how many rows a table has is seen in the table.
    public = (".input.files", ".input.position_bases.", ".release.k", ".ctr_by_position.position")
    public += (".evidence.positions.position",)
    walk({name: part for name, part in report.items() if name not in ("config", "written")}, "")
    assert len(seen) > 40
    for number in re.findall(r"at least (\d+) users", json.dumps(report["examples"])):
        assert int(number) % K == 0


def test_notes_and_surfaces_under_k_users(data_dir):
    config = hn.Config(read=hn.ReadConfig(preset="ubi"))
    report = hn.mine(
        data_dir / "ubi-chorus/ubi_queries_events.ndjson", privacy=hn.Privacy.k_users(4), config=config
    ).report
    assert "708 of 3,448 events name no document; 0 of those are impressions or clicks" in report["input"]["notes"]
    assert sorted(report["input"]["position_bases"].values()) == [0, 1]
    assert "Chorus" not in json.dumps(report)
