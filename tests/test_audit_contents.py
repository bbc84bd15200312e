"""What an audit reads of tables: the distinct values of every column, of whatever it nests."""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compact import INT, STRUCT, Parquet, varint
from hardneg_fast.audit import contents
from hostile_parquet import written

cell = st.one_of(st.none(), st.sampled_from(["a", "b", ""]), st.text(st.characters(codec="utf-8"), max_size=4))
rows = st.lists(
    st.fixed_dictionaries({
        "text": cell,
        "list": st.one_of(st.none(), st.lists(cell, max_size=3)),
        "struct": st.one_of(st.none(), st.fixed_dictionaries({"n": st.integers(0, 9), "t": cell})),
        "map": st.one_of(st.none(), st.lists(st.tuples(st.sampled_from("xyz"), cell), max_size=2)),
        "n": st.integers(0, 5),
    }),
    max_size=60,
)  # fmt: skip
SCHEMA = pa.schema([
    ("text", pa.string()), ("list", pa.list_(pa.string())),
    ("struct", pa.struct([("n", pa.int32()), ("t", pa.string())])), ("map", pa.map_(pa.string(), pa.string())),
    ("n", pa.int16()),
])  # fmt: skip


def said(rows: list[dict[str, Any]]) -> dict[str, list[set[str]]]:
    """For each column the values of its leaves."""
    structs = [row["struct"] for row in rows if row["struct"] is not None]
    leaves = {
        "text": [[row["text"] for row in rows]],
        "list": [[item for row in rows for item in row["list"] or []]],
        "struct": [[str(s["n"]) for s in structs], [s["t"] for s in structs]],
        "map": [[pair[at] for row in rows for pair in row["map"] or []] for at in (0, 1)],
        "n": [[str(row["n"]) for row in rows]],
    }
    return {name: [{v for v in values if v is not None} for values in found] for name, found in leaves.items()}


@pytest.mark.parametrize("piece", [1, contents.PIECE])
@settings(deadline=None, max_examples=40)
@given(rows=rows, group=st.integers(1, 50), batch=st.integers(1, 40), few=st.integers(1, 9))
def test_distinct_values(
    tmp_path_factory: pytest.TempPathFactory, piece: int, rows: list[dict[str, Any]], group: int, batch: int, few: int
) -> None:
    path: Path = tmp_path_factory.mktemp("t") / "t.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("PIECE", piece), ("ROWS", batch), ("FEW", few)):
            patch.setattr(contents, name, value)
        found = [(name, is_text, values.to_pylist()) for name, is_text, values in contents.columns(path)]
    for name, leaves in said(rows).items():
        of = [values for column, _, values in found if column == name]
        assert all(len(values) == len(set(values)) for values in of)
        assert {v for values in of for v in values} == set().union(*leaves)
        if piece > 1 and rows:
            assert [set(values) for values in of] == leaves, "a leaf at a time, and each once"
    assert all(is_text == (name in ("text", "list", "map")) for name, is_text, _ in found if name != "struct")


@pytest.mark.parametrize("within", ["s", "m.key_value.value"])
def test_fields_that_disagree_on_whether_their_struct_is_there(within: str, tmp_path: Path) -> None:
    """Some readers show what others take for null."""
    rows = [{"x": i, "y": f"text {i}"} for i in range(4)]
    of = pa.struct([("x", pa.int64()), ("y", pa.string())])
    mapped = pa.array([[("k", row)] for row in rows], pa.map_(pa.string(), of))
    table = pa.table({"s": rows} if within == "s" else {"m": mapped})
    file = Parquet(written(table, use_dictionary=False))
    levels = [0] if within == "s" else [0, 2]  # of definition; of repetition before it
    nowhere = b"".join(struct.pack("<I", 2) + varint(4 << 1) + bytes([level]) for level in levels)
    header = {1: (INT, 0), 2: (INT, len(nowhere)), 5: (STRUCT, {1: (INT, 4), 2: (INT, 0), 3: (INT, 3), 4: (INT, 3)})}
    (chunk,) = file.chunks(f"{within}.x")
    chunk[4] = (INT, 0)
    file.replace(f"{within}.x", header, nowhere, 0)
    (tmp_path / "t.parquet").write_bytes(file.bytes())
    found = [values.to_pylist() for _, _, values in contents.columns(tmp_path / "t.parquet")]
    assert found[-2:] == [[], [f"text {i}" for i in range(4)]]


def test_very_many_columns(tmp_path: Path) -> None:
    """The footer was read once a column: two thousand took over a minute."""
    table = pa.table({f"c{i}": [float(i)] * 20 for i in range(2000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    assert sum(1 for _ in contents.columns(tmp_path / "t.parquet")) == 2000
