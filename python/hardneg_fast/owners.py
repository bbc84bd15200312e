"""Who else may put things where, and whose links are followed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .exceptions import UsageError

__all__ = ["anybody_replaces", "anybody_writes", "is_trusted", "resolved"]

_LINKS = 40
"""Links in a row before they are taken for a circle: as many as Linux follows."""


def anybody_writes(folder: Path) -> bool:
    """Whether every user of the machine may put things into a folder."""
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def anybody_replaces(folder: Path) -> bool:
    """Whether every user of the machine may take away what is another's there, and put something in its place."""
    return anybody_writes(folder) and not folder.stat().st_mode & stat.S_ISVTX


def is_trusted(info: os.stat_result) -> bool:
    """Whether something is of the user this runs as, or of root."""
    return info.st_uid in (0, os.geteuid())


def resolved(path: Path) -> Path:
    """Where `path` leads, whether there is something or not; but no link is followed that may have been planted.

    That is a link of somebody else, at the end of a path, or in a folder that anybody may write to. The kernel follows
    no such links in folders with the sticky bit (`protected_symlinks`), but whoever reads them walks past that.

    Raises:
        UsageError: there is such a link.
        OSError: links go round in a circle.
    """
    # Where there is no current folder any more, absolute paths still lead somewhere.
    rest = [*reversed((path if path.is_absolute() else Path.cwd() / path).parts)]
    at, links = Path(rest.pop()), 0
    while rest:
        part = rest.pop()
        if part == "..":
            at = at.parent
            continue
        try:
            info = (at / part).lstat()
        except OSError:  # Not there, or not to be looked at: what is done with it says so.
            at = at / part
            continue
        if not stat.S_ISLNK(info.st_mode):
            at = at / part
            continue
        if not is_trusted(info) and (not rest or anybody_writes(at)):
            raise UsageError(f"{path}: {part!r} is a link that somebody else made; give the place that it leads to")
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        to = (at / part).readlink()
        if to.is_absolute():
            at = Path(to.anchor)
        rest.extend(reversed([step for step in to.parts if step != to.anchor]))
    return at
