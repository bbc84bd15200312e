"""Tokens that the holder of the key can read back: which ids, under which key, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

import hardneg_fast as hn
from hardneg_fast import cli
from hardneg_fast.reversible import Sealer

MASTER = bytes(range(32))
KEY = hn.Key(MASTER)
words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def by_hand(token: str, field: str, epoch: str = "", dataset: str = "") -> bytes:
    """The module's formulas, read off its first lines."""
    parts = (part.encode() for part in (field, epoch, dataset))
    info = b"hardneg_fast/reversible/v1" + b"".join(len(p).to_bytes(4, "big") + p for p in parts)
    siv = AESSIV(HKDF(SHA256(), 64, None, info).derive(MASTER))
    assert token.startswith("hfr1_")
    padded = siv.decrypt(base64.urlsafe_b64decode(token[5:] + "=" * (-len(token[5:]) % 4)), None)
    assert len(padded) % 16 == 0
    return padded.rstrip(b"\0")[:-1]


@settings(max_examples=60)
@given(
    st.lists(st.none() | st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from(["user_id", "session_id", "search_id"]),
    words,
    words,
)
def test_what_is_sealed_is_read_back(values, field, epoch, dataset):
    sealer = Sealer(KEY, field, epoch, dataset)
    tokens = sealer.seal(pa.array(values, pa.binary()))
    assert [t and by_hand(t, field, epoch, dataset) for t in tokens.to_pylist()] == values
    options = {"key": KEY, "field": field, "epoch": epoch, "dataset": dataset}
    for given_as in (tokens, tokens.dictionary_encode(), pa.chunked_array([tokens, tokens]).slice(0, len(values))):
        assert hn.reveal(given_as, **options).to_pylist() == values
    assert tokens == sealer.seal(pa.array(values, pa.binary())), "equal ids stay equal"


def test_what_was_changed_or_is_of_another_key_is_refused():
    (token,) = Sealer(KEY, "user_id", "e", "d").seal(pa.array(["jane"])).to_pylist()
    right = {"key": KEY, "field": "user_id", "epoch": "e", "dataset": "d"}
    assert hn.reveal(pa.array([token]), **right).to_pylist() == [b"jane"]
    for wrong in ({"key": hn.Key.ephemeral()}, {"field": "session_id"}, {"epoch": ""}, {"dataset": "e"}):
        with pytest.raises(hn.TokenError, match="another key, field, epoch or dataset"):
            hn.reveal(pa.array([token]), **{**right, **wrong})
    sealed = bytearray(base64.urlsafe_b64decode(token[5:] + "=" * (-len(token[5:]) % 4)))
    for i in range(len(sealed)):
        changed = bytes(b ^ (i == j) for j, b in enumerate(sealed))
        with pytest.raises(hn.TokenError, match="it was changed"):
            hn.reveal(pa.array(["hfr1_" + base64.urlsafe_b64encode(changed).rstrip(b"=").decode()]), **right)
    for none in ("jane", "", token[5:], token[:-1], token + "A", token.lower(), "hfr1_", token.replace("hfr1", "hfr2")):
        with pytest.raises(hn.TokenError) as refused:
            hn.reveal(pa.array([none]), **right)
        assert token[5:] not in str(refused.value)
    for values in (pa.array([1]), ["hfr1_"], pa.array([b"x"])):
        with pytest.raises(hn.UsageError):
            hn.reveal(values, **right)
    with pytest.raises(hn.UsageError, match="field is"):
        hn.reveal(pa.array([token]), key=KEY, field="query")
    with pytest.raises(hn.UsageError, match="key"):
        hn.reveal(pa.array([token]), key=MASTER)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    table = pa.table(
        {
            "user_id": ["jane@example.com", "bob", "jane@example.com", "bob"],
            "session_id": pa.array([7, 8, 7, None]),
            "search_id": ["p1", "p2", "p1", "p4"],
            "query": ["shoes", "shoes", "hats", "hats"],
            "doc_id": ["a", "b", "c", "d"],
            "clicked": [True, False, True, False],
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def test_only_what_is_asked_for_can_be_read_back(log, tmp_path):
    KEY.save(tmp_path / "key")
    safe, manifest = tmp_path / "safe.parquet", tmp_path / "manifest"
    args = [
        "anonymize",
        str(log),
        "-o",
        str(safe),
        "--key",
        str(tmp_path / "key"),
        "--epoch",
        "2026",
        "--dataset",
        "web",
    ]
    assert cli.main([*args, "--reversible", "user_id,session_id", "--manifest", str(manifest)]) == 0
    table = pq.read_table(safe)
    options = {"key": KEY, "epoch": "2026", "dataset": "web"}
    by_query = table.sort_by("doc_id")
    assert hn.reveal(by_query["user_id"], **options).cast(pa.string()).to_pylist() == [
        "jane@example.com",
        "bob",
        "jane@example.com",
        "bob",
    ]
    assert hn.reveal(by_query["session_id"], field="session_id", **options).to_pylist() == [b"7", b"8", b"7", None]
    assert len(set(table["user_id"].to_pylist())) == 2
    assert b"jane" not in safe.read_bytes()
    said = json.loads(manifest.read_text())
    assert said["reversible"] == ["session_id", "user_id"]
    assert "can read the reversible identifiers back" in said["claim"]
    assert "AES-SIV" in said["how"]["user_id"]
    assert "AES-SIV" not in said["how"]["search_id"]
    # The others are what they are without: only the identifiers differ.
    hn.anonymize(log, tmp_path / "plain", key=KEY, epoch="2026", dataset="web")
    plain = pq.read_table(tmp_path / "plain")
    assert plain["user_id"].type == pa.binary(16)
    for name in ("search_id", "query", "doc_id", "clicked"):
        assert table[name] == plain[name]
    # And the log is as good for mining.
    for k in (None, 2):
        privacy = hn.Privacy.none() if k is None else hn.Privacy.k_users(k)
        config = hn.Config(count=hn.CountConfig(min_page_length=1))
        one, two = (hn.release(hn.count(path, config=config), privacy=privacy) for path in (safe, tmp_path / "plain"))
        assert pa.table(one.table()) == pa.table(two.table())


def test_thresholds_and_copies_by_pages(log, tmp_path):
    options = {"key": KEY, "reversible": ("user_id",)}
    done = hn.anonymize(log, tmp_path / "k", k_users=2, **options)
    assert (done["rows"], done["suppressed"]) == (4, 0)
    assert hn.anonymize(log, tmp_path / "k3", k_users=3, **options)["rows"] == 0
    done = hn.anonymize(log, tmp_path / "pages", time="keep", query_text="keep", **options)
    assert "AES-SIV" in done["how"]["user_id"]
    assert b"jane" not in (tmp_path / "pages").read_bytes()


def test_what_cannot_be(log, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(hn.UsageError, match="need a key that is kept"):
        hn.anonymize(log, out, reversible=("user_id",))
    with pytest.raises(hn.UsageError, match="reversible names"):
        hn.anonymize(log, out, key=KEY, reversible=("query",))
    lacking = hn.Config(read=hn.ReadConfig(columns={"session_id": ""}))
    with pytest.raises(hn.ColumnError, match="which the log does not have"):
        hn.anonymize(log, out, key=KEY, reversible=("session_id",), config=lacking)
    assert not out.exists()


def test_the_command_reads_tokens_back(log, tmp_path, capsys, monkeypatch):
    KEY.save(tmp_path / "key")
    safe, key = tmp_path / "safe.parquet", ["--key", str(tmp_path / "key")]
    hn.anonymize(log, safe, key=KEY, reversible=("user_id",))
    tokens = pq.read_table(safe)["user_id"].to_pylist()
    lines = "".join(f"{t}\t{by_hand(t, 'user_id').decode()}\n" for t in tokens)
    assert cli.main(["reveal", *tokens, *key]) == 0
    assert capsys.readouterr().out == lines
    assert cli.main(["reveal", "--file", str(safe), "--column", "user_id", *key]) == 0
    assert capsys.readouterr().out == lines
    (tmp_path / "tokens").write_text("\n".join(tokens) + "\n\n")
    assert cli.main(["reveal", "--file", str(tmp_path / "tokens"), *key]) == 0
    assert capsys.readouterr().out == lines
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(tokens)))
    assert cli.main(["reveal", *key]) == 0
    assert capsys.readouterr().out == lines
    for code, args in {
        2: ["reveal", tokens[0]],
        3: ["reveal", tokens[0], *key, "--epoch", "other"],
    }.items():
        assert cli.main(args) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert tokens[0] not in said.err
    for args in (["--file", str(safe), "--column", "nowhere"], ["--file", str(tmp_path / "no")], ["--file", str(safe)]):
        assert cli.main(["reveal", *args, *key]) == 3
    assert cli.main(["reveal", tokens[0], "--file", str(safe), *key]) == 2
    assert cli.main(["reveal", tokens[0], "--column", "user_id", *key]) == 2


def test_a_log_that_can_be_read_back_is_its_owners(tmp_path: Path) -> None:
    log = pa.table({"user_id": ["jane"], "query": ["shoes"], "doc_id": ["d"], "clicked": [True]})
    old = os.umask(0o022)
    try:
        hn.anonymize(log, tmp_path / "tokens.parquet", key=KEY, reversible=("user_id",))
        hn.anonymize(log, tmp_path / "pseudonyms.parquet", key=KEY)
    finally:
        os.umask(old)
    modes = {path.stem: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"tokens": 0o600, "pseudonyms": 0o644}
