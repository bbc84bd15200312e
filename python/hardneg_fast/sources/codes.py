"""Numbers that stand for names, with the dictionaries beside the log: Python literals, name → number."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ..exceptions import DataError
from .files import DataFile, naming


@dataclass(frozen=True)
class Codes:
    """A dictionary turned round."""

    numbers: pa.Array
    names: pa.Array

    def decode(self, codes: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Names for numbers written as text, null for null and unknown; and which of them are unknown."""
        places = pc.index_in(codes, value_set=self.numbers)
        return self.names.take(places), pc.and_(pc.is_null(places), pc.is_valid(codes))


def load(file: DataFile) -> Codes:
    """Reads a dictionary file.

    Raises:
        DataError: the file is not a dictionary of names to whole numbers.
    """
    with naming(file.name), file.open() as stream:
        text = bytes(stream.read()).decode()
    try:
        pairs = ast.literal_eval(text)
        numbers = [str(int(number)) for number in pairs.values()]
        return Codes(pa.array(numbers, pa.string()), pa.array(list(pairs), pa.string()))
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError, pa.ArrowException):
        raise DataError(
            f"{file.name}: not a dictionary of names to whole numbers; move it away to keep the numbers"
        ) from None
