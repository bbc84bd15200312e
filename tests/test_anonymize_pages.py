"""Copies by pages: the original with identifiers replaced, in every reader, whoever wrote the file, and no more."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli

KEY = hn.Key(bytes(range(32)))
IDS = ("user_id", "session_id", "search_id")
KEEP = {"time": "keep", "query_text": "keep"}
REWRITTEN = "dictionary rewritten"
COPIED = "pages copied"


def made(rows: int = 2500, seed: int = 1) -> pa.Table:
    """A log whose identifiers are found again in any byte: long, and like nothing else."""
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    users = [None if i % 97 == 5 else f"raw-user-{(i * 7 + seed) % 211:04d}" for i in range(rows)]
    return pa.table(
        {
            "ip": [f"raw-address-{i % 300}" for i in range(rows)],
            "user_id": users,
            "session_id": [f"raw-session-{i // 40}" for i in range(rows)],
            "search_id": pa.array([None if i % 31 == 0 else 10**15 + i // 10 for i in range(rows)], pa.int64()),
            "query": [None if i % 50 == 1 else f"  Query {i // 20 % 120} " for i in range(rows)],
            "doc_id": [f"d{i * 31 % 1009}" for i in range(rows)],
            "position": pa.array([i % 10 + 1 for i in range(rows)], pa.int32()),
            "clicked": [i % 7 == 0 for i in range(rows)],
            "dwell_ms": pa.array([i * 13 if i % 7 == 0 else None for i in range(rows)], pa.int64()),
            "timestamp": pa.array(
                [start + datetime.timedelta(seconds=i) for i in range(rows)], pa.timestamp("us", tz="UTC")
            ),
            "price": [i / 3 for i in range(rows)],
            "tags": [[f"t{i % 5}"] * (i % 3) for i in range(rows)],
        }
    )


def expected(table: pa.Table, names: list[str]) -> list[dict]:
    """What the page says: the same rows, identifiers replaced. The naive twin."""
    columns = {
        name: hn.pseudonymize(table[name], key=KEY, field=name).to_pylist() if name in IDS else table[name].to_pylist()
        for name in names
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_by_all(path: Path) -> dict[str, list[dict]]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        duck = connection.read_parquet(str(path)).to_arrow_table()
    found = {"pyarrow": pq.read_table(path), "polars": pl.read_parquet(path).to_arrow(), "duckdb": duck}
    return {reader: table.to_pylist() for reader, table in found.items()}


def everything(path: Path) -> bytes:
    """All bytes, and all cells, which are compressed in the file."""
    cells = [str(v).encode() for column in pq.read_table(path).columns for v in column.to_pylist()]
    return b"\n".join([path.read_bytes(), str(pq.ParquetFile(path).metadata.to_dict()).encode(), *cells])


def check(raw: Path | list[Path], out: Path, keep: tuple[str, ...] = ()) -> dict:
    """Copies and compares in every reader, and looks for every identifier in every byte."""
    done = hn.anonymize(raw, out, key=KEY, keep=keep, overwrite=True, **KEEP)
    table = pa.concat_tables([pq.read_table(path) for path in ([raw] if isinstance(raw, Path) else raw)])
    names = [n for n in table.column_names if n in done["columns"]]
    wanted = expected(table, done["columns"])
    assert set(names) == set(done["columns"])
    for reader, found in read_by_all(out).items():
        assert found == wanted, reader
    schema = pq.read_schema(out)
    assert schema.metadata is None
    assert all(schema.field(name).type == pa.binary(16) for name in IDS if name in names)
    assert (done["rows"], done["quarantine"]) == (table.num_rows, {})
    bytes_ = everything(out)
    for name in (*IDS, "ip"):
        if name in table.column_names and name not in keep:
            for value in table[name].unique().to_pylist():
                assert not value or str(value).encode() not in bytes_
                if isinstance(value, int):
                    assert value.to_bytes(8, "little") not in bytes_
    return done


WRITERS = {
    "plain": {},
    "v2": {"data_page_version": "2.0"},
    "none": {"compression": "none"},
    "none_v2": {"compression": "none", "data_page_version": "2.0"},
    "zstd": {"compression": "zstd"},
    "gzip": {"compression": "gzip"},
    "brotli": {"compression": "brotli"},
    "lz4": {"compression": "lz4"},
    "groups": {"row_group_size": 700},
    "small_pages": {"data_page_size": 256, "write_page_index": True, "write_page_checksum": True},
    "old": {"version": "1.0", "data_page_version": "1.0", "use_deprecated_int96_timestamps": True},
    "all_at_once": {"row_group_size": 1111, "data_page_size": 300, "compression": "zstd", "data_page_version": "2.0",
                    "write_page_index": True, "sorting_columns": [pq.SortingColumn(1)]},
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_pyarrow(writer, tmp_path):
    pq.write_table(made(), tmp_path / "log.parquet", **WRITERS[writer])
    done = check(tmp_path / "log.parquet", tmp_path / "out.parquet", keep=("price", "tags"))
    assert {done["written"][name] for name in IDS} == {REWRITTEN}
    assert {said for name, said in done["written"].items() if name not in IDS} == {COPIED}
    assert done["left_in"] == [name for name in done["columns"] if name not in IDS]


def test_bloom_filters_and_metadata_stay_behind(tmp_path):
    table = made().replace_schema_metadata({"raw-user-0001": "raw-address-1"})
    pq.write_table(
        table, tmp_path / "log.parquet", bloom_filter_options=dict.fromkeys(("user_id", "query"), True),
        write_page_index=True,
    )  # fmt: skip
    check(tmp_path / "log.parquet", tmp_path / "out.parquet")
    footer = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert footer.metadata is None
    for i in range(footer.num_columns):
        column = footer.row_group(0).column(i)
        assert not column.has_offset_index
        assert not column.has_column_index
        assert column.statistics is None or column.physical_type != "BYTE_ARRAY" or not column.statistics.has_min_max
    # Bounds of numbers stay: mine finds the position base by them.
    position = next(
        c for i in range(footer.num_columns) if (c := footer.row_group(0).column(i)).path_in_schema == "position"
    )
    assert (position.statistics.min, position.statistics.max) == (1, 10)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_dictionaries_given_up_in_the_middle(version, compression, tmp_path):
    pq.write_table(
        made(), tmp_path / "log.parquet", dictionary_pagesize_limit=200, data_page_size=400,
        data_page_version=version, compression=compression,
    )  # fmt: skip
    done = check(tmp_path / "log.parquet", tmp_path / "out.parquet")
    assert done["written"]["session_id"] == "decoded and encoded: pages that are not dictionary-coded"
    assert done["written"]["doc_id"] == COPIED


def test_no_dictionaries(tmp_path):
    pq.write_table(made(), tmp_path / "log.parquet", use_dictionary=False)
    done = check(tmp_path / "log.parquet", tmp_path / "out.parquet")
    assert {done["written"][name] for name in IDS} == {"decoded and encoded: pages that are not dictionary-coded"}
    pq.write_table(
        made(), tmp_path / "log.parquet", use_dictionary=False, column_encoding={"user_id": "DELTA_BYTE_ARRAY"}
    )
    check(tmp_path / "log.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("nullable", [True, False])
def test_empty_identifiers_become_null(dictionary, nullable, tmp_path):
    table = made(600)
    users = ["" if i % 9 == 0 and i < 200 else f"raw-user-{i % 50}" for i in range(600)]
    fields = [pa.field("user_id", pa.string(), nullable) if f.name == "user_id" else f for f in table.schema]
    table = table.set_column(1, "user_id", pa.array(users)).cast(pa.schema(fields))
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=200, use_dictionary=dictionary)
    done = check(tmp_path / "log.parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["user_id"].null_count == 23
    if dictionary and nullable:
        said = "dictionary rewritten; decoded and encoded in 1 of 3 row groups: empty values, which become null"
        assert done["written"]["user_id"] == said
    required = table.set_column(1, fields[1], pa.array([f"raw-user-{i % 50}" for i in range(600)]))
    pq.write_table(required, tmp_path / "log.parquet", row_group_size=200, use_dictionary=dictionary)
    done = check(tmp_path / "log.parquet", tmp_path / "out.parquet")
    if dictionary:
        assert done["written"]["user_id"] == REWRITTEN
        assert pq.read_schema(tmp_path / "out.parquet").field("user_id").nullable == nullable


def test_identifiers_of_every_type(tmp_path):
    base = made(300).drop_columns(["search_id"])
    for kind in (pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64()):
        top = 2 ** (kind.bit_width - (str(kind)[0] == "i")) - 1
        values = [[top, 0, None, 1 if str(kind)[0] == "u" else -top][i % 4] for i in range(300)]
        for dictionary in (True, False):
            table = base.set_column(1, "user_id", pa.array(values, kind))
            pq.write_table(table, tmp_path / "log.parquet", use_dictionary=dictionary)
            out = tmp_path / "out.parquet"
            hn.anonymize(tmp_path / "log.parquet", out, key=KEY, overwrite=True, **KEEP)
            assert pq.read_table(out)["user_id"].to_pylist() == hn.pseudonymize(table["user_id"], key=KEY).to_pylist()
    binary = pa.array([[b"raw-\xff-user", b"", None][i % 3] for i in range(300)], pa.binary())
    for values in (
        binary,
        pa.array([b"raw-fixed-%d" % (i % 7) for i in range(300)], pa.binary(11)),
        binary.fill_null(b"x"),
    ):
        for dictionary in (True, False):
            pq.write_table(base.set_column(1, "user_id", values), tmp_path / "log.parquet", use_dictionary=dictionary)
            check(tmp_path / "log.parquet", tmp_path / "out.parquet")
    # A date is no identifier that the pages of can be told: the log is decoded, and that is said no to by name.
    pq.write_table(base.set_column(1, "user_id", pa.array([0.5] * 300)), tmp_path / "log.parquet")
    with pytest.raises(hn.ColumnError, match="user_id"):
        hn.anonymize(tmp_path / "log.parquet", tmp_path / "o", **KEEP)
    assert not (tmp_path / "o").exists()


def test_files_of_duckdb_and_polars(tmp_path):
    log = made().drop_columns(["tags"])
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for codec in ("snappy", "zstd", "uncompressed"):
            connection.execute(f"copy log to '{tmp_path}/duck-{codec}.parquet' (compression {codec})")
            check(tmp_path / f"duck-{codec}.parquet", tmp_path / "out.parquet", keep=("price",))
        connection.execute(f"copy log to '{tmp_path}/duck-v2.parquet' (parquet_version v2)")
        check(tmp_path / "duck-v2.parquet", tmp_path / "out.parquet", keep=("price",))
    for codec in ("snappy", "zstd", "uncompressed", "lz4"):
        path = tmp_path / f"polars-{codec}.parquet"
        pl.from_arrow(log).write_parquet(path, compression=codec, row_group_size=1000, data_page_size=500)
        check(path, tmp_path / "out.parquet", keep=("price",))


def test_several_files_are_one(tmp_path):
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    for i, path in enumerate(paths):
        pq.write_table(made(900, i), path, row_group_size=400, compression=["zstd", "none", "snappy"][i])
    check(paths, tmp_path / "out.parquet", keep=("tags",))
    table = made(900)
    pq.write_table(table.set_column(6, "position", table["position"].cast(pa.int64())), paths[0])
    done = hn.anonymize(paths[:2], tmp_path / "out.parquet", key=KEY, overwrite=True, **KEEP)
    assert set(done["written"].values()) == {"decoded and encoded: position has not the same type in every file"}


def test_empty_logs(tmp_path):
    pq.write_table(made(1).slice(0, 0), tmp_path / "log.parquet")
    done = hn.anonymize(tmp_path / "log.parquet", tmp_path / "out.parquet", key=KEY, **KEEP)
    assert done["rows"] == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0
    assert pq.read_schema(tmp_path / "out.parquet").field("user_id").type == pa.binary(16)
    empty = {name: pa.nulls(50, pa.string()) for name in (*IDS, "query", "doc_id")} | {"clicked": [True] * 50}
    pq.write_table(pa.table(empty), tmp_path / "log.parquet")
    check(tmp_path / "log.parquet", tmp_path / "out.parquet")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    users=st.lists(st.none() | st.text("ab\u00e9\0", max_size=3), max_size=60),
    options=st.fixed_dictionaries(
        {
            "use_dictionary": st.booleans(),
            "dictionary_pagesize_limit": st.sampled_from([1, 20, 1 << 20]),
            "data_page_size": st.sampled_from([1, 30, 1 << 20]),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
            "compression": st.sampled_from(["none", "snappy", "zstd", "gzip", "lz4", "brotli"]),
            "row_group_size": st.integers(1, 60),
            "write_statistics": st.booleans(),
        }
    ),
    threads=st.integers(1, 4),
)
def test_whatever_is_in_it(users, options, threads, tmp_path):
    n = len(users)
    table = pa.table({"user_id": pa.array(users, pa.string()), "query": users, "doc_id": users, "clicked": [False] * n})
    table = table.cast(
        pa.schema([(name, pa.bool_() if name == "clicked" else pa.string()) for name in table.schema.names])
    )
    pq.write_table(table, tmp_path / "log.parquet", **options)
    files = []
    for workers in (threads, 1):
        hn.anonymize(tmp_path / "log.parquet", tmp_path / "out.parquet", key=KEY, overwrite=True,
                     config=hn.Config(threads=workers), **KEEP)  # fmt: skip
        files.append((tmp_path / "out.parquet").read_bytes())
    assert files[0] == files[1], "the same bytes for any number of threads"
    for reader, found in read_by_all(tmp_path / "out.parquet").items():
        assert found == expected(table, ["user_id", "query", "doc_id", "clicked"]), reader


def test_columns_that_are_called_otherwise(tmp_path):
    table = made(500).rename_columns({"user_id": "uid", "position": "rank"})
    pq.write_table(table, tmp_path / "log.parquet")
    config = hn.Config(read=hn.ReadConfig(columns={"user_id": "uid", "position": "rank"}))
    done = hn.anonymize(tmp_path / "log.parquet", tmp_path / "out.parquet", key=KEY, config=config, **KEEP)
    assert done["columns"][:3] == list(IDS)
    assert pq.read_table(tmp_path / "out.parquet")["position"].to_pylist() == table["rank"].to_pylist()
    assert "uid" not in pq.read_schema(tmp_path / "out.parquet").names
    # Under its own name an identifier would be kept raw.
    for keep in (("uid",), ("rank",), ("user_id",), ("search_id",)):
        for mode in (KEEP, {}):
            with pytest.raises((hn.UsageError, hn.ColumnError), match=keep[0]):
                hn.anonymize(tmp_path / "log.parquet", tmp_path / "o", config=config, keep=keep, **mode)
    with pytest.raises(hn.ColumnError, match="nowhere"):
        hn.anonymize(tmp_path / "log.parquet", tmp_path / "o", config=config, keep=("nowhere",), **KEEP)
    inside = pa.table({"who": [{"uid": "raw-user-1", "n": 1}], "query": ["q"], "doc_id": ["d"], "clicked": [True]})
    pq.write_table(inside, tmp_path / "log.parquet")
    config = hn.Config(read=hn.ReadConfig(columns={"user_id": "who.uid"}))
    with pytest.raises(hn.UsageError, match="holds user_id"):
        hn.anonymize(tmp_path / "log.parquet", tmp_path / "o", config=config, keep=("who",), **KEEP)
    done = hn.anonymize(tmp_path / "log.parquet", tmp_path / "o", key=KEY, config=config, **KEEP)
    assert set(done["written"].values()) == {"decoded and encoded: user_id is no column of the top level in every file"}
    assert (
        pq.read_table(tmp_path / "o")["user_id"].to_pylist()
        == hn.pseudonymize(pa.array(["raw-user-1"]), key=KEY).to_pylist()
    )


def test_decoding_keeps_columns_too(tmp_path):
    pq.write_table(made(800), tmp_path / "log.parquet")
    for mode in ({}, {"time": "keep"}, {"query_text": "keep"}):
        done = hn.anonymize(
            tmp_path / "log.parquet", tmp_path / "o", key=KEY, keep=("price", "tags"), overwrite=True, **mode
        )
        assert len({*done["written"].values()}) == 1
        assert next(iter(done["written"].values())).startswith("decoded and encoded: ")
        raw = {row["price"]: row for row in made(800).to_pylist()}
        found = pq.read_table(tmp_path / "o").to_pylist()
        assert len(found) == done["rows"] > 700
        for row in found:
            own = raw[row["price"]]
            assert (row["tags"], row["doc_id"], row["dwell_ms"]) == (own["tags"], own["doc_id"], own["dwell_ms"])
            assert row["query"] == (own["query"] if mode.get("query_text") else own["query"].strip().lower())
    table = made(100)
    done = hn.anonymize(table, tmp_path / "o", key=KEY, keep=("price",), overwrite=True, **KEEP)
    assert set(done["written"].values()) == {"decoded and encoded: the log is not in Parquet files"}
    assert done["left_in"] == ["query", "price"]


def test_a_copy_gives_the_same_negatives(tmp_path):
    hn.simulate(tmp_path / "sim", impressions=20_000, seed=9)
    raw = tmp_path / "sim" / "log.parquet"
    select = hn.SelectConfig(positive_coec=0.5, alpha=1.0, num_negatives=2)
    # What is held out to choose a click model goes by search id, which is another one in a log without raw ids; and so
    # does the order in which examinations are added up.
    config = hn.Config(select=select, evidence=hn.EvidenceConfig(debias="none"))
    check(raw, tmp_path / "safe.parquet")
    first, again = (hn.mine(p, privacy=hn.Privacy.none(), config=config) for p in (raw, tmp_path / "safe.parquet"))
    assert first.negatives.num_rows > 50
    sums = [r.negatives["examinations"].to_pylist() for r in (first, again)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-12)
    plain = [(r.negatives.drop_columns(["examinations"]), r.triplets, r.report) for r in (first, again)]
    assert plain[0] == plain[1]


def test_damaged_files_are_named_errors(tmp_path):
    pq.write_table(made(2000), tmp_path / "log.parquet", row_group_size=700)
    good = (tmp_path / "log.parquet").read_bytes()
    (tmp_path / "out.parquet").write_bytes(b"what stood there")
    said: list[str] = []
    for i in range(300):
        bad = bytearray(good)
        at = (i * 7919) % len(bad)
        bad[at : at + 6] = bytes((i * 37 + j * 101) % 256 for j in range(6))
        (tmp_path / "log.parquet").write_bytes(bad)
        try:
            hn.anonymize(tmp_path / "log.parquet", tmp_path / "out.parquet", key=KEY, overwrite=True, **KEEP)
        except (hn.DataError, hn.UsageError) as e:
            said.append(str(e))
    assert len(said) > 50
    assert not any("raw-" in message for message in said)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.parquet", "out.parquet"]


def test_the_command_says_what_it_did(tmp_path, capsys):
    pq.write_table(
        made(500), tmp_path / "log.parquet", dictionary_pagesize_limit=200, data_page_size=400, write_batch_size=50
    )
    args = ["anonymize", str(tmp_path / "log.parquet"), "-o", str(tmp_path / "o"), "--query-text", "keep"]
    assert cli.main([*args, "--time", "keep", "--keep", "price,tags", "--keep", "ip", "--threads", "2"]) == 0
    said = capsys.readouterr().out
    assert "query, doc_id, position, clicked, dwell_ms, timestamp, price, tags, ip: pages copied" in said
    assert ": decoded and encoded: pages that are not dictionary-coded" in said
    assert "user_id, session_id, search_id: HMAC-SHA256 pseudonym, 16 bytes, under a key that was forgotten" in said
    assert "query, price, tags, ip: as it was, what is in it was not looked at" in said
    assert "left in as they are, what is in them was not looked at: query, doc_id" in said
    assert "rows stay as they are: those that mine would set aside are in the copy" in said
    assert cli.main([*args, "--overwrite"]) == 0
    assert "decoded and encoded: times become days: all columns" in capsys.readouterr().out


def test_interrupting_leaves_nothing(tmp_path):
    paths = [tmp_path / "log" / f"{i}.parquet" for i in range(40)]
    paths[0].parent.mkdir()
    pq.write_table(made(60_000), paths[0], use_dictionary=False, row_group_size=1000)
    for path in paths[1:]:
        os.link(paths[0], path)
    args = [
        "anonymize",
        str(paths[0].parent),
        "-o",
        str(tmp_path / "out" / "o"),
        "--query-text",
        "keep",
        "--time",
        "keep",
    ]
    with subprocess.Popen([sys.executable, "-m", "hardneg_fast", *args], stderr=subprocess.PIPE) as run:
        while not (tmp_path / "out").exists() and run.poll() is None:
            time.sleep(0.01)
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (130, b"hardneg-fast: interrupted; nothing was written\n")
    assert [*(tmp_path / "out").iterdir()] == []
