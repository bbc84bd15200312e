"""Where Spark writes: a directory of any file system that Hadoop knows, which appears whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..exceptions import FileError, HardnegError, UsageError
from ..write import LAYOUT

__all__ = ["Storage"]


class Storage:
    """A target directory, as Spark reads its name: `hdfs://…`, `s3a://…`, `file:/…`, or on the default file system.

    Args:
        session: Spark's.
        out: the directory.

    Raises:
        UsageError: the session has no JVM here (Spark Connect); the name is a pattern, or of no file system it knows.
    """

    def __init__(self, session: Any, out: Path | str) -> None:
        self.out = os.fspath(out)
        try:
            jvm, state = session._jvm, session._jsparkSession.sessionState()
        except Exception:
            raise UsageError(
                "out needs a session of this process: over Spark Connect leave out `out`, and write the tables of the "
                "result"
            ) from None
        if pattern := sorted({*self.out} & {*"*?[]{}"}):
            raise UsageError(f"{self.out}: Spark takes {pattern[0]!r} in a name for a pattern; give another directory")
        self._path: Any = jvm.org.apache.hadoop.fs.Path
        try:
            asked = self._path(self.out)
            files = asked.getFileSystem(state.newHadoopConf())
            self._final = files.makeQualified(asked)
        except Exception:
            raise UsageError(
                f"{self.out} is on no file system that this Spark can open; give a path that it can write"
            ) from None
        self._is_local = files.getUri().getScheme() == "file"
        # The raw file system shows checksum files for what they are: the dataset has none.
        self._files = files.getRawFileSystem() if self._is_local else files

    @property
    def uri(self) -> str:
        """The directory, in full."""
        return str(self._final.toString())

    def local(self, why: str) -> Path:
        """The directory, for the driver to write itself.

        Args:
            why: the job that is the driver's.

        Raises:
            UsageError: it is not on the driver's own file system.
        """
        if not self._is_local:
            raise UsageError(
                f"{why} is written by the driver, on its own file system: give out as file:/…, and copy it from there"
            )
        return Path(self._final.toUri().getPath())

    def check(self, *, overwrite: bool) -> None:
        """Says before the work what `whole` would say after it.

        Raises:
            UsageError: the directory holds something and is not to be replaced.
            FileError: it is no directory, or cannot be looked at.
        """
        with self._named():
            if not self._files.exists(self._final):
                return
            if not self._files.getFileStatus(self._final).isDirectory():
                raise FileError(f"cannot write {self.out}: it exists and is not a directory; give another path")
            names = self._names(self._final)
        if names and not overwrite:
            raise UsageError(
                f"{self.out} exists and is not empty; give another directory, or --overwrite (overwrite=True) it"
            )
        if foreign := sorted({*names} - {*LAYOUT}):
            raise UsageError(
                f"{self.out} is not empty and holds {foreign[0]!r}, which was not made here; give another directory"
            )

    @contextmanager
    def whole(self, *, overwrite: bool) -> Iterator[Stage]:
        """Gives a directory to fill; on leaving the block without an error it becomes the target.

        Where a dataset is replaced, the old one is moved aside in between. What was begun is removed.

        Raises:
            UsageError, FileError: as `check`; it cannot be written.
        """
        self.check(overwrite=overwrite)
        parent = self._final.getParent()
        begun, aside = (self._path(parent, f".{secrets.token_hex(8)}.{name}") for name in ("partial", "replaced"))
        try:
            with self._named():
                self._files.mkdirs(begun)
            yield Stage(self._files, self._path, begun)
            # Looked at again: a long job must not replace what somebody else has put there meanwhile.
            self.check(overwrite=overwrite)
            with self._named():
                self._replace(begun, aside)
        finally:
            # What is in the way of nobody: that it stays must not hide why, or that the dataset stands.
            with suppress(Exception):
                self._files.delete(begun, True)

    def _replace(self, begun: Any, aside: Any) -> None:
        """Moves what was begun to the target; what stood there goes once that has succeeded, and comes back if not."""
        held = bool(self._files.exists(self._final))
        if held:
            self._moved(self._final, aside)
        try:
            self._moved(begun, self._final)
            self._check_moved(self._path(self._final, begun.getName()))
        except BaseException:
            if held:
                try:
                    self._moved(aside, self._final)
                except Exception:
                    raise FileError(
                        f"cannot write {self.out}: neither the new dataset nor the old one could be moved there; the "
                        f"old one is whole, in {aside.getName()} beside it"
                    ) from None
            raise
        if held:
            with suppress(Exception):
                self._files.delete(aside, True)

    def _check_moved(self, within: Any) -> None:
        """Some file systems take a move onto a directory, made meanwhile by somebody else, for one into it."""
        if self._files.exists(within):
            self._files.delete(within, True)
            raise FileError(f"cannot write {self.out}: another job has made it meanwhile; give another directory")

    def _moved(self, one: Any, other: Any) -> None:
        if not self._files.rename(one, other):
            raise FileError(f"cannot write {self.out}: its file system does not rename what was written there")

    def _names(self, path: Any) -> list[str]:
        return [str(status.getPath().getName()) for status in self._files.listStatus(path)]

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except HardnegError:
            raise
        except Exception as error:
            thrown = getattr(error, "java_exception", None)
            name = type(error).__name__ if thrown is None else thrown.getClass().getSimpleName()
            raise FileError(
                f"cannot write {self.out}: {name}; give a directory that the driver and its tasks can write"
            ) from None


class Stage:
    """A directory that is being filled."""

    def __init__(self, files: Any, path: Any, begun: Any) -> None:
        self._files, self._path, self._begun = files, path, begun

    def folder(self, name: str) -> str:
        """Where Spark writes a table."""
        return str(self._path(self._begun, name).toString())

    def settle(self, name: str, split: str, into: str, parts: int) -> None:
        """Brings the files that Spark wrote to their names, in the order of the parts; what is no table goes.

        Args:
            name: the folder that Spark wrote.
            split: begins the names of the files.
            into: the folder where they belong.
            parts: how many there are: partition i is, by that number, part i.
        """
        found = [str(status.getPath().getName()) for status in self._files.listStatus(self._path(self._begun, name))]
        tables = [each for each in found if each.startswith("part-")]

        def place(file: str) -> tuple[int, str]:
            return int(file.split("-")[1]) % parts, file

        self._files.mkdirs(self._path(self._begun, into))
        for i, file in enumerate(sorted(tables, key=place)):
            new = self._path(self._begun, f"{into}/{split}-{i:05d}-of-{len(tables):05d}.parquet")
            if not self._files.rename(self._path(self._begun, f"{name}/{file}"), new):
                raise FileError("what Spark wrote cannot be renamed on its file system; give another place for `out`")
        for file in found:
            if file not in tables:
                self._files.delete(self._path(self._begun, f"{name}/{file}"), True)
        if name != into:
            self._files.delete(self._path(self._begun, name), True)

    def remove(self, name: str) -> None:
        """A folder that has no rows to keep."""
        self._files.delete(self._path(self._begun, name), True)

    def write(self, name: str, content: bytes) -> None:
        """A file, by the driver."""
        with_stream = self._files.create(self._path(self._begun, name), True)
        try:
            with_stream.write(bytearray(content))
        finally:
            with_stream.close()
