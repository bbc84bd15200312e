"""Forks beside work: a child that could wait for ever refuses by name instead.

A fork copies a process with the one thread that forks. What other threads hold at that moment (locks of allocators, of
Arrow, of the import system) stays held in the child, where nobody is left to let go of it. So the child of a fork that
was made while this package was at work refuses every call; forks of an idle process work, and so do new processes.
"""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType

from . import _hardneg

__all__ = ["refuse", "watch"]

_PACKAGE = __name__.partition(".")[0]
# By thread: several may fork at once.
_busy: dict[int, bool] = {}


def refuse() -> None:
    """Refuses in the child of a fork that was made while this package was at work; the core asks for itself.

    Raises:
        UsageError: this process is one.
    """
    _hardneg.refuse_if_orphaned()


def watch() -> None:
    """Looks, from now on, at every fork of this process."""
    if hasattr(os, "register_at_fork"):  # systems without forks have none
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] == _PACKAGE and name != __name__:
            return True
        frame = frame.f_back
    return False


def _before() -> None:
    # Calls of this package that any thread is in, the one that forks too: it has workers then.
    _busy[threading.get_ident()] = any(_is_ours(frame) for frame in sys._current_frames().values())


def _in_parent() -> None:
    _busy.pop(threading.get_ident(), None)


def _in_child() -> None:
    busy = _busy.get(threading.get_ident(), False)
    _busy.clear()
    if busy:
        _hardneg.orphan()
