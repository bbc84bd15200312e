"""What stands at `module:attribute`, by the name that a caller gave."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from .exceptions import UsageError

__all__ = ["loaded"]


def loaded(place: str, option: str) -> Any:
    """The attribute of a module, or an attribute of that (`module:model.predict`).

    Modules are looked for in the current folder, too, after all others: an installed command does not look there by
    itself.

    Args:
        place: `module:attribute`.
        option: what names it, for errors.

    Raises:
        UsageError: there is none, or its module raises.
    """
    module, _, path = place.partition(":")
    here = os.getcwd()  # noqa: PTH109 - as text, for sys.path
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except Exception as e:
        # Its message, and what it came from, can quote what the module read.
        raise UsageError(
            f"{option} is {place!r}, which cannot be loaded ({type(e).__name__}); give MODULE:FUNCTION of a module "
            "that can be imported"
        ) from None
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
    return found
