"""Run by .ci/run in an environment that holds only the built wheel: does what was packaged work?"""

import sys
from pathlib import Path

import hardneg_fast

package = Path(hardneg_fast.__file__)
if "site-packages" not in package.parts:
    sys.exit(f"this is not the wheel but {package}")
if not package.with_name("py.typed").exists() or not package.with_name("_hardneg.pyi").exists():
    sys.exit("the wheel lacks py.typed or _hardneg.pyi")
sys.stdout.write(f"hardneg_fast {hardneg_fast.__version__}\n")
