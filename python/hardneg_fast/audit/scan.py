"""One pass over all bytes of an output, and of what runs printed, for everything that must not be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .contents import Piece, files_of, name_of, pieces
from .search import Needles, encoded


@dataclass
class Found:
    """Needles that were found, by number, and the places of the first few."""

    numbers: set[int] = field(default_factory=set)
    places: list[str] = field(default_factory=list)

    def said(self) -> str:
        """Where, for a finding."""
        return ", ".join(self.places[:4]) + (" …" if len(self.places) > 4 else "")


@dataclass
class Scanned:
    """What a pass found, and what it read."""

    found: dict[str, Found]
    read: int = 0
    files: int = 0


def scan(outputs: Iterable[Path], wanted: Mapping[str, Needles]) -> Scanned:
    """Looks for all needles in every form of every byte.

    Args:
        outputs: files and directories.
        wanted: needles by what they are.

    Raises:
        FileError: a file cannot be read to its end.
    """
    done = Scanned({name: Found() for name in wanted})
    for out in outputs:
        for path in files_of(out):
            done.files += 1
            for piece in pieces(path, name_of(path, out)):
                done.read += len(piece.data)
                _look(piece, wanted, done.found)
    return done


def _look(piece: Piece, wanted: Mapping[str, Needles], found: dict[str, Found]) -> None:
    for form, data in [("", piece.data), *encoded(piece.data)]:
        for name, needles in wanted.items():
            if numbers := needles.find(data):
                found[name].numbers |= numbers
                place = f"{piece.file} ({piece.part}{', as ' + form if form else ''})"
                # Names of files and columns can hold what is looked for, and findings quote nothing.
                if any(others.find(place.encode()) for others in wanted.values()):
                    place = "a file or column named so"
                if place not in found[name].places:
                    found[name].places.append(place)
