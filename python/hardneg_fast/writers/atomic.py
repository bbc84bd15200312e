"""Directories and files that appear whole or not at all.

A directory is filled under a hidden, random name beside its target, synced, and renamed. A run that fails removes what
it began; a run that is killed leaves the target as it was and at most the hidden directory, which only its owner reads.
It held a lock on it, which the system lets go with the process: so the next run that writes beside it knows that it was
left, and removes it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..exceptions import FileError, HardnegError, UsageError
from ..forks import refuse

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_HIDDEN = re.compile(r"\.[0-9a-f]{16}\.partial")


@contextmanager
def whole_directory(target: Path, *, replaceable: Collection[str] = (), private: bool = False) -> Iterator[Path]:
    """Give a directory to fill; on leaving the block without an error it becomes `target`.

    Args:
        target: where the directory shall stand. Missing parents are made.
        replaceable: names that `target` may hold and still be replaced.
        private: whether only its owner may look into it.

    Raises:
        UsageError: `target` holds something and is not to be replaced.
        FileError: `target` or what is in it cannot be written.
    """
    final = Path(os.path.realpath(target))
    with _named(target):
        _refuse(final, target, replaceable)
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final.parent)
        partial, lock = _begun(final.parent, lambda path: path.mkdir(mode=0o700))
    try:
        with _named(target):
            yield partial
            partial.chmod(0o700 if private else 0o777 & ~_umask())
            _sync_tree(partial)
            # Looked at again: a long job must not replace what somebody else has put there meanwhile.
            _refuse(final, target, replaceable)
            _put(partial, final)
            _sync(final.parent)
    finally:
        # After an exchange this is the old directory, after a plain rename it is gone.
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def check_directory(target: Path, *, replaceable: Collection[str] = ()) -> None:
    """Say now what `whole_directory` would say after hours of work.

    Raises:
        UsageError: `target` holds something that is not to be replaced.
        FileError: `target` is no directory.
    """
    with _named(target):
        _refuse(Path(os.path.realpath(target)), target, replaceable)


@contextmanager
def whole_file(target: Path, *, overwrite: bool = False, private: bool = False) -> Iterator[Path]:
    """Give a path to write a file at; on leaving the block without an error it becomes `target`.

    Args:
        target: where the file shall stand. Missing parents are made.
        overwrite: whether a file that is there is replaced.
        private: whether only its owner may read it; other files are as open as the umask lets them.

    Raises:
        UsageError: `target` is there and is not to be replaced.
        FileError: `target` is a directory, or cannot be written.
    """
    check_file(target, overwrite=overwrite)
    final = Path(os.path.realpath(target))
    with _named(target):
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final.parent)
        partial, lock = _begun(final.parent, lambda path: path.touch(mode=0o600, exist_ok=False))
    try:
        with _named(target):
            yield partial
            partial.chmod(0o600 if private else 0o666 & ~_umask())
            _sync(partial)
            # Looked at again: a long job must not replace what somebody else has put there meanwhile.
            check_file(target, overwrite=overwrite)
            partial.rename(final)
            _sync(final.parent)
    finally:
        partial.unlink(missing_ok=True)
        os.close(lock)


def check_file(target: Path, *, overwrite: bool = False) -> None:
    """Say now what `whole_file` would say after hours of work.

    Raises:
        UsageError: `target` is there and is not to be replaced.
        FileError: `target` is a directory.
    """
    refuse()
    final = Path(os.path.realpath(target))
    with _named(target):
        is_dir, exists = final.is_dir(), final.exists()
    if is_dir:
        raise FileError(f"cannot write {target}: it is a directory; give a file")
    if exists and not overwrite:
        raise UsageError(f"{target} exists; give another path, or --overwrite (overwrite=True) it")


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """Turn an operating system's error into a FileError that names the target."""
    try:
        yield
    except HardnegError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileError(f"cannot write {target}: {reason}; give a directory that can be created or written") from error


def _refuse(final: Path, target: Path, replaceable: Collection[str]) -> None:
    refuse()
    if not final.exists():
        return
    if not final.is_dir():
        raise FileError(f"cannot write {target}: it exists and is not a directory; give another path")
    foreign = sorted(entry.name for entry in final.iterdir() if entry.name not in replaceable)
    if foreign and not replaceable:
        raise UsageError(
            f"{target} exists and is not empty; give another directory, or --overwrite (overwrite=True) it"
        )
    if foreign:
        raise UsageError(
            f"{target} is not empty and holds {foreign[0]!r}, which was not made here; give another directory"
        )


def _hidden(parent: Path) -> Path:
    return parent / f".{secrets.token_hex(8)}.partial"


def _begun(parent: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    """Make something under a hidden name and lock it; the lock goes with the handle, at the latest with the process."""
    while True:
        path = _hidden(parent)
        make(path)
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            with suppress(OSError):  # A file system without locks: nobody can tell what was left, so nobody removes it.
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Between making and locking it looked left, and may have been swept away.
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(handle)):
                    return path, handle
            os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove what killed runs left in `parent`: what has our kind of name and nobody's lock."""
    for path in parent.glob(".*.partial"):
        if not _HIDDEN.fullmatch(path.name) or path.is_symlink():
            continue
        with suppress(OSError):  # Somebody else's, in work, or gone: left alone.
            # Nothing that could make us wait: a pipe of that name has another end.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                kind = os.fstat(handle).st_mode
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISDIR(kind):
                    shutil.rmtree(path, ignore_errors=True)
                elif stat.S_ISREG(kind):
                    path.unlink()
            finally:
                os.close(handle)


def _umask() -> int:
    # The only portable way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _put(partial: Path, final: Path) -> None:
    """Make `partial` stand at `final`; what stood there, if anything, ends up at `partial` or removed."""
    if not final.exists() or not any(final.iterdir()):
        partial.rename(final)
        return
    if _exchange(partial, final):
        return
    # Not of the name that is swept: for a moment it is the only copy.
    aside = final.parent / f".{secrets.token_hex(8)}.aside"
    final.rename(aside)
    try:
        partial.rename(final)
    except OSError:
        aside.rename(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two directories in one step; False where the system or the file system cannot."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    code = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE))
    return bool(code == 0)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(root: Path) -> None:
    """Bring every file, then every directory from the leaves up, to the disk."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            _sync(Path(folder) / name)
        _sync(Path(folder))
