"""A detector of your own: what it finds in query texts, such as names, is scrubbed with what is found by structure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from .exceptions import DetectorError, UsageError
from .named import loaded

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Detector", "Found"]

Offsets = Literal["characters", "bytes"]
Found: TypeAlias = "pa.Array | pa.ChunkedArray | Iterable[Iterable[tuple[int, int]] | None]"
"""For each text, in order, where what is to be replaced begins and ends (exclusive); none, or None, for nothing."""

MOST_NAME = 100


class Detector:
    """A callable that finds in query texts what has no structure.

    It gets many texts at once, each distinct text of a batch or dictionary once (at most 65,536 a call), in NFKC,
    with single spaces and without characters that have no width, but not scrubbed yet. It may be called from several
    threads at once. The same text must always come to the same, or results are not the same from run to run.

    Args:
        find: gets an Arrow array of strings and returns, for each, the places of what is to be replaced: an Arrow list
            array of structs of two whole numbers (start, end), or a list of lists of pairs. In one text none may be
            empty, or overlap another.
        name: tells detectors apart, in reports and wherever counts are merged: change it with the detector
            (`names-v2`).
        offsets: what places are counted in: `characters`, as Python counts, or `bytes` of UTF-8.

    Raises:
        UsageError: no callable, no name, or offsets that do not exist.
    """

    __slots__ = ("_find", "_name", "_offsets")

    def __init__(self, find: Callable[[pa.Array], Found], *, name: str, offsets: Offsets = "characters") -> None:
        if not callable(find):
            raise UsageError("find must be a function of an Arrow array of texts")
        if not isinstance(name, str) or not name.strip() or len(name) > MOST_NAME or not name.isprintable():
            raise UsageError(f"a detector needs a name of at most {MOST_NAME} printable characters, such as names-v1")
        if offsets not in get_args(Offsets):
            raise UsageError(f"offsets is {offsets!r}; choose one of {', '.join(get_args(Offsets))}")
        self._find, self._name, self._offsets = find, name, offsets

    @classmethod
    def load(cls, place: str) -> Detector:
        """The detector at `module:attribute`: one, or a function, which is then named for its place.

        Raises:
            UsageError: there is none.
        """
        found = loaded(place, "scrub.detector")
        return found if isinstance(found, cls) else cls(found, name=place)

    @property
    def name(self) -> str:
        """Tells detectors apart."""
        return self._name

    @property
    def offsets(self) -> Offsets:
        """What places are counted in."""
        return self._offsets

    def spans(self, texts: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
        """How many places each text has, and where all of them begin and end.

        Raises:
            DetectorError: the callable raised, or returned neither form. Nothing of the texts is in it.
        """
        try:
            found = self._find(texts)
        except Exception as e:
            # Its message, and what it came from, can quote the texts.
            what = f"detector {self._name!r} raised {type(e).__name__}"
            raise DetectorError(f"{what}; call it by itself on texts of yours to find why") from None
        arrow = hasattr(found, "__arrow_c_array__") or hasattr(found, "__arrow_c_stream__")
        spans = _of_arrow(found) if arrow else _of_pairs(found)
        if spans is None:
            raise DetectorError(
                f"detector {self._name!r} returned {type(found).__name__} that cannot be read; return for each text "
                "its places as (start, end): a list of lists, or an Arrow list array of structs of two whole numbers"
            )
        return spans

    def __repr__(self) -> str:
        return f"<Detector {self._name!r}>"


def _of_arrow(found: Any) -> tuple[pa.Array, pa.Array, pa.Array] | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        one = hasattr(found, "__arrow_c_array__")
        array = pa.chunked_array([pa.array(found)] if one else found)
        kind = array.type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
            return None
        fields = [kind.value_type.field(i).type for i in range(kind.value_type.num_fields)]
        if len(fields) != 2 or not all(pa.types.is_integer(field) for field in fields):
            return None
        counts = pc.fill_null(pc.list_value_length(array), 0)
        pairs = pc.list_flatten(array)
        if pairs.null_count:
            return None
        places = [pc.struct_field(pairs, [i]) for i in range(2)]
        none = pa.array([], pa.int64())
        made = [pa.concat_arrays([none, *column.cast(pa.int64()).chunks]) for column in (counts, *places)]
    except (pa.ArrowException, TypeError, ValueError):
        return None
    return made[0], made[1], made[2]


def _of_pairs(found: Any) -> tuple[pa.Array, pa.Array, pa.Array] | None:
    import pyarrow as pa

    counts: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    try:
        for pairs in found:
            before = len(starts)
            for start, end in pairs or ():
                starts.append(start)
                ends.append(end)
            counts.append(len(starts) - before)
        made = [pa.array(column, pa.int64()) for column in (counts, starts, ends)]
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return made[0], made[1], made[2]
