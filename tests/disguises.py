"""A simulated log as three companies would export it: UBI, Google Analytics 4, and a table of their own.

What the guides name is in the folder that `disguise` fills: `ubi_queries.ndjson` and `ubi_events.ndjson`, `ga4/`,
`clicks.parquet`, `catalogue.csv` and `catalogue.parquet`.
"""

import json
from itertools import groupby
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import hardneg_fast as hn


def disguise(folder: Path, impressions: int = 20_000, seed: int = 11) -> None:
    """Fills `folder`."""
    hn.simulate(folder / "sim", impressions=impressions, seed=seed)
    log = pl.read_parquet(folder / "sim" / "log.parquet").with_columns(
        pl.col(pl.Categorical, pl.String).cast(pl.String)
    )
    pages = [[*rows] for _, rows in groupby(log.sort("search_id", "position").to_dicts(), lambda row: row["search_id"])]
    _ubi(folder, pages)
    _ga4(folder / "ga4", pages)
    _homemade(log).write_parquet(folder / "clicks.parquet")
    documents = pl.read_parquet(folder / "sim" / "documents.parquet")
    documents.write_parquet(folder / "catalogue.parquet")
    documents.rename({"doc_id": "sku", "text": "title"}).write_csv(folder / "catalogue.csv")


def _homemade(log: pl.DataFrame) -> pl.DataFrame:
    """Other names, positions from 0, seconds instead of milliseconds, numbers for users, what nobody asked for."""
    return log.select(
        uid=pl.col("user_id").str.slice(1).cast(pl.Int64),
        visit="session_id",
        serp=pl.col("search_id").str.slice(1).cast(pl.Int64),
        phrase=pl.col("query").str.to_titlecase() + " ",
        sku="doc_id",
        rank=pl.col("position").cast(pl.Int32) - 1,
        is_click=pl.col("clicked").cast(pl.Int8),
        seconds=pl.col("dwell_ms") / 1000,
        shown_at=pl.col("timestamp").dt.epoch("ms"),
        browser=pl.lit("any"),
    )


def _ubi(folder: Path, pages: list[list[dict]]) -> None:
    with (folder / "ubi_queries.ndjson").open("w") as queries, (folder / "ubi_events.ndjson").open("w") as events:
        for page in pages:
            first = page[0]
            at = {
                "application": "shop",
                "query_id": first["search_id"],
                "client_id": first["user_id"],
                "timestamp": first["timestamp"].isoformat(),
            }
            queries.write(json.dumps(at | {"user_query": first["query"], "query_attributes": {}}) + "\n")
            for row in page:
                attributes = {
                    "object": {"object_id": row["doc_id"], "object_id_field": "sku"},
                    "position": {"ordinal": row["position"] - 1},
                }
                event = at | {"session_id": row["session_id"], "event_attributes": attributes}
                for action in ("impression", *(["click"] if row["clicked"] else [])):
                    events.write(json.dumps(event | {"action_name": action}) + "\n")


VALUE = pa.struct([("string_value", pa.string()), ("int_value", pa.int64())])
GA4 = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("user_pseudo_id", pa.string()),
        ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))),
        (
            "items",
            pa.list_(
                pa.struct([(name, pa.string()) for name in ("item_id", "item_name", "item_list_id", "item_list_index")])
            ),
        ),
    ]
)


def _ga4(folder: Path, pages: list[list[dict]]) -> None:
    """A file a day, as BigQuery's daily tables are."""
    folder.mkdir()
    events = [event for number, page in enumerate(pages) for event in _hit(number, page)]
    days = pl.Series([event["event_date"] for event in events])
    for day in days.unique().sort():
        rows = [event for event in events if event["event_date"] == day]
        pq.write_table(pa.Table.from_pylist(rows, GA4), folder / f"events_{day}.parquet")


def _hit(number: int, page: list[dict]) -> list[dict]:
    """Events of one page: the search, the list, and the items selected."""

    def event(name: str, seconds: int, items: list[dict], *more: tuple[str, str]) -> dict:
        texts = [("page_location", f"https://shop.example/search?n={number}"), *more]
        params = [{"key": "ga_session_id", "value": {"string_value": None, "int_value": int(first["session_id"][1:])}}]
        params += [{"key": key, "value": {"string_value": text, "int_value": None}} for key, text in texts]
        return {
            "event_date": first["timestamp"].strftime("%Y%m%d"),
            "event_timestamp": int(first["timestamp"].timestamp() * 1e6) + seconds * 1_000_000,
            "event_name": name,
            "user_pseudo_id": first["user_id"],
            "event_params": params,
            "items": items,
        }

    first = page[0]
    items = [
        {"item_id": row["doc_id"], "item_name": "", "item_list_id": "search", "item_list_index": str(row["position"])}
        for row in page
    ]
    clicked = [[item] for item, row in zip(items, page, strict=True) if row["clicked"]]
    return [
        event("page_view", 0, []),
        event("view_search_results", 0, [], ("search_term", first["query"])),
        event("view_item_list", 1, items),
        *(event("select_item", 2 + i, item) for i, item in enumerate(clicked)),
    ]
