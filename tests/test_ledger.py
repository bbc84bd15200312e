"""The budget ledger: what it charges, what it refuses, and that its past cannot be lost unnoticed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardneg_fast import cli
from hardneg_fast.calibration import compose, gaussian_delta, split, within
from hardneg_fast.exceptions import FileError, PrivacyError, UsageError
from hardneg_fast.ledger import Ledger, Reservation

HASH = hashlib.sha256(b"settings").hexdigest()
ONE = split(1.0, 1e-8, 0.3)


def reserve(
    ledger: Ledger, lineage: str = "web", mu: float = ONE.mu, delta_t: float = ONE.delta_t, **options
) -> Reservation:  # type: ignore[no-untyped-def]
    options = {"window": "2026-01", "what": "mine", "config_hash": HASH, **options}
    return ledger.reserve(lineage, mu=mu, delta_t=delta_t, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budget.ledger"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    return Ledger.create(path, epsilon=2.0, delta=1e-6)


# --- charges and limits ---


def test_a_claim_says_what_was_charged(ledger: Ledger) -> None:
    assert ledger.claims() == []
    done = reserve(ledger)
    assert done == Reservation(2, "web", labelled=True)
    ledger.commit(done)
    reserve(ledger, window="2026-02")
    claim = ledger.claim("web")
    mu, delta_t = compose([ONE.mu] * 2, [ONE.delta_t] * 2)
    assert (claim["dp"], claim["charges"], claim["unfinished"]) == (True, 2, 1)
    assert (claim["mu"], claim["delta_t"], claim["delta"], claim["limit_epsilon"]) == (mu, delta_t, 1e-6, 2.0)
    assert within(mu, delta_t, claim["epsilon"], 1e-6)
    assert not within(mu, delta_t, claim["epsilon"] * (1 - 1e-9), 1e-6)
    assert [(row["window"], row["charges"], row["unfinished"]) for row in claim["windows"]] == [
        ("2026-01", 1, 0),
        ("2026-02", 1, 1),
    ]
    assert all(row["epsilon"] < claim["epsilon"] for row in claim["windows"])
    said = f"{math.ceil(claim['epsilon'] * 1e4) / 1e4:g}"
    assert f"({said}, 1e-06)-differentially private for one user id, added or removed" in claim["sentence"]
    assert "all 2 windows together" in claim["sentence"]
    assert json.loads(json.dumps(claim)) == claim


def test_a_limit_of_exactly_the_claim_is_enough_once(path: Path) -> None:
    ledger = Ledger.create(path, epsilon=1.0, delta=1e-8)
    reserve(ledger)
    with pytest.raises(PrivacyError, match=r"'web' has spent epsilon 1 of 1 at delta 1e-08") as refused:
        reserve(ledger, mu=1e-3, delta_t=0.0)
    assert refused.value.exit_code == 4
    assert ledger.claim("web")["charges"] == 1


@given(st.lists(st.tuples(st.floats(0.01, 0.4), st.sampled_from([0.0, 1e-9, 3e-7])), min_size=1, max_size=12))
@settings(max_examples=8)
def test_charges_stop_at_the_limit(
    tmp_path_factory: pytest.TempPathFactory, charges: list[tuple[float, float]]
) -> None:
    ledger = Ledger.create(tmp_path_factory.mktemp("ledger") / "x", epsilon=2.0, delta=1e-6)
    squares, spared = 0.0, 1.0
    for mu, delta_t in charges:
        squares_then, spared_then = squares + mu**2, spared * (1 - delta_t)
        total = (1 - spared_then) + spared_then * gaussian_delta(2.0, math.sqrt(squares_then))
        if abs(total - 1e-6) < 1e-12:
            continue
        if total <= 1e-6:
            reserve(ledger, mu=mu, delta_t=delta_t)
            squares, spared = squares_then, spared_then
        else:
            with pytest.raises(PrivacyError, match="has spent"):
                reserve(ledger, mu=mu, delta_t=delta_t)
    assert ledger.claim("web")["mu"] == pytest.approx(math.sqrt(squares), rel=1e-12)


def test_lineages_are_charged_apart(ledger: Ledger) -> None:
    for name in ("web", "app"):
        reserve(ledger, name)
    assert [claim["lineage"] for claim in ledger.claims()] == ["app", "web"]
    assert {claim["charges"] for claim in ledger.claims()} == {1}
    assert ledger.claim("other")["sentence"] == "Nothing of lineage 'other' has been released under this ledger."


def test_an_unfinished_run_stays_charged_and_is_not_refunded(ledger: Ledger) -> None:
    for _ in range(2):
        reserve(ledger, mu=0.3)
    with pytest.raises(PrivacyError, match="has spent"):
        reserve(ledger, mu=0.3)
    assert ledger.claim("web")["unfinished"] == ledger.claim("web")["charges"] == 2
    assert not any(hasattr(ledger, name) for name in ("refund", "cancel", "abort", "release"))


def test_what_is_committed_was_reserved(ledger: Ledger) -> None:
    done = reserve(ledger)
    ledger.commit(done)
    for wrong in (done, Reservation(1, "web", labelled=True), Reservation(9, "web", labelled=True)):
        with pytest.raises(UsageError, match="no open reservation"):
            ledger.commit(wrong)


def test_limits_are_not_raised_silently(ledger: Ledger) -> None:
    ledger.limit("web", epsilon=4.0, delta=1e-6)  # before any charge it is a choice
    reserve(ledger)
    for figures in ({"epsilon": 5.0, "delta": 1e-6}, {"epsilon": 4.0, "delta": 1e-5}):
        with pytest.raises(PrivacyError, match="not raised unless you say so"):
            ledger.limit("web", **figures)
    with pytest.raises(PrivacyError, match="has spent more"):
        ledger.limit("web", epsilon=0.1, delta=1e-6)
    ledger.limit("web", epsilon=3.0, delta=1e-6)
    assert ledger.claim("web")["limit_epsilon"] == 3.0
    ledger.limit("web", epsilon=5.0, delta=1e-6, raise_it=True)
    assert (ledger.claim("web")["limit_epsilon"], ledger.claim("app")["limit_epsilon"]) == (5.0, 2.0)


# --- releases without differential privacy ---


def test_dp_after_a_k_users_release_needs_the_override(ledger: Ledger) -> None:
    ledger.no_dp_claim("web", window="2026-01", what="k-users")
    with pytest.raises(PrivacyError, match="without differential privacy"):
        reserve(ledger)
    assert reserve(ledger, "app").labelled
    without = reserve(ledger, override=True)
    assert not without.labelled
    claim = ledger.claim("web")
    assert (claim["dp"], claim["charges"]) == (False, 1)
    assert claim["sentence"].startswith("No claim: k-users of lineage 'web' was released")


def test_an_anonymized_log_after_a_dp_release_needs_the_override(ledger: Ledger) -> None:
    reserve(ledger)
    with pytest.raises(PrivacyError, match="an anonymized log of the same data would end their claim"):
        ledger.no_dp_claim("web", window="2026-01", what="an anonymized log")
    assert ledger.claim("web")["dp"]
    ledger.no_dp_claim("web", window="2026-01", what="an anonymized log", override=True)
    assert not ledger.claim("web")["dp"]
    ledger.no_dp_claim("app", window="2026-01", what="an anonymized log")


# --- a past that is not whole ---


def whole(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_name(path.name + ".head").read_bytes()


def edited(data: bytes, line: int, old: bytes, new: bytes) -> bytes:
    lines = data.split(b"\n")
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    return b"\n".join(lines)


def rechained(data: bytes) -> bytes:
    """As someone would write it who edits a line and mends the hashes after it, but forgets the head."""
    previous, lines = "0" * 64, []
    for line in data.split(b"\n")[:-1]:
        text = json.dumps({**json.loads(line), "previous": previous}, sort_keys=True)
        previous = hashlib.sha256(text.encode()).hexdigest()
        lines.append(text)
    return ("\n".join(lines) + "\n").encode()


DAMAGES = {
    "a smaller charge": lambda data: edited(data, 1, b'"delta_t": ', b'"delta_t": 0.0, "x": '),
    "another lineage": lambda data: edited(data, 1, b'"web"', b'"wed"'),
    "another lineage in the last line": lambda data: edited(data, 2, b'"web"', b'"wed"'),
    "edited and chained anew": lambda data: rechained(edited(data, 1, b'"web"', b'"wed"')),
    "a higher limit": lambda data: edited(data, 0, b'"epsilon": 2.0', b'"epsilon": 9.0'),
    "a line taken out": lambda data: b"\n".join(data.split(b"\n")[:1] + data.split(b"\n")[2:]),
    "lines swapped": lambda data: b"\n".join([data.split(b"\n")[i] for i in (0, 2, 1, 3)]),
    "the last line gone": lambda data: b"\n".join(data.split(b"\n")[:-2]) + b"\n",
    "the last line cut": lambda data: data[:-20],
    "the last newline cut": lambda data: data[:-1],
    "empty": lambda _: b"",
    "no ledger": lambda _: b"hello\n\n\n\n",
    "not text": lambda data: b"\xff\x00" + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_refused_by_name(path: Path, ledger: Ledger, damage: str) -> None:
    for _ in range(2):
        reserve(ledger)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    damaged = whole(path)
    for use in (
        lambda: Ledger(path),
        lambda: reserve(ledger),
        lambda: ledger.claim("web"),
        lambda: ledger.no_dp_claim("app", window="w", what="k-users"),
    ):
        with pytest.raises(PrivacyError, match=r"ledger 'budget.ledger' is refused: .*restore both files") as refused:
            use()
        assert str(path.parent) not in str(refused.value)
    assert whole(path) == damaged


def test_an_older_copy_is_refused(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    older = path.read_bytes()
    reserve(ledger)
    path.write_bytes(older)
    with pytest.raises(PrivacyError, match="older copy"):
        reserve(ledger)


@pytest.mark.parametrize(
    "head",
    [None, b"", b"{}", b"[]", b'{"lines": "x", "hash": ""}', b"\xff", b'{"hash": "", "lines": 1e999}', b"[" * 100_000],
)
def test_a_ledger_without_its_head_is_refused(path: Path, ledger: Ledger, head: bytes | None) -> None:
    reserve(ledger)
    beside = path.with_name("budget.ledger.head")
    beside.unlink() if head is None else beside.write_bytes(head)
    with pytest.raises(PrivacyError, match="is refused"):
        reserve(ledger)


def test_a_missing_ledger_is_refused_and_not_made_anew(path: Path, ledger: Ledger) -> None:
    path.unlink()
    for use in (lambda: Ledger(path), lambda: reserve(ledger)):
        with pytest.raises(PrivacyError, match=r"no ledger 'budget.ledger'"):
            use()
    with pytest.raises(PrivacyError, match=r"is gone, but 'budget.ledger.head' remembers it"):
        Ledger.create(path, epsilon=2.0, delta=1e-6)


def test_a_ledger_that_is_there_is_not_made_anew(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    with pytest.raises(UsageError, match="exists"):
        Ledger.create(path, epsilon=9.0, delta=1e-6)


def test_a_ledger_of_another_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardneg_fast.ledger.file._VERSION", 2)
    Ledger.create(path, epsilon=2.0, delta=1e-6)
    monkeypatch.undo()
    with pytest.raises(PrivacyError, match="another version"):
        Ledger(path)


def put(path: Path, data: bytes) -> None:
    """Lines and a head that fit together."""
    data = rechained(data)
    path.write_bytes(data)
    last = hashlib.sha256(data.split(b"\n")[-2]).hexdigest()
    path.with_name(path.name + ".head").write_text(json.dumps({"lines": data.count(b"\n"), "hash": last}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"delta_t": ', b'"delta_t": -1, "was": '),
        (b'"mu": ', b'"mu": NaN, "was": '),
        (b'"mu": ', b'"mu": 1e999, "was": '),
        (b'"mu": ', b'"mu": true, "was": '),
        (b'"mu": ', b'"mu": {"x": [1]}, "was": '),
        (b'"lineage": "web"', b'"lineage": "\\u001b[2J"'),
        (b'"lineage": "web"', b'"lineage": ["web"]'),
        (b'"override": false', b'"override": 0'),
    ],
)
def test_values_that_were_never_written_are_refused(path: Path, ledger: Ledger, old: bytes, new: bytes) -> None:
    reserve(ledger)
    key = new.split(b'"')[1]
    lines = [json.loads(line) for line in edited(path.read_bytes(), 1, old, new).split(b"\n")[:-1]]
    lines[1].pop("was", None)
    put(path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    with pytest.raises(PrivacyError, match=f"line 2 holds {key.decode()} that was never written"):
        Ledger(path)


def test_a_limit_whose_delta_is_spent_claims_nothing(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    put(path, edited(path.read_bytes(), 0, b'"delta": 1e-06', b'"delta": 1e-12'))
    claim = ledger.claim("web")
    assert claim["epsilon"] is None
    assert claim["sentence"].startswith("No claim at delta 1e-12")
    with pytest.raises(PrivacyError):
        reserve(ledger)


def test_a_ledger_of_before_releases_without_delta_still_counts(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    before = ledger.claim("web")
    put(path, path.read_bytes().replace(b'"pure": 0.0, ', b""))
    assert b"pure" not in path.read_bytes()
    assert Ledger(path).claim("web") == before
    reserve(Ledger(path))


def test_a_writer_killed_within_a_line_had_looked_at_nothing(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    with path.open("ab") as file:
        file.write(b'{"config_hash": "ab')
    assert reserve(ledger).number == 3
    assert Ledger(path).claim("web")["charges"] == 2


def test_a_writer_killed_before_the_head_is_charged(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    head = path.with_name("budget.ledger.head")
    before = head.read_bytes()
    reserve(ledger)
    head.write_bytes(before)
    assert Ledger(path).claim("web")["charges"] == 2
    assert reserve(ledger, mu=0.01).number == 4


# --- processes ---

RACER = """
import sys
from hardneg_fast.ledger import Ledger
from hardneg_fast.exceptions import PrivacyError
ledger = Ledger(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    ledger.reserve("web", window="w", mu=float(sys.argv[2]), delta_t=0.0, what="mine", config_hash="0" * 64)
    print("granted", flush=True)
except PrivacyError:
    print("refused", flush=True)
sys.stdin.readline()
"""


def racer(path: Path, mu: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(path), repr(mu)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_two_processes_cannot_both_have_the_last_budget(path: Path) -> None:
    ledger = Ledger.create(path, epsilon=1.0, delta=1e-8)
    racers = [racer(path, ONE.mu) for _ in range(3)]
    for process in racers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in racers:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = sorted(process.communicate("\n", timeout=60)[0] for process in racers)
    assert answers == ["granted\n", "refused\n", "refused\n"]
    assert ledger.claim("web")["charges"] == 1


def test_a_killed_run_stays_charged(path: Path, ledger: Ledger) -> None:
    process = racer(path, ONE.mu)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "granted\n"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert ledger.claim("web")["unfinished"] == 1


# --- what the file says, and arguments ---


def test_lines_hold_nothing_but_what_was_given(path: Path, ledger: Ledger) -> None:
    ledger.commit(reserve(ledger))
    ledger.no_dp_claim("app", window="w", what="k-users")
    ledger.limit("new", epsilon=1.0, delta=1e-7)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["n"] for line in lines] == [1, 2, 3, 4, 5]
    chain = {"n", "previous", "type"}
    assert [set(line) - chain for line in lines] == [
        {"version", "epsilon", "delta"},
        {"lineage", "window", "mu", "delta_t", "pure", "what", "config_hash", "at", "override"},
        {"reservation"},  # no time: how long a run took follows from the data
        {"lineage", "window", "what", "at", "override"},
        {"lineage", "epsilon", "delta"},
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lineage": ""}, "lineage"),
        ({"lineage": "a\nb"}, "lineage"),
        ({"window": "x" * 201}, "window"),
        ({"what": ""}, "what"),
        ({"config_hash": "xyz"}, "config_hash"),
        ({"mu": -1.0}, "mu"),
        ({"mu": math.nan}, "mu"),
        ({"mu": 0.0, "delta_t": 0.0}, "mu"),
        ({"delta_t": 1.0}, "delta_t"),
    ],
    ids=str,
)
def test_charges_that_cannot_be(ledger: Ledger, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        reserve(ledger, **options)  # type: ignore[arg-type]
    assert ledger.claims() == []


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 1e-6), (math.inf, 1e-6), (1.0, 0.0), (1.0, 1.0), (math.nan, 0.1)])
def test_limits_that_cannot_be(path: Path, ledger: Ledger, epsilon: float, delta: float) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        Ledger.create(path.with_name("other"), epsilon=epsilon, delta=delta)
    with pytest.raises(UsageError, match="cannot be"):
        ledger.limit("web", epsilon=epsilon, delta=delta)


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"ledger .* cannot be used") as refused:
        Ledger(tmp_path)
    assert os.sep not in str(refused.value)


# --- the command line ---


def test_the_command_line_begins_shows_and_limits(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ledger", str(path), "--create", "--epsilon", "2", "--delta", "1e-6"]) == 0
    assert capsys.readouterr().out == "nothing was charged yet\n"
    reserve(Ledger(path))
    assert cli.main(["ledger", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("web: All that was released of lineage 'web' under this ledger is (")
    lines = [line.split() for line in out.splitlines()[1:]]
    assert lines[0] == ["window", "epsilon", "of", "delta", "mu", "delta_t", "charges", "unfinished"]
    assert lines[1][0] == "2026-01"
    assert out.endswith("lineages are not summed: one name for all logs that may hold the same users\n")
    assert (lines[2][0], lines[2][2]) == ("total", "2")
    assert cli.main(["ledger", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == Ledger(path).claims()
    limit = ["ledger", str(path), "--lineage", "web", "--epsilon", "3", "--delta", "1e-6"]
    assert cli.main(limit) == 4
    assert cli.main([*limit, "--raise-limit"]) == 0
    assert Ledger(path).claim("web")["limit_epsilon"] == 3
    assert cli.main(["ledger", str(path.with_name("none"))]) == 4
    assert "no ledger 'none'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--create"],
        ["--create", "--epsilon", "1"],
        ["--create", "--epsilon", "1", "--delta", "1e-6", "--lineage", "web"],
        ["--epsilon", "1", "--delta", "1e-6"],
        ["--raise-limit"],
        ["--create", "--epsilon", "1", "--delta", "1e-6", "--raise-limit"],
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together(path: Path, options: list[str]) -> None:
    assert cli.main(["ledger", str(path), *options]) == 2
    assert not path.exists()


# --- places and names ---


def test_files_are_the_owners_and_the_head_follows(path: Path) -> None:
    old = os.umask(0)
    try:
        ledger = Ledger.create(path, epsilon=2.0, delta=1e-6)
        head = path.with_name("budget.ledger.head")
        assert [stat.S_IMODE(file.stat().st_mode) for file in (path, head)] == [0o600, 0o600]
        path.chmod(0o660)  # shared by a group on purpose
        reserve(ledger)
    finally:
        os.umask(old)
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, head)] == [0o660, 0o660]
    assert sorted(file.name for file in path.parent.iterdir()) == ["budget.ledger", "budget.ledger.head"]


def test_a_link_at_the_name_of_before_is_not_written_through(path: Path, ledger: Ledger) -> None:
    mine = path.with_name("mine")
    mine.write_text("my own")
    for name in ("budget.ledger.head.partial", f"budget.ledger.head.{'0' * 16}.partial"):
        path.with_name(name).symlink_to(mine)
    other = path.with_name("budget.ledger.header.partial")
    other.write_text("something else")
    reserve(ledger)
    assert mine.read_text() == "my own"
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(
        ["budget.ledger", "budget.ledger.head", other.name, "mine"]
    ), "what killed writers left is gone, and nothing else"


def test_no_ledger_where_anybody_could_put_another(path: Path, ledger: Ledger) -> None:
    path.parent.chmod(0o777)
    for use in (
        lambda: reserve(ledger),
        lambda: Ledger(path),
        lambda: Ledger.create(path.with_name("other"), epsilon=2.0, delta=1e-6),
    ):
        with pytest.raises(UsageError, match=r"anybody may replace .* chmod \+t"):
            use()
    assert not path.with_name("other").exists()
    path.parent.chmod(0o1777)
    reserve(ledger)
    path.parent.chmod(0o700)


@pytest.mark.usefixtures("ledger")
def test_a_link_of_somebody_else_leads_to_no_ledger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert reserve(Ledger(link)).number == 2, "one's own does"
    if os.geteuid() == 0:
        os.chown(link, 65_534, 65_534, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    with pytest.raises(UsageError, match="link that somebody else made"):
        Ledger(link)


@pytest.mark.parametrize("left", ["nothing", "half a line", "the head alone"])
def test_a_creator_that_was_killed_can_begin_again(path: Path, left: str) -> None:
    if left == "the head alone":
        Ledger.create(path, epsilon=9.0, delta=1e-3)
    path.write_bytes(b'{"delta": 1e-' if left == "half a line" else b"")
    with pytest.raises(PrivacyError, match=r"begun and not finished.*--create"):
        Ledger(path)
    ledger = Ledger.create(path, epsilon=2.0, delta=1e-6)
    reserve(ledger, mu=0.01)
    assert Ledger(path).claim("web")["limit_epsilon"] == 2.0
    with pytest.raises(UsageError, match="exists"):
        Ledger.create(path, epsilon=2.0, delta=1e-6)


def test_a_ledger_that_was_emptied_is_not_begun_again(path: Path, ledger: Ledger) -> None:
    reserve(ledger)
    path.write_bytes(b"")
    with pytest.raises(PrivacyError, match="lines that were there are gone"):
        Ledger(path)
    with pytest.raises(UsageError, match="exists"):
        Ledger.create(path, epsilon=2.0, delta=1e-6)


def test_a_creator_killed_at_any_write_leaves_what_can_be_begun(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(Exception):
        """As if the process were gone."""

    def until(calls: int) -> Callable[[int, bytes], int]:
        left = iter(range(calls))

        def write(handle: int, data: bytes) -> int:
            if next(left, None) is None:
                raise KilledError
            return real(handle, data[: max(1, len(data) // 2)])

        return write

    real = os.write
    for calls in range(40):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", until(calls))
            try:
                Ledger.create(path, epsilon=9.0, delta=1e-3)
            except KilledError:
                continue
            break
    assert calls > 5
    assert Ledger(path).claim("web")["limit_epsilon"] == 9.0


SPELT = [
    "Web",
    "WEB",
    "\uff57\uff45\uff42",
    "we\ufe0fb",
    "caf\u00e9 ",
    "web ",
    " web",
    "web  x",
    "we\u034fb",
    "w\u200beb",
    "w\tb",
]


@pytest.mark.parametrize("other", SPELT, ids=ascii)
def test_other_spellings_are_no_fresh_budget(ledger: Ledger, other: str) -> None:
    reserve(ledger, "web")
    for use in (
        lambda: reserve(ledger, other),
        lambda: ledger.afford(other, mu=0.1, delta_t=0.0),
        lambda: ledger.limit(other, epsilon=9.0, delta=1e-6),
        lambda: ledger.no_dp_claim(other, window="w", what="k-users"),
        lambda: ledger.allow(other, what="k-users"),
        lambda: ledger.claim(other),
    ):
        with pytest.raises(UsageError, match="lineage"):
            use()
    assert [claim["lineage"] for claim in ledger.claims()] == ["web"]


def test_the_one_that_it_looks_like_is_said(ledger: Ledger) -> None:
    reserve(ledger, "Straße 5")
    with pytest.raises(UsageError, match=r"'STRASSE 5' looks like 'Straße 5', which is in the ledger"):
        reserve(ledger, "STRASSE 5")


def test_composed_or_not_is_one_lineage(ledger: Ledger) -> None:
    assert reserve(ledger, "cafe\u0301").lineage == "caf\u00e9"
    reserve(ledger, "caf\u00e9", mu=0.01)
    assert ledger.claim("cafe\u0301")["charges"] == ledger.claim("caf\u00e9")["charges"] == 2
    entry = reserve(ledger, "cafe\u0301", mu=0.01)
    ledger.commit(entry)


def test_old_ledgers_keep_the_names_that_they_have(path: Path, ledger: Ledger) -> None:
    reserve(ledger, "web")
    names = ["web", "Web", "web  ", "cafe\u0301", "caf\u00e9"]
    first, line = path.read_bytes().split(b"\n")[:2]
    entries = [json.loads(line) | {"n": n, "lineage": name} for n, name in enumerate(names, start=2)]
    lines = [first, *(json.dumps(entry, sort_keys=True).encode() for entry in entries)]
    put(path, b"".join(one + b"\n" for one in lines))
    old = Ledger(path)
    assert sorted(claim["lineage"] for claim in old.claims()) == sorted(names)
    for name in names:
        assert reserve(old, name, mu=0.01).lineage == name
        assert old.claim(name)["charges"] == 2
    with pytest.raises(UsageError, match="looks like"):
        reserve(old, "WEB")
