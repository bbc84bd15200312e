"""Keys: where they come from, how they are sealed at rest, how they are destroyed, and that nothing tells of them."""

from __future__ import annotations

import base64
import io
import json
import os
import stat
from pathlib import Path

import pytest

import hardneg_fast as hn
from hardneg_fast import cli, keys
from hardneg_fast.keys import SealedError, shred

MASTER = bytes(range(32))
WORDS = "correct horse battery staple"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less work for a guess, so that tests take less."""
    monkeypatch.setattr(keys, "SCRYPT", {"n": 2**14, "r": 8, "p": 1})


def test_the_cost_is_what_owasp_asks_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    assert keys.SCRYPT == {"n": 2**17, "r": 8, "p": 1}
    hn.Key(MASTER).save(tmp_path / "key", WORDS)
    assert hn.Key.load(tmp_path / "key", WORDS) == hn.Key(MASTER)


def test_sealed_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "key"
    hn.Key(MASTER).save(path, WORDS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hn.Key.load(path, WORDS) == hn.Key(MASTER)
    text = path.read_bytes()
    for secret in (MASTER, base64.b64encode(MASTER), MASTER.hex().encode(), WORDS.encode()):
        assert secret not in text
    assert json.loads(text.split(b"\n")[1])["id"] == hn.Key(MASTER).id


def test_the_same_words_however_they_are_typed(tmp_path: Path) -> None:
    hn.Key(MASTER).save(tmp_path / "key", "caf\u00e9")
    assert hn.Key.load(tmp_path / "key", "cafe\u0301") == hn.Key(MASTER)


def test_twice_sealed_is_never_the_same(tmp_path: Path) -> None:
    for name in "ab":
        hn.Key(MASTER).save(tmp_path / name, WORDS)
    a, b = (json.loads((tmp_path / name).read_text().split("\n")[1]) for name in "ab")
    assert all(a[part] != b[part] for part in ("salt", "nonce", "sealed"))


def test_passphrases_that_do_not_open(tmp_path: Path) -> None:
    hn.Key(MASTER).save(tmp_path / "key", WORDS)
    with pytest.raises(SealedError, match="passphrase"):
        hn.Key.load(tmp_path / "key")
    for wrong in ("", WORDS + " ", WORDS.upper()):
        with pytest.raises(hn.UsageError, match="cannot be opened") as caught:
            hn.Key.load(tmp_path / "key", wrong)
        assert WORDS not in str(caught.value)
    with pytest.raises(hn.UsageError, match="empty passphrase"):
        hn.Key(MASTER).save(tmp_path / "other", "")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("part", ["id", "n", "r", "p", "salt", "nonce", "sealed"])
def test_any_change_to_a_sealed_file_is_noticed(part: str, tmp_path: Path) -> None:
    hn.Key(MASTER).save(tmp_path / "key", WORDS)
    header, body = (tmp_path / "key").read_text().split("\n")[:2]
    box = json.loads(body)
    if isinstance(box[part], int):
        box[part] *= 2
    else:
        box[part] = ("A" if box[part][0] != "A" else "B") + box[part][1:]
    (tmp_path / "key").write_text(f"{header}\n{json.dumps(box)}\n")
    with pytest.raises((hn.UsageError, hn.FileError), match="damaged"):
        hn.Key.load(tmp_path / "key", WORDS)


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "null", '{"n": 1e99}', '{"n": 1125899906842624, "r": 8, "p": 1}', "x" * 100]
)
def test_files_that_are_no_sealed_key(body: str, tmp_path: Path) -> None:
    hn.Key(MASTER).save(tmp_path / "key", WORDS)
    if body.startswith('{"n": 11'):
        good = json.loads((tmp_path / "key").read_text().split("\n")[1])
        body = json.dumps(good | json.loads(body))  # as much memory as no machine has
    (tmp_path / "key").write_text(f"{keys.SEALED}\n{body}\n")
    with pytest.raises(hn.FileError, match="damaged key file"):
        hn.Key.load(tmp_path / "key", WORDS)


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hn.Key(MASTER).save(tmp_path / "plain")
    hn.Key(MASTER).save(tmp_path / "sealed", WORDS)
    monkeypatch.setenv("A_KEY", (tmp_path / "plain").read_text())
    assert hn.Key.from_env("A_KEY") == hn.Key(MASTER)
    monkeypatch.setenv("A_KEY", (tmp_path / "sealed").read_text())
    assert hn.Key.from_env("A_KEY", WORDS) == hn.Key(MASTER)
    monkeypatch.setenv("A_KEY", "secret nonsense")
    with pytest.raises(hn.FileError, match="A_KEY") as caught:
        hn.Key.from_env("A_KEY")
    assert "nonsense" not in str(caught.value)
    with pytest.raises(hn.UsageError, match="NO_SUCH"):
        hn.Key.from_env("NO_SUCH")


def test_from_a_callback() -> None:
    assert hn.Key.from_callback(lambda: MASTER) == hn.Key(MASTER)
    assert hn.Key.from_callback(lambda: bytearray(MASTER)) == hn.Key(MASTER)
    with pytest.raises(hn.UsageError, match="32 bytes"):
        hn.Key.from_callback(lambda: MASTER[1:])
    with pytest.raises(hn.UsageError, match="gave str"):
        hn.Key.from_callback(lambda: "text")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("passphrase", [None, WORDS])
def test_shredded(passphrase: str | None, tmp_path: Path) -> None:
    path, twin = tmp_path / "key", tmp_path / "same bytes"
    hn.Key(MASTER).save(path, passphrase)
    before = path.read_bytes()
    twin.hardlink_to(path)
    name = shred(path)
    assert name == (hn.Key(MASTER).id if passphrase else "")
    assert not path.exists()
    assert len(twin.read_bytes()) == len(before)
    assert twin.read_bytes()[:40] != before[:40], "what the name stood for is overwritten, too"


def test_only_keys_are_shredded(tmp_path: Path) -> None:
    (tmp_path / "diary").write_text("dear diary")
    with pytest.raises(hn.FileError, match="no key file; nothing was destroyed"):
        shred(tmp_path / "diary")
    assert (tmp_path / "diary").read_text() == "dear diary"
    with pytest.raises(hn.FileError, match="nowhere"):
        shred(tmp_path / "nowhere")


def test_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, log = tmp_path / "key", tmp_path / "log.csv"
    log.write_text("user_id,query,doc_id,clicked\nu1,shoes,d1,1\n")
    monkeypatch.setenv("HARDNEG_PASSPHRASE", WORDS)
    assert cli.main(["keygen", str(path), "--passphrase"]) == 0
    said = capsys.readouterr().out
    key = hn.Key.load(path, WORDS)
    assert f"key {key.id} -> {path}, sealed" in said
    assert WORDS not in said
    monkeypatch.setenv("MY_KEY", path.read_text())
    made = []
    for i, source in enumerate((str(path), "env:MY_KEY")):
        out = tmp_path / f"{i}.parquet"
        assert cli.main(["anonymize", str(log), "-o", str(out), "--key", source]) == 0
        assert f"key {key.id}" in capsys.readouterr().out
        made.append(out.read_bytes())
    assert made[0] == made[1]
    monkeypatch.delenv("HARDNEG_PASSPHRASE")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert cli.main(["anonymize", str(log), "-o", str(tmp_path / "x"), "--key", str(path)]) == 2
    assert "HARDNEG_PASSPHRASE" in capsys.readouterr().err
    assert cli.main(["shred", str(path)]) == 0
    said = capsys.readouterr().out
    assert key.id in said
    assert "copies of it" in said
    assert not path.exists()


@pytest.mark.parametrize("command", [("mine", "--no-privacy"), ("count",), ("anonymize",)])
def test_every_command_that_uses_a_key_prints_its_id(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hn.simulate("sim", impressions=2_000, seed=1)
    key = hn.Key(bytes(range(32)))
    key.save(tmp_path / "key")
    name, *options = command
    args = [name, "sim/log.parquet", *options, "--key", "key"]
    assert cli.main([*args, "-o", "out"]) == 0
    assert f"key {key.id}" in capsys.readouterr().out.splitlines()
    assert cli.main([*args, "-o", "again", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["key_id"] == key.id
    if name == "mine":
        # Nothing in the output was made under it, but tokens.
        assert "key_id" not in json.loads((tmp_path / "out" / "privacy.json").read_text())
        assert cli.main([*args, "-o", "tokens", "--scrub.action", "token"]) == 0
        assert json.loads((tmp_path / "tokens" / "privacy.json").read_text())["key_id"] == key.id


def test_keys_are_not_taken_from_where_anybody_writes(tmp_path: Path) -> None:
    hn.Key(MASTER).save(tmp_path / "key")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to(tmp_path / "key")
    for mode in (0o777, 0o703):
        tmp_path.chmod(mode)
        for path in (tmp_path / "key", tmp_path / "own" / "link"):
            with pytest.raises(hn.UsageError, match=f"take a key from '{tmp_path.name}': anybody may write"):
                hn.Key.load(path)
    # Secrets are mounted into containers so: what is another's cannot be exchanged there.
    for mode in (0o1777, 0o755):
        tmp_path.chmod(mode)
        assert hn.Key.load(tmp_path / "own" / "link") == hn.Key(MASTER)


def test_keys_of_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    hn.Key(MASTER).save(path)
    if os.geteuid() == 0:
        os.chown(path, 65_534, 65_534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    with pytest.raises(hn.UsageError, match="'key' is another user's"):
        hn.Key.load(path)


def test_links_of_others_lead_to_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hn.Key(MASTER).save(tmp_path / "key")
    link = tmp_path / "link"
    link.symlink_to("key")
    assert hn.Key.load(link) == hn.Key(MASTER)
    if os.geteuid() == 0:
        os.chown(link, 65_534, 65_534, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    for use in (hn.Key.load, shred):
        with pytest.raises(hn.UsageError, match="link that somebody else made"):
            use(link)
    assert (tmp_path / "key").exists()


def test_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hn.UsageError, match=f"keep a key in '{tmp_path.name}'"):
        hn.Key(MASTER).save("key")
    tmp_path.chmod(0o700)


def test_what_is_no_key_file_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(b"PAR1 and so on")
    (tmp_path / "log.parquet").chmod(0o644)
    (tmp_path / "folder").mkdir()
    for name in ("log.parquet", "folder"):
        with pytest.raises(hn.FileError, match=f"'{name}' is no key file; make one with"):
            hn.Key.load(tmp_path / name)
