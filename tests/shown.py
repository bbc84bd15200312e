"""Code that pages show, and its running: in order, in one folder, with what is printed held against what is shown.

- `python`: run; a `text` block right below is what it prints.
- `console`: lines with `$ `, and what a backslash joins to them, are run in bash; lines below are what they print, to
  either stream. Figures may be off by a tenth, or .05.
- `toml`: read; where the first line is `# NAME.toml`, it becomes that file.
- In all of these … stands for anything, on a line of its own for any lines.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FIGURE = r"[-+]?\d[\d,]*(?:\.\d+)?"


@dataclass(frozen=True)
class Block:
    """A block of code, and what stands right below it as its output."""

    language: str
    code: str
    printed: str


def blocks(page: Path) -> list[Block]:
    """The blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        language, code = match.groups()
        if language == "text" and text[end : match.start()].strip() == "" and found and found[-1].language == "python":
            found[-1] = Block("python", found[-1].code, code)
        elif language:
            found.append(Block(language, code, ""))
        end = match.end()
    return found


def run(page: Path, folder: Path, languages: tuple[str, ...] = ("python", "console", "toml")) -> int:
    """Runs the blocks of these languages in `folder`, as one session; how many there were."""
    names: dict[str, object] = {"__name__": page.stem}
    chosen = [block for block in blocks(page) if block.language in languages]
    with contextlib.chdir(folder):
        for block in chosen:
            if block.language == "python":
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile(block.code, page.name, "exec"), names)  # noqa: S102 - our own pages
                if block.printed:
                    check(out.getvalue(), block.printed, figures="exact")
            elif block.language == "console":
                _console(block.code)
            else:
                _toml(block.code)
    return len(chosen)


def check(printed: str, shown: str, *, figures: str) -> None:
    """Fails where what was printed is not what is shown.

    Args:
        printed: by the code.
        shown: on the page.
        figures: `exact`, or `near`.
    """
    parts, places = [], []
    for line in shown.splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
            continue
        text = ""
        for piece in re.split(rf"(…|\s+|{_FIGURE})" if figures == "near" else "(…)", line):
            if piece == "…":
                text += ".*?"
            elif figures == "near" and re.fullmatch(_FIGURE, piece):
                places.append(piece)
                text += f"({_FIGURE})"
            elif figures == "near" and piece.isspace():
                text += r"\s+"
            else:
                text += re.escape(piece)
        parts.append(text + r"\n")
    match = re.fullmatch("".join(parts), printed if printed.endswith("\n") or not printed else printed + "\n")
    assert match, f"shown:\n{shown}\nprinted:\n{printed}"
    for expected, found in zip(places, match.groups(), strict=True):
        one, other = (float(figure.replace(",", "").rstrip(".")) for figure in (expected, found))
        assert abs(one - other) <= 0.05 + 0.1 * max(one, other), f"shown {expected}, printed {found}:\n{printed}"


def _console(code: str) -> None:
    """Runs a session: commands, each with what is shown below it."""
    whole = re.sub(r" \\\n\s*", " ", code)
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", whole, re.MULTILINE):
        words = command.split("  #")[0].rstrip()
        if words.startswith(("make ", ". ", "pip ")):
            continue  # setting up, which tests come after
        done = subprocess.run(
            ["/bin/bash", "-c", f"exec 2>&1\n{words}"], env=_environment(), stdout=subprocess.PIPE, check=False
        )
        printed = done.stdout.decode()
        assert done.returncode == 0, f"{words}\n{printed}"
        if shown:
            check(printed, shown, figures="near")


def _environment() -> dict[str, str]:
    """Ours, with the commands of this interpreter first, a home of its own, and little haste where others work, too."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "HOME": str(Path.cwd()), "HARDNEG_THREADS": "2", "OMP_NUM_THREADS": "1"}


def _toml(code: str) -> None:
    tomllib.loads(code)
    if named := re.match(r"# (\S+\.toml)\n", code):
        Path(named[1]).write_text(code, encoding="utf-8")
