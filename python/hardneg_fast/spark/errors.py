"""Errors of tasks, as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from .. import exceptions
from ..exceptions import HardnegError

__all__ = ["named"]

NAMED = re.compile(r"hardneg_fast\.exceptions\.(\w+): ([^\n]*)")


@contextmanager
def named() -> Iterator[None]:
    """What a task raised of ours comes as that error, without the traces of two machines around it."""
    try:
        yield
    except HardnegError:
        raise
    except Exception as error:
        found = NAMED.search(str(error))
        kind = getattr(exceptions, found[1], None) if found else None
        if found is None or kind is None:
            raise
        raise kind(found[2]) from None
