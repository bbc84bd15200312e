"""The base of positions: statistics first, the column if need be, and streams that must not contradict themselves."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hardneg_fast.config import ReadConfig
from hardneg_fast.exceptions import DataError
from hardneg_fast.read import open_log
from hardneg_fast.sources import parquet, positions


def table(values, t=None):
    n = len(values)
    return pa.table({"query": ["q"] * n, "doc_id": ["d"] * n, "clicked": [0] * n, "position": pa.array(values, t)})


@pytest.mark.parametrize(
    ("values", "base"),
    [
        ([1, 2, 3], 1), ([0, 1, 2], 0), ([0, 1, 1], 0), ([0, 1, 1, 1], 1), ([0] * 3 + [1] * 7, 1), ([2, 3], 1), ([], 1),
        ([None, None], 1), ([0], 0), ([-1, 5], 1), ([0, None, 1], 0),
    ],
)  # fmt: skip
def test_the_rule_holds_for_every_source_and_type(tmp_path, values, base):
    pq.write_table(table(values, pa.int64()), tmp_path / "log.parquet")
    pq.write_table(table(values, pa.int64()), tmp_path / "bare.parquet", write_statistics=False)
    logs = [tmp_path / "log.parquet", tmp_path / "bare.parquet"]
    texts = [None if v is None else str(v) for v in values]
    kinds = ((values, pa.int8()), (values, pa.float32()), (values, pa.float16()), (texts, pa.string()))
    logs += [table(v, t) for v, t in kinds]
    logs += [
        table(texts, pa.string_view()),
        table(texts).set_column(3, "position", pa.array(texts).dictionary_encode()),
    ]
    logs += [table(values, pa.int64()).to_reader()]
    for log in logs:
        opened = open_log(log, ReadConfig())
        assert opened.position_base == base, log
        assert opened.report.position_bases == {"": base}


def test_an_explicit_base_is_taken_as_it_is():
    assert open_log(table([1, 2]), ReadConfig(position_base="0")).position_base == 0
    assert open_log(table([0, 1]), ReadConfig(position_base="1")).position_base == 1


def test_statistics_spare_reading(tmp_path, monkeypatch):
    pq.write_table(table([1, 2, None, 4]), tmp_path / "log.parquet", row_group_size=2)
    opened = parquet.ParquetSource.scan
    scanned = []
    monkeypatch.setattr(parquet.ParquetSource, "scan", lambda self, *a, **k: scanned.append(a) or opened(self, *a, **k))
    log = open_log(tmp_path / "log.parquet", ReadConfig())
    assert scanned == [], "the core reads the log itself, and nobody read it before"
    assert log.position_base == 1


def test_a_nested_position_has_statistics_too(tmp_path):
    nested = table([1, 2]).drop(["position"]).append_column("e", pa.array([{"p": 0}, {"p": 1}]))
    pq.write_table(nested, tmp_path / "log.parquet")
    assert open_log(tmp_path / "log.parquet", ReadConfig(columns={"position": "e.p"})).position_base == 0


def test_a_stream_that_contradicts_its_first_rows_is_refused():
    for first, rest, base in (([1, 2], [0, 0, 0], 1), ([0, 1], [1, 1, 1], 0)):
        log = open_log(pa.concat_tables([table(first), table(rest)]).to_reader(), ReadConfig())
        assert log.position_base == base
        with pytest.raises(DataError, match=r"--read.position-base 0 or 1"):
            log.reader().read_all()
        assert isinstance(log.error, DataError)


def test_a_stream_that_wavers_and_comes_back_is_fine():
    parts = [[], [0, 1], [1, 1, 1], [0, 0]]
    schema = table([1], pa.int64()).schema
    whole = pa.concat_tables([table(part, pa.int64()).cast(schema) for part in parts])
    log = open_log(whole.to_reader(), ReadConfig())
    assert log.position_base == 0
    assert log.reader().read_all()["position"].to_pylist() == [0, 1, 1, 1, 1, 0, 0]


def test_a_log_without_positions():
    log = open_log(table([0]).drop(["position"]), ReadConfig())
    assert (log.position_base, log.report.position_bases) == (1, {})


def test_the_rule_by_itself():
    assert [positions.base(z, o) for z, o in ((0, 0), (1, 2), (1, 3), (5, 0))] == [1, 0, 1, 0]
