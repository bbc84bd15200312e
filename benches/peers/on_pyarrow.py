"""pyarrow and Python's own hmac: W1 with each entry of a row group's dictionary hashed once."""

from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from setting import KEY, Setting

TEXTS = ["user_id", "session_id", "query", "doc_id"]


def pseudonyms(column: pa.ChunkedArray) -> pa.ChunkedArray:
    def of(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
        values = [hmac.digest(KEY.encode(), v.encode(), "sha256").hex()[:32] for v in chunk.dictionary.to_pylist()]
        return pa.DictionaryArray.from_arrays(chunk.indices, pa.array(values))

    return pa.chunked_array([of(chunk) for chunk in column.chunks])


def w1(setting: Setting) -> None:
    pa.set_cpu_count(setting.threads)
    with pq.ParquetFile(setting.log, read_dictionary=TEXTS) as source, ThreadPoolExecutor(1) as ahead:
        # While a row group is hashed and written, the next one is read.
        waiting = ahead.submit(source.read_row_group, 0)
        writer = None
        for group in range(source.num_row_groups):
            table = waiting.result()
            if group + 1 < source.num_row_groups:
                waiting = ahead.submit(source.read_row_group, group + 1)
            for name in ("user_id", "session_id"):
                place = table.schema.get_field_index(name)
                table = table.set_column(place, name, pseudonyms(table[name]))
            if writer is None:
                writer = pq.ParquetWriter(setting.table("log"), table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()


RUNS = {"pyarrow_hmac_dict": {"W1": w1}}
