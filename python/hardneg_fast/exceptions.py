"""Everything that hardneg_fast raises on purpose.

    HardnegError                 exit code 1
    ├── UsageError (ValueError)      2   an option or argument that cannot be
    ├── DataError (ValueError)       3   input that cannot be read or is not what it should be
    │   ├── ColumnError                  a column is missing, doubled, or of a type that cannot be read
    │   ├── FileError (OSError)          a path cannot be read or written
    │   └── TokenError                   a token cannot be read back: changed, or of another key
    ├── DetectorError                1   a detector of the user's own failed, or gave an answer that cannot be
    ├── PrivacyError                 4   refused, because it would not be private or not said how
    └── GateError                    5   a quality or audit gate failed

Messages say what, where, what was expected, and what to do. They never hold values of identifiers, queries or keys.
"""


class HardnegError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1

    @property
    def __context__(self) -> BaseException | None:
        """What was being handled; dropped where an error is raised `from None`.

        It can quote cells, and hold the bytes that it could not decode: not for whoever collects errors, either.
        """
        if self.__suppress_context__ and self.__cause__ is None:
            _CONTEXT.__set__(self, None)
        found: BaseException | None = _CONTEXT.__get__(self)
        return found

    @__context__.setter
    def __context__(self, context: BaseException | None) -> None:
        _CONTEXT.__set__(self, context)


_CONTEXT = BaseException.__dict__["__context__"]


class UsageError(HardnegError, ValueError):
    """An option or argument that cannot be, alone or together with another."""

    exit_code = 2


class DataError(HardnegError, ValueError):
    """Input that cannot be read or is not what it should be."""

    exit_code = 3


class ColumnError(DataError):
    """A column is missing, doubled, or of a type that cannot be read."""


class FileError(DataError, OSError):
    """A path cannot be read or written."""


class TokenError(DataError):
    """A token is none, was changed, or is of another key, field, epoch or dataset."""


class DetectorError(HardnegError):
    """A detector of the user's own raised, or gave an answer that cannot be; nothing of the texts is in the message."""


class PrivacyError(HardnegError):
    """Refused: it would not be private, or it was not said how it should be."""

    exit_code = 4


class GateError(HardnegError):
    """A quality or audit gate failed."""

    exit_code = 5


def told(error: BaseException) -> str:
    """What may be said of an error: our own words, of others only the class, for theirs can quote cells."""
    return str(error) if isinstance(error, HardnegError) else type(error).__name__
