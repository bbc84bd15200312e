"""`python -m hardneg_fast`."""

import sys

from .cli import main

sys.exit(main())
