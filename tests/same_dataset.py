"""Whether two dataset directories hold the same, however their files were cut."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def bits(column: pa.ChunkedArray) -> bytes:
    """Floats as they are: comparison takes -0.0 for 0.0."""
    return column.combine_chunks().fill_null(-1.0).to_numpy().tobytes()


def written(folder: Path) -> dict[str, pa.Table]:
    """Tables of a dataset directory, by config and split; files are read in the order of their names."""
    found = {}
    for config in sorted(path for path in folder.iterdir() if path.is_dir()):
        names = [path.name for path in sorted(config.iterdir())]
        for split in sorted({name.partition("-")[0] for name in names}):
            files = [name for name in names if name.startswith(f"{split}-")]
            assert files == [f"{split}-{i:05d}-of-{len(files):05d}.parquet" for i in range(len(files))]
            tables = [pq.read_table(config / name) for name in files]
            found[f"{config.name} {split}"] = pa.concat_tables(t.replace_schema_metadata() for t in tables)
    return found


def assert_same_dataset(found: Path, expected: Path) -> None:
    """Value for value, in one order; figures but for the input, where files have names."""
    one, other = written(found), written(expected)
    assert one.keys() == other.keys()
    for name in other:
        assert one[name].cast(other[name].schema) == other[name], name
        for a, b in zip(one[name].columns, other[name].columns, strict=True):
            assert not pa.types.is_floating(a.type) or bits(a) == bits(b), name
    digest = re.compile(r'(?m)^  description: "[a-p]{16}"$')
    cards = [digest.subn("", (path / "README.md").read_text()) for path in (found, expected)]
    assert cards[0] == cards[1]
    assert cards[0][1] == 5, "bytes of files differ, so digests do"
    assert (found / "privacy.json").read_text() == (expected / "privacy.json").read_text()
    here, there = (json.loads((path / "report.json").read_text()) for path in (expected, found))
    assert [name for name in here if here[name] != there.get(name)] in ([], ["input"])
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in expected.iterdir())
