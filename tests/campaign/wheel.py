"""The wheel: built twice in different folders, the same bytes; manylinux; with the oldest and newest libraries.

    python tests/campaign/wheel.py [--pythons python3.11 python3.12 python3.13]

Builds the last commit. `pip install auditwheel` first; the lowest versions are those of pyproject.toml.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*args: str | Path, cwd: Path = ROOT, **env: str) -> str:
    done = subprocess.run([*map(str, args)], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def built(folder: Path, commit: str) -> Path:
    """The wheel of a commit, built in `folder`; flags as of `make dist`."""
    source = folder / "source"
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=source, input=archive, check=True)
    make = run("make", "-C", ROOT, "--no-print-directory", "dist-environment", f"SOURCE={source}")
    env = dict(line.split("=", 1) for line in make.splitlines() if "=" in line)
    # Of this commit, wherever the branch is by now: C code holds the time.
    env["SOURCE_DATE_EPOCH"] = run("git", "log", "-1", "--format=%ct", commit).strip()
    maturin = Path(sys.executable).with_name("maturin")
    run(maturin, "build", "--release", "--locked", "--out", folder / "dist", cwd=source, **env)
    wheel = next((folder / "dist").glob("*.whl"))
    with zipfile.ZipFile(wheel) as files:
        telling = [name for name in files.namelist() if str(folder).encode() in files.read(name)]
    if telling:
        sys.exit(f"the wheel says in which folder it was built: {telling}")
    return wheel


def lowest() -> list[str]:
    """The oldest versions that the package says it works with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [re.sub(r">=([\d.]+).*", r"==\1.*", name) for name in project["dependencies"]]


def smoke(wheel: Path, python: str, with_: list[str], folder: Path) -> str:
    """Installs the wheel into an environment of its own and runs the smoke test there; what was installed."""
    run(python, "-m", "venv", folder)
    pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "--only-binary", ":all:", wheel, *with_)
    run(folder / "bin" / "python", "-I", ROOT / "tests" / "wheel_smoke.py", cwd=folder)
    found = run(*pip, "freeze")
    return ", ".join(line for line in found.splitlines() if line.split("==")[0] in ("numpy", "pyarrow", "cryptography"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--wheel", type=Path, help="one that is built already, in place of building twice")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wheel-") as scratch:
        if args.wheel is None:
            commit = run("git", "rev-parse", "HEAD").strip()
            wheels = [built(Path(scratch) / name, commit) for name in ("one", "another-folder")]
            sums = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels]
            print(f"{wheels[0].name}: {sums[0]}")
            if sums[0] != sums[1]:
                kept = ROOT / "build" / "wheels"
                for n, wheel in enumerate(wheels):
                    (kept / str(n)).mkdir(parents=True, exist_ok=True)
                    shutil.copy(wheel, kept / str(n))
                sys.exit(f"built again it is {sums[1]}: see {kept}")
            print("built twice, in two folders: the same bytes")
            wheel = wheels[0]
        else:
            wheel = args.wheel
        print(run(sys.executable, "-m", "auditwheel", "show", wheel).strip())
        for n, python in enumerate(args.pythons):
            version = run(python, "-V").strip()
            print(f"{version}, newest: {smoke(wheel, python, [], Path(scratch) / f'new-{n}')}")
        oldest = smoke(wheel, args.pythons[0], lowest(), Path(scratch) / "old")
        print(f"{run(args.pythons[0], '-V').strip()}, oldest: {oldest}")


if __name__ == "__main__":
    main()
