"""What the command line says of itself: help, answers to typos, the configuration in force."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hardneg_fast as hn
from hardneg_fast import cli, cli_completion, options
from hardneg_fast.cli_config import SHOW
from hardneg_fast.ledger import Ledger


def said(capsys, *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(list(words))
    except SystemExit as left:
        code = left.code
    return (code, *capsys.readouterr())


def test_help_takes_less_than_a_third_of_a_second():
    """CPU time of the better of two, which other work on the machine does not lengthen much."""
    for words in (["--help"], ["mine", "--help"], ["config", "show", "--help"]):
        best = 9.0
        for _ in range(2):
            before = os.times()
            subprocess.run([sys.executable, "-m", "hardneg_fast", *words], stdout=subprocess.DEVNULL, check=True)
            after = os.times()
            took = after.children_user + after.children_system - before.children_user - before.children_system
            best = min(best, took)
        assert best < 0.3, f"{words}: {best} s"


def test_usage_says_what_must_be_given(capsys):
    shown = {name: said(capsys, *name.split(), "--help")[1].partition("\n\n")[0] for name in every_command()}
    privacy = "(--k-users K | --epsilon E | --no-privacy)"
    assert " ".join(shown["mine"].split()) == f"usage: hardneg-fast mine LOG [LOG ...] -o OUT {privacy} [options]"
    assert shown["export"] == "usage: hardneg-fast export OUT --to FORMAT -o DIR [options]"
    assert shown["config show"] == "usage: hardneg-fast config show [options]"
    assert all(len(text) < 200 for text in shown.values())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mien"], "no command is called 'mien'; did you mean 'mine'?"),
        (["config", "shw"], "no command is called 'shw'; did you mean 'show'?"),
        (["--versoin"], "'--versoin' here; did you mean '--version'?"),
        # Before what is then lacking, and however the option is written.
        (["mine", "log", "--ot", "x"], "'--ot' here; did you mean '--out'?"),
        (["mine", "log", "--k_users=3", "-o", "x"], "'--k_users' here; did you mean '--k-users'?"),
        # Without its section, in another, and with underscores.
        (["mine", "log", "-o", "x", "--alpha", "0.1"], "did you mean '--select.alpha'?"),
        (["mine", "log", "-o", "x", "--read.alpha", "0.1"], "did you mean '--select.alpha'?"),
        (["mine", "log", "-o", "x", "--read.position_base", "1"], "did you mean '--read.position-base'?"),
        (["config", "show", "--max-position", "9"], "'--count.max-position' or '--click-model.max-position'?"),
        (["inspect", "log", "--format", "jsno"], "'jsno' is no choice; did you mean 'json'?; there are: text, json"),
        (["mine", "log", "-o", "x", "-z"], "no option or argument '-z' here\n"),
        (["shred", "a", "b"], "no option or argument 'b' here\n"),
    ],
)
def test_typos_are_answered(words, says, capsys):
    code, out, error = said(capsys, *words)
    assert (code, out) == (2, "")
    assert says in error
    assert error.splitlines()[-1].startswith("see: hardneg-fast")


def test_an_option_of_another_section_is_found_there(tmp_path):
    file = tmp_path / "c.toml"
    for content, name in {"[read]\nalpha = 1": "select.alpha", "alpha = 1": "select.alpha"}.items():
        file.write_text(content)
        with pytest.raises(options.UsageError, match=f"did you mean '{name}'"):
            options.load(file, {})


def every_command() -> list[str]:
    return [f"config {SHOW.name}", *(command.name for command in cli.COMMANDS if command.name != "config")]


def test_every_command_stands_in_one_line_with_what_it_does(capsys):
    listed = said(capsys, "--help")[1].partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    begins = [line.index(line.split(maxsplit=1)[1]) for line in listed if line[4] != " "]
    assert len(begins) == len({name.partition(" ")[0] for name in every_command()})
    assert len({*begins}) == 1


@pytest.mark.parametrize("name", every_command())
def test_examples_in_the_help_are_commands(name, capsys):
    code, out, _ = said(capsys, *name.split(), "--help")
    assert code == 0
    examples = [line.strip() for line in out.partition("\nexample")[2].splitlines()[1:]]
    assert examples
    for example in examples:
        plain = example.removeprefix("source <(").rstrip(")")
        program, *words = shlex.split(plain.partition(" < ")[0].partition(" > ")[0])
        args = cli.parser().parse_args(words)
        assert program == "hardneg-fast"
        assert args.parser.prog == f"hardneg-fast {name}", example


def test_config_show_says_where_each_value_is_from(tmp_path, capsys, monkeypatch):
    file = tmp_path / "hardneg.toml"
    file.write_text('seed = 4\nspill_dir = "/x"\n[select]\nalpha = 0.3\nnum_negatives = 4\n')
    monkeypatch.setenv("HARDNEG_THREADS", "3")
    words = ["config", "show", "--config", str(file), "--select.alpha", "0.1", "--preset", "ubi", "--seed", "9"]
    code, out, _ = said(capsys, *words, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert found["select.alpha"] == {"value": 0.1, "origin": "flag", "place": "--select.alpha"}
    assert found["seed"] == {"value": 9, "origin": "flag", "place": "--seed"}
    assert found["select.num_negatives"] == {"value": 4, "origin": "file", "place": str(file)}
    assert found["spill_dir"] == {"value": "/x", "origin": "file", "place": str(file)}
    assert found["threads"] == {"value": 3, "origin": "environment", "place": "HARDNEG_THREADS"}
    assert found["read.preset"] == {"value": "ubi", "origin": "flag", "place": "--preset"}
    assert found["select.negative_coec"]["origin"] == "default"
    assert {name for name in found if "." in name} == {dotted for dotted, *_ in options.fields()}
    code, out, _ = said(capsys, *words)
    assert "\n[select]\n" in out
    assert "\nalpha = 0.1  # --select.alpha\n" in out
    assert "memory = 0  # default: a quarter of RAM\n" in out


def test_what_a_preset_says_is_in_force(tmp_path, capsys):
    preset = tmp_path / "own.toml"
    preset.write_text(
        '[source]\nabout = "x"\nshape = "rows"\nposition_base = "0"\n[columns]\nquery = "q"\n'
        '[constants]\nsurface = "s"\n'
    )
    code, out, error = said(capsys, "config", "show", "--preset", str(preset), "--format", "json")
    assert code == 0, error
    found = json.loads(out)
    assert found["read.position_base"] == {"value": "0", "origin": "preset", "place": str(preset)}
    assert found["read.constants"] == {"value": {"surface": "s"}, "origin": "preset", "place": str(preset)}


def test_what_config_show_prints_is_a_configuration(tmp_path, capsys):
    odd = tmp_path / "odd.toml"
    odd.write_text(
        'memory = "1GB"\n[read.columns]\n"query" = "a \\"b\\" \\\\ \\u007f 😀"\n'
        "[count]\nuntil = 2026-01-31\nsurfaces = ['web', '']\n[select]\nalpha = 1e-9\n"
    )
    _, out, _ = said(capsys, "config", "show", "--config", str(odd))
    (tmp_path / "shown.toml").write_text(out)
    assert options.load(tmp_path / "shown.toml", {}) == options.load(odd, {})


# --- mine --dry-run ---

PERSON = "somebody 4242"
LOG = pa.table(
    {
        "uid": [PERSON, "b"] * 20,
        "q": [f"query of {PERSON}"] * 40,
        "doc_id": [f"d{i % 4}" for i in range(40)],
        "position": [i % 4 + 1 for i in range(40)],
        "clicked": [i % 4 == 2 for i in range(40)],
    }
)
MAPPED = ("--columns", "user_id=uid,query=q")


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pq.write_table(LOG, tmp_path / "log.parquet", row_group_size=10)
    pq.write_table(pa.table({"doc_id": ["d1"], "text": [PERSON]}), tmp_path / "docs.parquet")
    Ledger.create(tmp_path / "ledger", epsilon=3, delta=1e-6)
    monkeypatch.chdir(tmp_path)
    return tmp_path


DP = ("--epsilon", "2", "--lineage", "web", "--ledger", "ledger", "--read.position-base", "1")
MODES = {
    "none": ("--no-privacy",),
    "k": ("--k-users", "2"),
    "entered": ("--k-users", "2", "--lineage", "web", "--ledger", "ledger"),
    "dp": DP,
}


@pytest.mark.parametrize("mode", MODES)
def test_a_dry_run_reads_no_row_and_writes_nothing(mode, folder, capsys):
    # Of a file whose rows are spoilt, only the footer can have been read.
    log = folder / "log.parquet"
    footer = pq.ParquetFile(log).metadata
    start = footer.row_group(0).column(0).dictionary_page_offset
    data = log.read_bytes()
    end = len(data) - 8 - footer.serialized_size
    log.write_bytes(data[:start] + b"\xff" * (end - start) + data[end:])
    before = everything(folder)
    words = ("mine", "log.parquet", "-o", "out", *MODES[mode], *MAPPED, "--select.alpha", "0.2", "--dry-run")
    code, out, error = said(capsys, *words, "--documents", "docs.parquet")
    assert (code, error) == (0, "")
    assert everything(folder) == before
    for line in (
        "dry run     of the log only names and types of columns were read; nothing was written or charged",
        "log         1 file, parquet, shape rows",
        "column      user_id   <- uid (string)",
        "would write out: triplets, negatives,",
        "option      select.alpha = 0.2 (--select.alpha)",
        {
            "none": "privacy     none: everything counted",
            "k": "privacy     k users: only what at least 2 users",
            "entered": "ledger      ledger: lineage 'web' would be without a claim",
            "dp": "ledger      ledger: lineage 'web' would go from epsilon 0 to ",
        }[mode],
    ):
        assert f"\n{line}" in f"\n{out}"
    assert ("would write out.private: exact.json" in out) is (mode == "dp")
    code, out, _ = said(capsys, *words, "--format", "json")
    found = json.loads(out)
    assert (code, found["columns"]["user_id"], found["privacy"]["mode"]) == (
        0,
        {"uid": "string"},
        {"none": "none", "dp": "dp"}.get(mode, "k_users"),
    )
    assert found["config"]["select.alpha"] == {"value": 0.2, "origin": "flag", "place": "--select.alpha"}
    assert PERSON not in out
    assert everything(folder) == before


@pytest.mark.parametrize(
    ("words", "expected", "says"),
    [
        (("--k-users", "2", "--columns", "query=q"), 4, "needs user ids"),
        (("--no-privacy", "--columns", "user_id=uid,query=nothing"), 3, "columns not found: ['nothing']"),
        (("--no-privacy", *MAPPED, "--documents", "log.parquet"), 3, "documents: one column each"),
        (("--no-privacy", *MAPPED, "--documents", "none.parquet"), 3, "no such file"),
        (("--no-privacy", *MAPPED, "-o", "full"), 2, "full exists"),
        ((*DP[:-2], *MAPPED), 2, "--read.position-base"),
        ((*DP, *MAPPED, "--epsilon", "9"), 4, "has spent epsilon 0 of 3"),
        ((*DP, *MAPPED, "--ledger", "nowhere"), 4, "no ledger 'nowhere'"),
        ((*DP, *MAPPED, "--lineage", "ended"), 4, "had a release without differential privacy"),
        (("--k-users", "2", *MAPPED, "--lineage", "claimed", "--ledger", "ledger"), 4, "would end their claim"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(words, expected, says, folder, capsys):
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").touch()
    ledger = Ledger(folder / "ledger")
    ledger.no_dp_claim("ended", window="w", what="a k-users output")
    ledger.reserve("claimed", window="w", mu=0.1, delta_t=1e-9, what="mine", config_hash="0" * 64)
    before = everything(folder)
    dry = said(capsys, "mine", "log.parquet", "-o", "out", *words, "--dry-run")
    assert dry[:2] == (expected, "")
    assert says in dry[2]
    assert everything(folder) == before
    assert said(capsys, "mine", "log.parquet", "-o", "out", *words) == dry


def test_a_dry_run_leaves_half_a_line_in_the_ledger(folder, capsys):
    """A writer that was killed left it: the next that writes takes it away, and one that only looks does not."""
    with (folder / "ledger").open("ab") as file:
        file.write(b'{"n": 2, "prev')
    before = everything(folder)
    words = ("mine", "log.parquet", "-o", "out", *DP, *MAPPED)
    code, out, _ = said(capsys, *words, "--dry-run", "--format", "json")
    assert code == 0
    assert everything(folder) == before
    assert said(capsys, *words)[0] == 0
    claim = Ledger(folder / "ledger").claim("web")
    assert (claim["charges"], claim["epsilon"]) == (1, json.loads(out)["charge"]["after"])


def test_a_dry_run_looks_at_the_first_records_of_ndjson_only(folder, capsys):
    row = {"query": "q", "doc_id": "d", "clicked": 0}
    late = [json.dumps(row)] * 1_000 + [json.dumps(row | {"surface": "web"})]
    (folder / "log.ndjson").write_text("\n".join(late))
    code, out, error = said(capsys, "mine", "log.ndjson", "-o", "out", "--no-privacy", "--dry-run")
    assert (code, error) == (0, "")
    assert out.startswith("dry run     of the log only the first records were read; ")
    assert "column      query" in out
    assert "surface" not in out
    named = ("--columns", "surface=surface")
    code, _, error = said(capsys, "mine", "log.ndjson", "-o", "out", "--no-privacy", "--dry-run", *named)
    assert code == 3
    assert "the first 1,000 records" in error


@pytest.mark.usefixtures("folder")
def test_every_command_that_prints_prints_json(capsys):
    def found(*words: str) -> Any:
        code, out, error = said(capsys, *words, "--format", "json")
        assert code == 0, error
        return json.loads(out)

    made = found("simulate", "-o", "sim", "--impressions", "3000", "--seed", "1")
    assert made["impressions"] == pq.read_metadata("sim/log.parquet").num_rows
    key = found("keygen", "key")
    assert key == {"file": "key", "key_id": key["key_id"], "sealed": False}
    copied = found("anonymize", "log.parquet", "-o", "safe.parquet", *MAPPED, "--key", "key", "--reversible", "user_id")
    assert (copied["rows"], copied["out"], copied["key_id"]) == (40, "safe.parquet", key["key_id"])
    ids = found("reveal", "--key", "key", "--file", "safe.parquet", "--column", "user_id")
    assert [pair["token"] for pair in ids] == pq.read_table("safe.parquet")["user_id"].to_pylist()
    assert {pair["id"] for pair in ids} == {PERSON, "b"}
    assert found("shred", "key") == {"file": "key", "key_id": None}, "only a sealed file says its name"
    counted = found("count", "log.parquet", "-o", "a.counts", *MAPPED)
    assert (counted["out"], counted["rows"], counted["sizes"]["queries"]) == ("a.counts", 40, 1)
    found("count", "log.parquet", "-o", "b.counts", *MAPPED)
    merged = found("count", "--merge", "a.counts", "b.counts", "-o", "c.counts", "--users", "disjoint")
    assert (merged["rows"], merged["users_disjoint"]) == (80, True)
    assert found("ledger", "ledger") == Ledger("ledger").claims()
    loose = ("--select.alpha", "1", "--select.negative-coec", "9", "--select.positive-coec", "0.1")
    mined = found("mine", "sim/log.parquet", "-o", "out", "--no-privacy", *loose)
    assert mined["report"]["funnel"][0]["count"] == made["impressions"]
    assert mined["privacy"] == json.loads(Path("out/privacy.json").read_text())
    exported = found("export", "out", "--to", "qrels", "-o", "qrels")
    assert exported["out"] == "qrels"
    assert sum(exported["rows"].values()) > 0
    assert found("audit", "out")["failed"] == []
    assert found("inspect", "log.parquet", *MAPPED)["rows"] == 40
    shown = {name for name in every_command() if "--format" in said(capsys, *name.split(), "--help")[1]}
    assert shown == {*every_command()} - {"completion"}, "whose script is for a shell"


# --- completion ---


def completed(script: str, line: str, folder: Path) -> set[str]:
    """What bash offers after a line."""
    ask = (
        f"COMP_WORDS=({line}); [[ {shlex.quote(line)} == *' ' ]] && COMP_WORDS+=('');"
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _hardneg_fast; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    text = f"{script}\n{ask}"
    done = subprocess.run(["bash", "--norc"], input=text, capture_output=True, text=True, check=True, cwd=folder)  # noqa: S607
    assert done.stderr == ""
    return {word for word in done.stdout.split("\n") if word}


def test_bash_completes_commands_options_and_choices(tmp_path):
    script = "\n".join(cli_completion.bash(cli.parser()))

    def offers(line: str) -> set[str]:
        return completed(script, line, tmp_path)

    assert offers("hardneg-fast ") >= {command.name for command in cli.COMMANDS}
    assert offers("hardneg-fast mi") == {"mine"}
    assert offers("hardneg-fast config ") == {"show", "-h", "--help"}
    assert offers("hardneg-fast mine log --k") == {"--k-users", "--key", "--known-relevant"}
    assert offers("hardneg-fast mine log --select.alp") == {"--select.alpha"}
    assert "--click-model.gamma" in offers("hardneg-fast config show --")
    assert "--click-model.gamma" not in offers("hardneg-fast mine --")
    assert offers("hardneg-fast mine log --format ") == {"text", "json"}
    assert offers("hardneg-fast mine log --read.shape = r") == {"rows"}, "bash takes = for a word of its own"
    assert offers("hardneg-fast export out --to st-t") == {"st-triplet"}
    assert {"ubi", "ga4"} <= offers("hardneg-fast inspect log --preset ")
    # A value that is called like a command is none, and files are left to the shell.
    assert offers("hardneg-fast mine -o count --k") == {"--k-users", "--key", "--known-relevant"}
    assert offers("hardneg-fast mine lo") == set()
    assert offers("hardneg-fast mine -o ") == set()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_every_option_is_in_the_script(shell, capsys):
    code, out, _ = said(capsys, "completion", shell)
    assert code == 0
    for each in cli_completion.words(cli.parser()):
        for name in (name for option in each.options for name in option.names):
            form = {"zsh": f"'*{name}[", "fish": f" -{'l' if name.startswith('--') else 's'} {name.lstrip('-')} "}[
                shell
            ]
            assert form in out, (each.path, name)
    if path := shutil.which(shell):  # that they can be read by those they are for
        done = subprocess.run([path, "-n"], input=out, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("folder")
def test_a_private_release_says_at_once_what_it_lacks(capsys):
    code, _, error = said(capsys, "mine", "log.parquet", "-o", "out", "--epsilon", "2")
    assert code == 2
    assert error.startswith("hardneg-fast: with --epsilon say, too:\n  --lineage NAME")
    assert "\n  --ledger FILE, begun with: hardneg-fast ledger FILE --create" in error
    assert "\n  --read.position-base 1, or 0" in error
    code, _, error = said(capsys, "mine", "log.parquet", "-o", "out", *DP[:-2], *MAPPED)
    assert "--read.position-base 1 or 0" in error
    assert "--lineage" not in error


@pytest.mark.usefixtures("folder")
def test_a_delta_above_the_limit_is_named(capsys):
    for dry in ((), ("--dry-run",)):
        code, _, error = said(capsys, "mine", "log.parquet", "-o", "out", *DP, *MAPPED, "--delta", "1e-3", *dry)
        assert code == 4
        assert "--delta is too high: 0.0005 of it goes to thresholds, and the limit of lineage 'web' is 1e-06" in error
        assert "inf" not in error


@pytest.mark.usefixtures("folder")
def test_messages_of_commands_have_no_python_in_them(capsys):
    loose = ("log.parquet", "--no-privacy", *MAPPED)
    assert said(capsys, "mine", *loose, "-o", "out")[0] == 0
    with pytest.raises(hn.UsageError, match=r"--overwrite \(overwrite=True\) it"):
        hn.mine("log.parquet", "out", privacy=hn.Privacy.none())
    code, _, error = said(capsys, "mine", *loose, "-o", "out")
    assert code == 2
    assert error.endswith("give another directory, or --overwrite it\n")
    code, _, error = said(
        capsys, "mine", *loose, "-o", "new", "--select.retriever", "bm25", "--select.semi-negatives", "1"
    )
    assert code == 2
    assert "(documents=" not in error
    assert said(capsys, "count", "log.parquet", "-o", "a.counts", *MAPPED)[0] == 0
    assert said(capsys, "count", "log.parquet", "-o", "b.counts", *MAPPED)[0] == 0
    assert said(capsys, "count", "--merge", "a.counts", "b.counts", "-o", "c.counts")[0] == 0
    code, _, error = said(capsys, "mine", "c.counts", "-o", "new", "--k-users", "2")
    assert code == 4
    assert "merge with --users disjoint, if no user is in two parts" in error
    for words, says in (
        (("--select.preset", "best"), "choose one of retriever, "),
        (("--config", "none.toml"), "configuration 'none.toml': no such file"),
        (("--preset", "none.toml"), "mapping 'none.toml': no such file"),
        (("--read.constants", '{"query": "homepage"}'), "read.constants must look like query=homepage,surface=web"),
    ):
        code, _, error = said(capsys, "mine", *loose, "-o", "new", *words)
        assert code in (2, 3)
        assert says in error
    # The value that the help shows is one that is taken.
    help_text = " ".join(said(capsys, "mine", "--help")[1].split())
    assert "for logs without that column: `query=homepage`" in help_text
    assert "--read.constants NAME=VALUE,…" in help_text
    assert "preset |" not in help_text
    assert said(capsys, "mine", *loose, "-o", "new", "--read.constants", "surface=web")[0] == 0


@pytest.mark.usefixtures("folder")
def test_a_dry_run_without_options_names_no_others(capsys):
    bare = ("mine", "renamed.parquet", "-o", "out", "--no-privacy", "--dry-run")
    pq.write_table(LOG.rename_columns(["user_id", "query", *LOG.column_names[2:]]), "renamed.parquet")
    assert said(capsys, *bare)[1].endswith("\nall options have their defaults: hardneg-fast config show\n")
    assert "\nall other options have their defaults" in said(capsys, *bare, "--select.alpha", "0.2")[1]
