"""Run by .ci/run in an environment that holds only the built wheel: does what was packaged work?"""

import sys
import tempfile
from pathlib import Path

import hardneg_fast

package = Path(hardneg_fast.__file__)
if "site-packages" not in package.parts:
    sys.exit(f"this is not the wheel but {package}")
if not package.with_name("py.typed").exists() or not package.with_name("_hardneg.pyi").exists():
    sys.exit("the wheel lacks py.typed or _hardneg.pyi")
if not (package.parent / "sources" / "presets" / "ubi.toml").exists():
    sys.exit("the wheel lacks the presets")
with tempfile.TemporaryDirectory() as folder:
    hardneg_fast.simulate(Path(folder, "sim"), impressions=50_000, seed=1)
    out = Path(folder, "out")
    mined = hardneg_fast.mine(Path(folder, "sim", "log.parquet"), out, privacy=hardneg_fast.Privacy.k_users(2))
    if not mined.negatives.num_rows or not (out / "report.html").exists():
        sys.exit("the wheel mined nothing")
sys.stdout.write(f"hardneg_fast {hardneg_fast.__version__}\n")
