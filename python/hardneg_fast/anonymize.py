"""anonymize: keyed pseudonyms for identifiers, one public function for query text, times coarsened to the day."""

from __future__ import annotations

from typing import Literal, Protocol

import pyarrow as pa

from . import _hardneg
from .keys import Key

__all__ = ["anonymized", "normalize", "pseudonymize"]

Field = Literal["user_id", "session_id", "search_id"]


class ArrowArray(Protocol):
    """Anything with `__arrow_c_array__`."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Schema and array capsules."""
        ...


def pseudonymize(ids: ArrowArray, /, *, key: Key, field: Field = "user_id", epoch: str = "", dataset: str = "") -> pa.Array:
    """HMAC-SHA256 pseudonyms of 16 bytes; null and empty stay null.

    One derived key per field, epoch and dataset (HKDF, RFC 5869), so pseudonyms of different epochs cannot be joined.
    A pseudonym is personal data still: whoever has the key, or the habits of a person, finds them again.

    Args:
        ids: text, binary or whole numbers, or a dictionary of those; 42 and "42" are one id.
        key: the master key.
        field: which identifier this is.
        epoch: name of the period the pseudonyms hold for.
        dataset: name of the dataset they hold for.

    Raises:
        ColumnError: floats, lists, or another type that is no identifier.
    """
    made = _hardneg.pseudonymize(ids, key=key.material(), field=field, epoch=epoch, dataset=dataset)
    return pa.array(made)


def normalize(queries: ArrowArray, /) -> pa.Array:
    """The normalised form of query texts, as every stage sees them; null where nothing is left.

    NFKC and full case folding (Unicode Standard Annex 15; Unicode Standard, 3.13), then white space.

    Raises:
        ColumnError: no text.
    """
    return pa.array(_hardneg.normalize(queries))


def anonymized(
    reader: pa.RecordBatchReader, *, position_base: int, key: Key, epoch: str, dataset: str, time: Literal["day", "keep"]
) -> _hardneg.Stream:
    """A log as a stream of canonical rows without raw identifiers."""
    return _hardneg.rewrite(
        reader, position_base=position_base, key=key.material(), epoch=epoch, dataset=dataset, day=time == "day"
    )
