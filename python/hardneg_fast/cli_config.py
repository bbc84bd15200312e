"""`hardneg-fast config show`: every option, its value, and where the value is from."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any

from . import cli_shared as shared
from . import options
from .options import Setting

__all__ = ["CONFIG", "SHOW", "as_dict", "effective", "toml", "whence"]

LEFT_OPEN = {"threads": (0, "every core"), "memory": (0, "a quarter of RAM"), "spill_dir": ("", "TMPDIR, or /tmp")}
"""Option → the value that leaves it to the machine, and what the machine then takes."""


def _config(command: argparse.ArgumentParser) -> None:
    shows = command.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=shared.Parser)
    shared.add(shows, SHOW)


def _show(command: argparse.ArgumentParser) -> None:
    shared.config_options(command, options.SECTIONS)
    shared.format_option(command)


def run_show(args: argparse.Namespace) -> None:
    """Prints the configuration that a run with the same file, environment and flags would have."""
    found = effective(args)
    if not shared.as_json(args, as_dict(found)):
        print("\n".join(_lines(found)))


def effective(args: argparse.Namespace) -> list[Setting]:
    """Every option of a run; what a preset says counts where nothing else does."""
    found = options.settings(args.config, shared.given(args))
    read = shared.config(args).read
    if read.preset is None:
        return found
    from .sources import mapping

    said = mapping.effective(read)
    changed = {f"read.{f.name}": getattr(said, f.name) for f in dataclasses.fields(said)
               if getattr(said, f.name) != getattr(read, f.name)}  # fmt: skip
    return [
        dataclasses.replace(setting, value=changed[setting.name], origin="preset", place=str(read.preset))
        if setting.name in changed
        else setting
        for setting in found
    ]


def as_dict(settings: Iterable[Setting]) -> dict[str, Any]:
    """Option → value, origin and place, for JSON."""
    return {s.name: {"value": s.value, "origin": s.origin, "place": s.place or None} for s in settings}


def _lines(settings: Iterable[Setting]) -> Iterator[str]:
    """TOML that --config takes, with a comment at each line that says where the value is from."""
    section = ""
    for setting in settings:
        above, _, name = setting.name.rpartition(".")
        if above != section:
            section = above
            yield f"\n[{section}]"
        yield f"{name} = {toml(setting.value)}  # {whence(setting)}"


def whence(setting: Setting) -> str:
    """Where a value is from, in words."""
    said = {"default": "default", "environment": f"environment {setting.place}", "flag": setting.place}.get(
        setting.origin, f"{setting.origin} {setting.place}"
    )
    value, means = LEFT_OPEN.get(setting.name, (None, ""))
    return f"{said}: {means}" if means and setting.value == value else said


def toml(value: Any) -> str:
    """A value as TOML writes it; `"none"` is how an option is said to be unset."""
    if value is None:
        return '"none"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


SHOW = shared.Command(
    name="show",
    about="print every option with its value, and whether that is a default or from a file, the environment or a flag",
    examples=(
        "hardneg-fast config show --config hardneg.toml",
        "hardneg-fast config show --select.alpha 0.1 --format json",
        "hardneg-fast config show > hardneg.toml",
    ),
    options=_show,
    run=run_show,
)

CONFIG = shared.Command(
    name="config",
    about="show the configuration that a run would have",
    examples=SHOW.examples,
    options=_config,
    run=run_show,
)
