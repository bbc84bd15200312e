"""Files on other file systems: parts of them, several at a time, and what is wanted next while the core decodes."""

from __future__ import annotations

import collections
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import PurePosixPath
from typing import TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from .exceptions import FileError, HardnegError

Part = tuple[int, int]
"""Where it begins, and its bytes."""
T = TypeVar("T")
AHEAD = 4
"""Row groups that may lie ready: one for each thread that reads, on most machines."""


class Elsewhere:
    """A file, for the core: called with the parts that it wants and those that it will probably want next.

    A thread is started for each part, and ends with it: a pool would be no use to a process that was forked.
    """

    def __init__(self, filesystem: pafs.FileSystem, path: str, size: int) -> None:
        self.name = PurePosixPath(path).name
        self._filesystem = filesystem
        self._path = path
        self._size = size
        self._modified = self._written()
        self._ahead: dict[tuple[Part, ...], list[Future[bytes]]] = {}
        self._lock = threading.Lock()
        self._free: collections.deque[pa.NativeFile] = collections.deque()

    def __call__(self, parts: Sequence[Part], ahead: Sequence[Part]) -> list[bytes]:
        """The bytes of the parts.

        Raises:
            FileError: they cannot be had.
        """
        with self._lock:
            ready = self._ahead.pop(tuple(parts), None) or self._begin_all(parts)
            if ahead and tuple(ahead) not in self._ahead:
                # What nobody asked for was guessed wrong.
                while len(self._ahead) >= AHEAD:
                    del self._ahead[next(iter(self._ahead))]
                self._ahead[tuple(ahead)] = self._begin_all(ahead)
        found = [future.result() for future in ready]
        if not ahead:
            self._close()
        # Behind the last byte: what was read was there before.
        if None not in (now := self._written(), self._modified) and now != self._modified:
            raise self._changed()
        return found

    def _begin_all(self, parts: Sequence[Part]) -> list[Future[bytes]]:
        return [self._begin(functools.partial(self._read, *part)) for part in parts]

    def _begin(self, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            # The process waits for it at its end: threads that come back from a file system after that would abort it.
            threading.Thread(target=self._settle, args=(future, call), daemon=False).start()
        except (RuntimeError, MemoryError):  # no more threads can be had
            self._settle(future, call)
        return future

    def _settle(self, future: Future[T], call: Callable[[], T]) -> None:
        # File systems raise what they like, with addresses in it, and whoever waits must hear of it.
        error = FileError(f"{self.name}: cannot be read from where it lies")
        try:
            future.set_result(call())
        except FileNotFoundError:
            future.set_exception(FileError(f"{self.name}: no such file, or it vanished while the log was read"))
        except HardnegError as named:
            future.set_exception(named)
        except BaseException:
            future.set_exception(error)

    def _read(self, start: int, length: int) -> bytes:
        try:
            # One by itself for each that reads: some file systems read a stream for one at a time.
            stream = self._free.pop()
        except IndexError:
            stream = self._filesystem.open_input_file(self._path)
            if stream.size() != self._size:
                raise self._changed() from None
        found: bytes = stream.read_at(length, start)
        self._free.append(stream)
        return found

    def _close(self) -> None:
        """Lets go of streams that nobody reads, behind a footer or a last row group: logs have thousands of files."""
        while self._free:
            self._free.pop().close()

    def _written(self) -> int | None:
        """When the file was last written, where the file system says so: another can be as long."""
        try:
            found: int | None = self._filesystem.get_file_info(self._path).mtime_ns
        except Exception:
            return None
        return found

    def _changed(self) -> FileError:
        return FileError(f"{self.name}: the file was changed while it was read; run again when nothing writes to it")
