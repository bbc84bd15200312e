"""Pseudonyms byte for byte, keys that stay secret, and anonymized logs that are still good for mining."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import itertools
import json
import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
import reference
from hardneg_fast import cli

MASTER = bytes(range(32))
KEY = hn.Key(MASTER)
FIELDS = ("user_id", "session_id", "search_id")
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def by_hand(master: bytes, field: str, value: bytes, epoch: str = "", dataset: str = "") -> bytes:
    """The page's formulas with a HKDF and a HMAC that others wrote."""

    def lp(part: bytes) -> bytes:
        return len(part).to_bytes(4, "big") + part

    info = b"hardneg_fast/v1" + b"".join(lp(part.encode()) for part in (field, epoch, dataset))
    key = HKDF(SHA256(), 32, None, info).derive(master)
    return hmac.digest(key, b"s" + lp(value), hashlib.sha256)[:16]


@settings(max_examples=150)
@given(
    values=st.lists(st.none() | texts | st.integers(-(2**63), 2**63 - 1).map(str), max_size=8),
    master=st.binary(min_size=32, max_size=32),
    field=st.sampled_from(FIELDS),
    epoch=texts,
    dataset=texts,
)
def test_pseudonyms_byte_for_byte(values, master, field, epoch, dataset):
    options = {"key": hn.Key(master), "field": field, "epoch": epoch, "dataset": dataset}
    column = pa.array(values, pa.string())
    made = hn.pseudonymize(column, **options)
    assert made.type == pa.binary(16)
    named = [v if v else None for v in values]
    expected = [v and by_hand(master, field, v.encode(), epoch, dataset) for v in named]
    assert made.to_pylist() == expected
    assert expected == [v and reference.pseudonym(master, field, v, epoch, dataset) for v in named]
    for kind in (pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int16(), pa.string())):
        assert hn.pseudonymize(column.cast(kind), **options) == made


@given(
    values=st.lists(st.none() | st.integers(0, 127), max_size=6),
    kind=st.sampled_from(["int8", "uint16", "int64", "uint64"]),
)
def test_whole_numbers_are_their_digits(values, kind):
    numbers = pa.array(values, getattr(pa, kind)())
    made = hn.pseudonymize(numbers, key=KEY)
    assert made == hn.pseudonymize(pa.array([None if v is None else str(v) for v in values], pa.string()), key=KEY)
    assert made == hn.pseudonymize(numbers.cast(pa.decimal128(20, 0)), key=KEY)
    assert made == hn.pseudonymize(numbers.dictionary_encode(), key=KEY)


def test_more_rows_than_are_hashed_at_once():
    """Nulls, equal neighbours and values longer than a block; whole, sliced and as entries."""
    values = [None if i % 97 == 0 else f"u{i // 3}" + "x" * (i // 3 % 211) for i in range(5_000)]
    made = {v: by_hand(MASTER, "user_id", v.encode()) for v in {*values} if v is not None}
    column = pa.array(values)
    for ids in (column, column.slice(1_000, 3_001), column.dictionary_encode(), pa.array(["", *values]).slice(1)):
        expected = [made.get(v) for v in ids.to_pylist()]
        assert hn.pseudonymize(ids, key=KEY).to_pylist() == expected


def test_published_vectors():
    vectors = json.loads((Path(__file__).parent / "data" / "pseudonym_vectors.json").read_text())
    for v in vectors:
        key = hn.Key(bytes.fromhex(v["master_key"]))
        options = {name: v[name] for name in ("field", "epoch", "dataset")}
        (made,) = hn.pseudonymize(pa.array([v["value"]]), key=key, **options).to_pylist()
        assert made.hex() == v["pseudonym"]


def test_fields_epochs_datasets_and_keys_cannot_be_joined():
    ids = pa.array([str(i) for i in range(200)])
    keys = (KEY, hn.Key(MASTER[::-1]))
    options = itertools.product(keys, FIELDS, ("", "a", "2026-01"), ("", "a", "2026-01"))
    made = [hn.pseudonymize(ids, key=k, field=f, epoch=e, dataset=d).to_pylist() for k, f, e, d in options]
    assert len({p for column in made for p in column}) == len(made) * 200


# Files of keys.


def test_keygen_and_load(tmp_path, capsys):
    path = tmp_path / "hardneg.key"
    assert cli.main(["keygen", str(path)]) == 0
    said = capsys.readouterr().out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = hn.Key.load(path)
    assert key.id in said
    assert len(key.id) == 16
    body = path.read_text().splitlines()[1]
    assert body not in said
    assert key == hn.Key.load(str(path))
    assert key != hn.Key.ephemeral()
    assert cli.main(["keygen", str(path)]) == 3
    assert "exists; keys are never overwritten" in capsys.readouterr().err
    assert hn.Key.load(path) == key, "and it was not"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(hn.FileError):
        key.save(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o660, 0o644, 0o777])
def test_keys_that_others_can_reach_are_refused(mode, tmp_path, capsys):
    KEY.save(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(hn.UsageError, match="chmod 600"):
        hn.Key.load(tmp_path / "key")
    pq.write_table(log(), tmp_path / "log.parquet")
    args = ["anonymize", str(tmp_path / "log.parquet"), "-o", str(tmp_path / "o"), "--key", str(tmp_path / "key")]
    assert cli.main(args) == 2
    assert "chmod 600" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_keys_are_not_kept_where_anybody_writes(tmp_path):
    for mode in (0o777, 0o1777, 0o703):
        tmp_path.chmod(mode)
        with pytest.raises(hn.UsageError, match="anybody may write"):
            KEY.save(tmp_path / "key")
        (tmp_path / "sub").mkdir(exist_ok=True)
        KEY.save(tmp_path / "sub" / f"key{mode}")
        tmp_path.chmod(0o700)
        assert not (tmp_path / "key").exists()
    old = os.umask(0)
    try:
        KEY.save(tmp_path / "key")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_files_that_are_no_keys(tmp_path):
    KEY.save(tmp_path / "good")
    good = (tmp_path / "good").read_text()
    secret = good.splitlines()[1]
    wrong = [
        b"",
        b"\xff\xfe",
        good.encode()[:-6],
        good.replace("key 1", "key 9").encode(),
        good.encode()[:-3] + b"!!\n",
    ]
    for i, content in enumerate([*wrong, secret.encode(), (good + "more").encode()]):
        path = tmp_path / str(i)
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(hn.FileError, match=r"is no key file.*keygen") as caught:
            hn.Key.load(path)
        assert secret[:8] not in str(caught.value)
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises((hn.FileError, hn.UsageError), match=path.name):
            hn.Key.load(path)
    with pytest.raises(hn.FileError):
        KEY.save(tmp_path / "no" / "folder" / "key")


# Logs.


def log(**columns: object) -> pa.Table:
    base = {
        "ip": ["130.8.186.60"] * 4,
        "user_id": [7, 7, 8, None],
        "session_id": ["a", "a", "", "b"],
        "search_id": ["x", "x", "y", "z"],
        "query": ["  RED\tShoes", "\uff32ed shoes", " \x00", "hats"],
        "doc_id": ["d1", "D1 ", "d2", "d3"],
        "position": [0, 1, 0, 1],
        "clicked": ["true", "0", "1", "false"],
        "dwell_ms": [1.6, None, 3.0, 4.0],
        "timestamp": ["2026-01-31T23:59:59.999999Z", "2026-02-01 01:30:00+02:00", "1769904000", "1769904000000"],
        "surface": ["web"] * 4,
    }
    return pa.table(base | columns)


def test_the_anonymized_log(tmp_path):
    done = hn.anonymize(log(), tmp_path / "safe.parquet", key=KEY, epoch="2026", dataset="web")
    assert done["rows"] == 2
    assert (done["rows_read"], done["quarantine"]) == (4, {"null_query": 1, "null_user_id": 1})
    assert done["key_id"] == KEY.id
    table = pq.read_table(tmp_path / "safe.parquet")
    assert table.column_names == done["columns"] == [name for name in log().column_names if name != "ip"]
    first, second = table.to_pylist()
    for field, value in {"user_id": "7", "session_id": "a", "search_id": "x"}.items():
        assert first[field] == second[field] == by_hand(MASTER, field, value.encode(), "2026", "web")
    assert (first["query"], second["query"], first["doc_id"], second["doc_id"]) == (
        "red shoes",
        "red shoes",
        "d1",
        "D1 ",
    )
    assert (first["position"], second["position"]) == (1, 2)
    assert (first["clicked"], second["clicked"], first["dwell_ms"], second["dwell_ms"]) == (True, False, 2, None)
    day = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    assert (first["timestamp"], second["timestamp"]) == (day, day)
    assert first["surface"] == "web"


def test_columns_that_the_log_lacks_are_not_made_up(tmp_path):
    least = log().select(["query", "doc_id", "clicked"])
    assert hn.anonymize(least, tmp_path / "o", key=KEY)["columns"] == ["query", "doc_id", "clicked"]


@pytest.mark.parametrize("name", ["s9.csv", "s9.ndjson", "s9.parquet.gz", "s9.zip", "s9.ORC"])
def test_names_that_end_like_another_format_are_refused(tmp_path, capsys, name):
    pq.write_table(log(), tmp_path / "log.parquet")
    assert cli.main(["anonymize", str(tmp_path / "log.parquet"), "-o", str(tmp_path / name)]) == 2
    assert f"{name}: what is written is Parquet, whatever its name; end it in .parquet" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("time", ["day", "keep"])
def test_times(time, tmp_path):
    moments = [-1, 0, 86_399_999_999, 86_400_000_000, 1_769_903_999_999_999]
    start = 1_735_689_600_000_000
    at = pa.array([start + m if m < 10**12 else m for m in moments], pa.timestamp("us", tz="UTC"))
    table = pa.table({"query": ["q"] * 5, "doc_id": ["d"] * 5, "clicked": [0] * 5, "timestamp": at})
    hn.anonymize(table, tmp_path / "o", time=time)
    found = pq.read_table(tmp_path / "o")["timestamp"].cast(pa.int64()).to_pylist()
    exact = at.cast(pa.int64()).to_pylist()
    assert found == ([m // 86_400_000_000 * 86_400_000_000 for m in exact] if time == "day" else exact)


def test_the_same_key_gives_the_same_file(tmp_path):
    KEY.save(tmp_path / "key")
    pq.write_table(log(), tmp_path / "log.parquet")
    runs = {"one": ["--key", "key"], "two": ["--key", "key"], "other": ["--key", "key", "--epoch", "2"], "none": []}
    for name, options in runs.items():
        options = [str(tmp_path / "key") if option == "key" else option for option in options]
        args = ["anonymize", str(tmp_path / "log.parquet"), "-o", str(tmp_path / name), *options]
        assert cli.main(args) == 0
    files = {name: (tmp_path / name).read_bytes() for name in runs}
    assert files["one"] == files["two"]
    assert len({*files.values()}) == 3
    users = {name: pq.read_table(tmp_path / name)["user_id"][0].as_py() for name in runs}
    assert len({*users.values()}) == 3
    assert cli.main([*args[:4], "--overwrite", "--key", str(tmp_path / "key")]) == 0
    assert (tmp_path / "none").read_bytes() == files["one"]


def test_an_anonymized_log_gives_the_same_negatives(tmp_path):
    hn.simulate(tmp_path / "sim", impressions=20_000, seed=9)
    raw = tmp_path / "sim" / "log.parquet"
    select = hn.SelectConfig(positive_coec=0.5, alpha=1.0, num_negatives=2)
    # What is held out to choose a click model goes by search id, which is another one in a log without raw ids; and so
    # does the order in which examinations are added up.
    config = hn.Config(select=select, evidence=hn.EvidenceConfig(debias="none"))
    hn.anonymize(raw, tmp_path / "safe.parquet", key=KEY, time="keep")
    for privacy in (hn.Privacy.none(), hn.Privacy.k_users(2)):
        first, again = (hn.mine(path, privacy=privacy, config=config) for path in (raw, tmp_path / "safe.parquet"))
        assert first.negatives.num_rows > 50
        sums = [r.negatives["examinations"].fill_null(0).to_pylist() for r in (first, again)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-12)
        plain = [r.negatives.drop_columns(["examinations"]) for r in (first, again)]
        assert plain[0] == plain[1]
        assert again.triplets == first.triplets
        assert again.report == first.report
    # To the day, sessions and order within a day are lost, but no row is.
    hn.anonymize(raw, tmp_path / "day.parquet", key=KEY)
    ours, theirs = (pa.table(hn.count(path).pairs)["query"] for path in (raw, tmp_path / "day.parquet"))
    assert ours == theirs


def test_a_failed_run_leaves_nothing(tmp_path):
    def batches():
        yield from log().to_batches()
        raise ValueError("the source broke: 130.8.186.60")

    target = tmp_path / "safe.parquet"
    target.write_bytes(b"what stood there")
    with pytest.raises(hn.DataError) as caught:
        hn.anonymize(pa.RecordBatchReader.from_batches(log().schema, batches()), target, overwrite=True)
    assert "130.8" not in str(caught.value)
    assert "safe.parquet" not in str(caught.value), "the log is at fault, not the target"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("safe.parquet", b"what stood there")]
    with pytest.raises(hn.UsageError, match="exists"):
        hn.anonymize(log(), target)


def test_modes_that_do_not_exist(tmp_path):
    with pytest.raises(hn.UsageError, match="time is 'week'; choose one of day, keep"):
        hn.anonymize(log(), tmp_path / "o", time="week")
    with pytest.raises(hn.UsageError, match="key must be a Key"):
        hn.anonymize(log(), tmp_path / "o", key=MASTER)
    with pytest.raises(hn.UsageError, match="key must be a Key"):
        hn.mine(log(), tmp_path / "o", key=MASTER, privacy=hn.Privacy.none())
    assert not (tmp_path / "o").exists()


# Rare queries, and what was done.


def asked(tmp_path: Path) -> Path:
    rows = [
        ("u1", "Shoes"),
        ("u2", "shoes "),
        ("u3", "shoes"),
        ("u1", "mine alone"),
        ("u1", "mine alone"),
        ("u1", "two"),
    ]
    rows += [("u2", "two"), ("u2", None)]
    table = pa.table(
        {
            "user_id": [user for user, _ in rows],
            "query": [query for _, query in rows],
            "doc_id": ["d"] * len(rows),
            "clicked": [True] * len(rows),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


@pytest.mark.parametrize(("k", "left"), [(2, ["shoes"] * 3 + ["two"] * 2), (3, ["shoes"] * 3), (4, [])])
def test_rare_queries_are_left_out(k, left, tmp_path):
    done = hn.anonymize(asked(tmp_path), tmp_path / "o", k_users=k)
    assert pq.read_table(tmp_path / "o")["query"].sort().to_pylist() == left
    assert done["rows"] == len(left)
    assert done["suppressed"] == (7 - len(left)) // k * k
    assert done["rows_read"] == 8 // k * k
    assert done["quarantine"] == {}, "one row is less than k"


def test_figures_beside_a_threshold_are_rounded(tmp_path, capsys):
    """Neighbouring logs, that differ in rows that are not written: neither the manifest nor a printed line tells."""
    rows = [{"user_id": f"u{i}", "query": "shoes", "doc_id": "d", "clicked": True} for i in range(6)]
    rare = [
        {"user_id": "u1", "query": f"write to jane{i}@example.com", "doc_id": "d", "clicked": True} for i in range(6)
    ]
    none = [{"user_id": "u2", "query": None, "doc_id": "d", "clicked": False} for _ in range(6)]

    def said(more: list[dict]) -> tuple[str, str]:
        pq.write_table(pa.Table.from_pylist(rows + more), tmp_path / "log.parquet")
        args = [
            "anonymize",
            str(tmp_path / "log.parquet"),
            "-o",
            str(tmp_path / "o"),
            "--manifest",
            str(tmp_path / "m"),
        ]
        assert cli.main([*args, "--k-users", "3", "--overwrite"]) == 0
        return capsys.readouterr().out, (tmp_path / "m").read_text()

    assert said(rare[:3]) == said(rare[:5])
    assert said(none[:3]) == said(none[:5])
    assert said(none[:3]) != said(none)
    assert said(rare[:2]) == said([])
    text, manifest = said(rare + none)
    assert "left out: 6 rows of queries with fewer than 3 users" in text
    assert (json.loads(manifest)["rows_read"], json.loads(manifest)["quarantine"]) == (18, {"null_query": 6})


def test_the_manifest_says_what_became_of_each_column(tmp_path):
    """What a privacy officer signs: values, not how pages were written."""
    rows = {
        "user_id": ["u1"],
        "session_id": ["s"],
        "search_id": ["p"],
        "query": ["Jane@example.com 1"],
        "doc_id": ["D"],
    }
    rows |= {"position": [0], "clicked": [True], "timestamp": [datetime.datetime(2026, 1, 2, 3)], "price": [2.5]}
    config = hn.Config(read=hn.ReadConfig(position_base="0"))

    def how(**options) -> dict[str, str]:
        manifest = tmp_path / "m"
        hn.anonymize(
            pa.table(rows), tmp_path / "o", config=config, keep=("price",), manifest=manifest, overwrite=True, **options
        )
        said = json.loads(manifest.read_text())
        assert said["how"].keys() == said["written"].keys() == {*said["columns"]}
        return said["how"]

    said = how(key=KEY, epoch="2026", reversible=("user_id",))
    assert said["user_id"].startswith(f"token by AES-SIV, key id {KEY.id}, epoch '2026': ")
    assert said["session_id"] == said["search_id"] == f"HMAC-SHA256 pseudonym, 16 bytes, key id {KEY.id}, epoch '2026'"
    assert said["query"].startswith("normalised; personal data of known structure masked")
    assert said["query"].endswith("(personal data found: 1)")
    assert said["timestamp"] == "to the day"
    assert said["position"] == "counted from 1, not from 0; else as it was"
    assert said["doc_id"] == said["clicked"] == "as it was"
    assert said["price"] == "as it was, what is in it was not looked at"
    said = how(time="keep", query_text="keep")
    assert said["user_id"] == "HMAC-SHA256 pseudonym, 16 bytes, under a key that was forgotten with the run"
    assert said["timestamp"] == "as it was"
    assert said["query"] == "as it was, what is in it was not looked at"


def test_rare_queries_with_tokens_of_an_epoch(tmp_path):
    rows = [{"user_id": f"u{i}", "query": "jane@example.com", "doc_id": "d", "clicked": True} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    config = hn.Config(scrub=hn.ScrubConfig(action="token"))
    made = [
        hn.anonymize(tmp_path / "log.parquet", tmp_path / e, k_users=3, key=KEY, epoch=e, config=config)["rows"]
        for e in ("one", "two")
    ]
    assert made == [3, 3]
    one, two = (pq.read_table(tmp_path / e)["query"].to_pylist() for e in ("one", "two"))
    assert not {*one} & {*two}, "tokens of two epochs cannot be joined"


def test_rare_queries_on_the_command_line(tmp_path, capsys):
    path = tmp_path / "manifest.json"
    args = ["anonymize", str(asked(tmp_path)), "-o", str(tmp_path / "o"), "--k-users", "3", "--manifest", str(path)]
    assert cli.main(args) == 0
    assert "left out: 3 rows of queries with fewer than 3 users" in capsys.readouterr().out
    said = json.loads(path.read_text())
    assert (said["file"], said["k_users"], said["rows"], said["suppressed"], said["key_id"]) == ("o", 3, 3, 3, None)
    assert said["how"].keys() == {"user_id", "query", "doc_id", "clicked"}
    assert "not anonymous" in said["claim"]
    assert "mine alone" not in path.read_text()
    assert cli.main(args) == 2, "neither is replaced"
    assert cli.main([*args, "--overwrite"]) == 0


def test_the_manifest_names_the_key_and_nothing_of_it(tmp_path):
    hn.anonymize(asked(tmp_path), tmp_path / "o", key=KEY, epoch="2026", manifest=tmp_path / "m")
    text = (tmp_path / "m").read_text()
    assert json.loads(text)["key_id"] == KEY.id
    assert json.loads(text)["epoch"] == "2026"
    assert MASTER.hex() not in text


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"k_users": 1}, hn.UsageError, "2 or more"),
        ({"k_users": 3, "query_text": "keep"}, hn.UsageError, "normalised"),
        ({"k_users": 3, "config": hn.Config(read=hn.ReadConfig(columns={"user_id": ""}))}, hn.PrivacyError, "user ids"),
    ],
)
def test_thresholds_that_cannot_be(options, error, says, tmp_path):
    with pytest.raises(error, match=says):
        hn.anonymize(asked(tmp_path), tmp_path / "o", **options)
    assert not (tmp_path / "o").exists()


def test_an_output_that_cannot_be_looked_at_is_named(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("query,doc_id,clicked\nred,a,1\n")
    with pytest.raises(hn.FileError, match="File name too long"):
        hn.anonymize(log, tmp_path / ("x" * 300), key=hn.Key.ephemeral())
