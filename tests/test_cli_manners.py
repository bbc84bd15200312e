"""What the command line says of itself: help, answers to typos, the configuration in force."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from hardneg_fast import cli, options
from hardneg_fast.cli_config import SHOW


def said(capsys, *words: str) -> tuple[int, str, str]:
    try:
        code = cli.main(list(words))
    except SystemExit as left:
        code = left.code
    return (code, *capsys.readouterr())


def test_help_takes_less_than_a_third_of_a_second():
    """CPU time of the best of three, which other work on the machine does not lengthen much."""
    for words in (["--help"], ["mine", "--help"], ["config", "show", "--help"]):
        best = 9.0
        for _ in range(3):
            before = os.times()
            subprocess.run([sys.executable, "-m", "hardneg_fast", *words], stdout=subprocess.DEVNULL, check=True)
            after = os.times()
            took = after.children_user + after.children_system - before.children_user - before.children_system
            best = min(best, took)
        assert best < 0.3, f"{words}: {best} s"


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


@pytest.mark.parametrize("name", every_command())
def test_examples_in_the_help_are_commands(name, capsys):
    code, out, _ = said(capsys, *name.split(), "--help")
    assert code == 0
    examples = [line.strip() for line in out.partition("\nexample")[2].splitlines()[1:]]
    assert examples
    for example in examples:
        program, *words = shlex.split(example.partition(" < ")[0].partition(" > ")[0])
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
