"""Directories and files that appear whole or not at all.

A directory is filled under a hidden, random name beside its target, synced, and renamed. A run that fails removes what
it began; a run that is killed leaves the target as it was and at most the hidden directory, which only its owner reads.
It held a lock on it, which the system lets go with the process: so the next run that writes beside it knows that it was
left, and removes it.

Others who may write to the folder can put something else under that name, a link to a file of ours above all. So what
was made is held open, and written, opened to others and removed by that handle (on Linux, where `/proc` leads to what a
handle holds), and before and after it gets its name it is looked whether that is still it.
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
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..exceptions import FileError, HardnegError, UsageError
from ..forks import refuse
from ..owners import anybody_replaces, is_trusted, resolved

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_HIDDEN = re.compile(r"\.[0-9a-f]{16}\.partial")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_UMASK = threading.Lock()


@contextmanager
def whole_directory(target: Path, *, replaceable: Collection[str] = (), private: bool = False) -> Iterator[Path]:
    """Give a directory to fill; on leaving the block without an error it becomes `target`.

    Args:
        target: where the directory shall stand. Missing parents are made.
        replaceable: names that `target` may hold and still be replaced.
        private: whether only its owner may look into it, and into what is in it.

    Raises:
        UsageError: `target` holds something and is not to be replaced, or others could put something in its place.
        FileError: `target` or what is in it cannot be written.
    """
    with _named(target):
        final = resolved(target)
        _refuse(final, target, replaceable)
        _make(final.parent, private=private)
        _refuse_open(final.parent, target, private=private)
        _sweep(final.parent)
        partial, handle = _begun(final.parent, _new_folder)
    try:
        with _named(target):
            yield _way(partial, handle)
            os.fchmod(handle, 0o700 if private else 0o777 & ~_umask())
            _sync_tree(_way(partial, handle), private=private)
            os.fsync(handle)
            # Looked at again: a long job must not replace what somebody else has put there meanwhile.
            _refuse(final, target, replaceable)
            _refuse_other(partial, handle, target)
            _put(partial, final)
            _refuse_other(final, handle, target)
            _sync(final.parent)
    finally:
        # Not where it is the target by now: an interrupt can come after that, as long as what was there is removed.
        if not _is(final, handle):
            _remove(partial, handle)
        os.close(handle)


def check_directory(target: Path, *, replaceable: Collection[str] = (), private: bool = False) -> None:
    """Say now what `whole_directory` would say after hours of work.

    Raises:
        UsageError: `target` holds something that is not to be replaced, or others could put something in its place.
        FileError: `target` is no directory.
    """
    with _named(target):
        final = resolved(target)
        _refuse(final, target, replaceable)
        _refuse_open(final.parent, target, private=private)


@contextmanager
def whole_file(target: Path, *, overwrite: bool = False, private: bool = False) -> Iterator[Path]:
    """Give a path to write a file at; on leaving the block without an error it becomes `target`.

    Args:
        target: where the file shall stand. Missing parents are made.
        overwrite: whether a file that is there is replaced.
        private: whether only its owner may read it; other files are as open as the umask lets them.

    Raises:
        UsageError: `target` is there and is not to be replaced, or others could put something in its place.
        FileError: `target` is a directory, or cannot be written.
    """
    final = check_file(target, overwrite=overwrite, private=private)
    with _named(target):
        _make(final.parent, private=private)
        _sweep(final.parent)
        partial, handle = _begun(final.parent, _new_file)
    done = False
    try:
        with _named(target):
            yield _way(partial, handle)
            os.fchmod(handle, 0o600 if private else 0o666 & ~_umask())
            os.fsync(handle)
            # Looked at again: a long job must not replace what somebody else has put there meanwhile.
            check_file(target, overwrite=overwrite, private=private)
            _refuse_other(partial, handle, target)
            partial.rename(final)
            done = True
            _refuse_other(final, handle, target)
            _sync(final.parent)
    finally:
        if not done:
            partial.unlink(missing_ok=True)
        os.close(handle)


def check_file(target: Path, *, overwrite: bool = False, private: bool = False) -> Path:
    """Say now what `whole_file` would say after hours of work; gives where `target` leads.

    Raises:
        UsageError: `target` is there and is not to be replaced, or others could put something in its place.
        FileError: `target` is a directory.
    """
    refuse()
    with _named(target):
        final = resolved(target)
        is_dir, exists = final.is_dir(), final.exists()
        _refuse_open(final.parent, target, private=private)
    if is_dir:
        raise FileError(f"cannot write {target}: it is a directory; give a file")
    if exists and not overwrite:
        raise UsageError(f"{target} exists; give another path, or --overwrite (overwrite=True) it")
    return final


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


def _make(folder: Path, *, private: bool) -> None:
    """Make a folder and those above it that are missing; nobody else may write to one made for what is private."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    folder.mkdir(exist_ok=True)  # says so where it is a file
    for one in reversed(missing):
        one.mkdir(mode=0o755 if private else 0o777, exist_ok=True)


def _refuse_open(parent: Path, target: Path, *, private: bool) -> None:
    """Refuse a folder where anybody could put something in the place of what is written, and that would tell."""
    if (private or not _has_ways()) and parent.is_dir() and anybody_replaces(parent):
        raise UsageError(
            f"cannot write {target}: anybody may replace what is in that folder; choose one of your own, or chmod +t it"
        )


def _refuse_other(path: Path, handle: int, target: Path) -> None:
    """Refuse to go on where something else stands at the name of what is held."""
    if not _is(path, handle):
        raise FileError(
            f"cannot write {target}: somebody else put something in its place while it was written; give a folder that "
            "others may not write to"
        )


def _is(path: Path, handle: int) -> bool:
    """Whether what is held stands at a path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _begun(parent: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make something under a hidden name and lock it; the lock goes with the handle, at the latest with the process."""
    while True:
        path = parent / f".{secrets.token_hex(8)}.partial"
        handle = make(path)
        with suppress(OSError):  # A file system without locks: nobody can tell what was left, so nobody removes it.
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Between making and locking it looked left, and may have been swept away.
        if _is(path, handle):
            return path, handle
        os.close(handle)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _new_folder(path: Path) -> int:
    while True:
        path.mkdir(mode=0o700)
        with suppress(FileNotFoundError):  # Swept away before it was opened.
            handle = os.open(path, _FOLDER)
            break
    mode = path.parent.stat().st_mode
    # Where others may rename, what was opened may not be what was made: no folder of theirs, nor one that is in use.
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        info = os.fstat(handle)
        if not is_trusted(info) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or _is_filled(handle):
            os.close(handle)
            raise PermissionError(0, "somebody else put something in its place")
    return handle


def _is_filled(handle: int) -> bool:
    with os.scandir(handle) as entries:
        return any(entries)


def _way(path: Path, handle: int) -> Path:
    """A path to what is held, whatever stands at its name; where the system has none, its name."""
    return Path(f"/proc/self/fd/{handle}") if _has_ways() else path


def _has_ways() -> bool:
    return sys.platform == "linux" and Path("/proc/self/fd").is_dir()


def _sweep(parent: Path) -> None:
    """Remove what killed runs left in `parent`: what has our kind of name and nobody's lock.

    Not where anybody may give such a name to what we want to keep.
    """
    if anybody_replaces(parent):
        return
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
                    _remove(path, handle)
                elif stat.S_ISREG(kind):
                    path.unlink()
            finally:
                os.close(handle)


def _remove(path: Path, handle: int) -> None:
    """Remove a directory that is held: what is in it by the handle, then its name, if nothing else stands there."""
    with suppress(OSError), os.scandir(handle) as entries:
        for entry in [*entries]:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.name, ignore_errors=True, dir_fd=handle)
            else:
                with suppress(OSError):
                    os.unlink(entry.name, dir_fd=handle)
    with suppress(OSError):
        path.rmdir()  # removes no directory with something in it


def _umask() -> int:
    with suppress(OSError, ValueError), Path("/proc/self/status").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name == "Umask":
                return int(value, 8)
    # Elsewhere the only way to read it is to set it, and other threads make files meanwhile.
    with _UMASK:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def _put(partial: Path, final: Path) -> None:
    """Make `partial` stand at `final`; what stood there, if anything, is removed."""
    if not final.exists() or not any(final.iterdir()):
        partial.rename(final)
        return
    old = os.open(final, _FOLDER)
    try:
        if _exchange(partial, final):
            _remove(partial, old)
            return
        # Not of the name that is swept: for a moment it is the only copy.
        aside = final.parent / f".{secrets.token_hex(8)}.aside"
        final.rename(aside)
        try:
            partial.rename(final)
        except OSError:
            aside.rename(final)
            raise
        _remove(aside, old)
    finally:
        os.close(old)


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


def _sync(path: Path, *, mode: int | None = None) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if mode is not None:
            os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(root: Path, *, private: bool) -> None:
    """Bring every file and directory below `root` to the disk, leaves first; what is private gets its modes."""
    for folder, below, names in os.walk(root, topdown=False):
        for name in names:
            _sync(Path(folder) / name, mode=0o600 if private else None)
        for name in below:
            _sync(Path(folder) / name, mode=0o700 if private else None)
