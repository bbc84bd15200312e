"""Plant one violation for each lint in a copy of the tree and see that `make lint-…` catches it, and says which.

A lint that is configured away, or that looks at the wrong files, passes everything; only this shows it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "python/hardneg_fast"
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv*",
    "corpus",
    "artifacts",
    "target",
    "site",
    "dist",
    "demo",
    "build",
    ".cache",
    ".*_cache",
    "__pycache__",
    ".hypothesis",
)


@dataclass(frozen=True)
class Plant:
    """One violation: text appended to a file, the target that must fail, and words its output must hold."""

    target: str
    file: str
    text: str
    says: str


PLANTS = [
    Plant("lint-rustfmt", "rust/core/src/lib.rs", "\n/// Planted.\npub  fn planted( ) {}\n", "planted"),
    Plant(
        "lint-clippy",
        "rust/core/src/lib.rs",
        "\n/// Planted.\npub fn planted(x: Option<u8>) -> u8 {\n    x.unwrap()\n}\n",
        "unwrap",
    ),
    Plant("lint-ruff", f"{PACKAGE}/exceptions.py", "\nimport os as planted\n", "planted"),
    Plant("lint-ruff", f"{PACKAGE}/exceptions.py", "\n\nPLANTED = {'a' :1}\n", "reformat"),
    Plant("lint-mypy", f"{PACKAGE}/exceptions.py", '\nplanted: int = "text"\n', "exceptions.py"),
    Plant(
        "lint-imports",
        f"{PACKAGE}/count.py",
        "\nfrom . import evidence as planted\n",
        "count -> hardneg_fast.evidence",
    ),
    Plant(
        "lint-imports",
        f"{PACKAGE}/pipeline/broken.py",
        "\nfrom . import mine as planted\n",
        "pipeline.broken -> hardneg_fast.pipeline.mine",
    ),
    Plant(
        "lint-imports",
        f"{PACKAGE}/config.py",
        "\nfrom . import cli as planted\n",
        "config -> hardneg_fast.cli",
    ),
    Plant("lint-stub", f"{PACKAGE}/_hardneg.pyi", "\ndef planted() -> None: ...\n", "_hardneg.planted"),
]


def run(copy: Path, target: str) -> tuple[int, str]:
    """The target's exit code and output, with the tools of this tree and the sources of the copy."""
    environment = os.environ | {
        "PYTHONPATH": str(copy / "python"),  # before the editable install, which points here
        "MYPYPATH": str(copy / "python"),
        "CARGO_TARGET_DIR": str(ROOT / "target" / "planted"),  # not this tree's: it would throw its builds away
    }
    command = ["make", "-C", str(copy), target, f"VENV={ROOT / '.venv'}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Watch each lint pass unplanted and fail planted."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)  # keeps times, so the copy's make rebuilds nothing
        for plant in PLANTS:
            path = copy / plant.file
            before = path.stat()
            text = path.read_text(encoding="utf-8")
            clean, output = run(copy, plant.target)
            if clean != 0:
                sys.stderr.write(f"{plant.target} fails before anything is planted:\n{output}\n")
                return 1
            path.write_text(text + plant.text, encoding="utf-8")
            code, output = run(copy, plant.target)
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            caught = code != 0 and plant.says in output
            missed += not caught
            sys.stdout.write(f"{plant.target:<13} {plant.file:<36} {'caught' if caught else 'MISSED'}\n")
            if not caught:
                sys.stdout.write(output)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
