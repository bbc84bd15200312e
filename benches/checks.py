"""Whether engines gave the same result; times of a workload count only when this finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from setting import BOUND, COSINE_UNIT, WORKLOADS, Setting

SURE = 5.0  # standard deviations: a sound sample goes further in one check of two million

Folders = Mapping[str, Path]


class Checker:
    """Compares the tables of engines with each other, or with what the log says."""

    def __init__(self, log: Path, scratch: Path, threads: int) -> None:
        self.log, self.scratch, self.threads = log, scratch, threads
        self.connection = duckdb.connect(config={"temp_directory": str(scratch), "preserve_insertion_order": False})

    def row(self, query: str) -> tuple[object, ...]:
        rows: list[tuple[object, ...]] = self.connection.execute(query).fetchall()
        return rows[0]

    def check(self, workload: str, folders: Folders) -> list[str]:
        """What differs, in words; nothing where all is well."""
        found: list[str] = []
        for table in WORKLOADS[workload]:
            outputs = {engine: folder / f"{table}.parquet" for engine, folder in folders.items()}
            if table == "log":
                found += self.copies(outputs)
            elif table == "bounded":
                found += self.bounded(outputs)
            elif workload == "W5" and "ours" in outputs:
                # Ties go by canonical order in ours and by the string in peers.
                own = self.related_in_canonical_order() / f"{table}.parquet"
                found += self.same(table, WORKLOADS[workload][table], {"ours": outputs.pop("ours"), "duckdb": own})
                found += self.same(table, WORKLOADS[workload][table], outputs)
            else:
                found += self.same(table, WORKLOADS[workload][table], outputs)
        return found

    def same(self, table: str, columns: Mapping[str, str], outputs: Folders) -> list[str]:
        """Tables that must be equal, row for row, in any order."""
        selects = {engine: selected(columns, path) for engine, path in outputs.items()}
        sums = {e: self.row(f"SELECT count(*), sum(hash({', '.join(columns)})) FROM ({s})") for e, s in selects.items()}
        found = []
        for engine in list(sums)[1:]:
            first = next(iter(sums))
            if sums[engine] != sums[first]:
                one, two = (
                    self.connection.execute(f"{selects[a]} EXCEPT ALL {selects[b]} LIMIT 2").fetchall()
                    for a, b in ((first, engine), (engine, first))
                )
                rows = f"{sums[first][0]} and {sums[engine][0]} rows"
                found.append(f"{table}: {first} and {engine} differ ({rows}), such as {one} and {two}")
        return found

    def copies(self, outputs: Folders) -> list[str]:
        """W1: the other columns are the log's, and rows that shared a user or session still do, and only those."""

        def structure(path: Path) -> tuple[object, ...]:
            others = "hash(query, doc_id, rank, clicked, dwell_ms, epoch_us(timestamp))"
            groups = [
                f"(SELECT sum(hash(n, s)) FROM (SELECT count(*) AS n, sum(h) AS s FROM rows GROUP BY {name}))"
                for name in ("user_id", "session_id")
            ]
            return self.row(f"""
                WITH rows AS MATERIALIZED (SELECT user_id, session_id, {others} AS h FROM read_parquet('{path}'))
                SELECT count(*), count(DISTINCT user_id), count(DISTINCT session_id), sum(h), {", ".join(groups)}
                FROM rows""")

        def raw(path: Path) -> int:
            left = [
                f"""(SELECT count(*) FROM (SELECT DISTINCT {name} FROM read_parquet('{path}'))
                SEMI JOIN (SELECT DISTINCT {name} FROM read_parquet('{self.log}')) USING ({name}))"""
                for name in ("user_id", "session_id")
            ]
            return int(str(self.row(f"SELECT {' + '.join(left)}")[0]))

        expected = structure(self.log)
        found = []
        for engine, path in outputs.items():
            names = [name for name, *_ in self.connection.execute(f"DESCRIBE FROM read_parquet('{path}')").fetchall()]
            if sorted(names) != sorted(WORKLOADS["W1"]["log"]):
                found.append(f"log: {engine} has the columns {names}")
            elif (got := structure(path)) != expected:
                found.append(
                    f"log: {engine} has {got[:3]} rows, users and sessions or other rows; expected {expected[:3]}"
                )
            elif count := raw(path):
                found.append(f"log: {engine} left {count} raw identifiers")
        return found

    def bounded(self, outputs: Folders) -> list[str]:
        """W3: as many votes of each user as the bound allows, each one of the log's, and not chosen by their clicks."""
        votes = f"""(SELECT user_id, query, doc_id, bool_or(clicked) AS clicked
            FROM read_parquet('{self.log}') GROUP BY ALL)"""
        self.connection.execute(f"""
            CREATE TEMP TABLE IF NOT EXISTS most AS
            SELECT query, doc_id, count(*) AS users, count(*) FILTER (clicked) AS clickers FROM {votes} GROUP BY ALL""")
        k, share = f"least(n, {BOUND})", "(c / n)"
        kept, mean, variance = self.row(f"""
            SELECT sum({k}), sum({k} * {share}), sum({k} * {share} * (1 - {share}) * (n - {k}) / greatest(n - 1, 1))
            FROM (SELECT count(*) AS n, count(*) FILTER (clicked) AS c FROM {votes} GROUP BY user_id)""")
        found = []
        for engine, path in outputs.items():
            got, clicks, pairs, distinct = self.row(f"""
                SELECT sum(impressions), sum(clicks), count(*), count(DISTINCT (query, doc_id))
                FROM read_parquet('{path}')""")
            (beyond,) = self.row(f"""
                SELECT count(*) FROM read_parquet('{path}') AS b LEFT JOIN most USING (query, doc_id)
                WHERE most.users IS NULL OR b.impressions > users OR b.clicks > least(clickers, b.impressions)""")
            away = abs(float(str(clicks)) - float(str(mean))) / float(str(variance)) ** 0.5
            if got != kept:
                found.append(f"bounded: {engine} kept {got} votes, the bound allows {kept}")
            elif pairs != distinct or beyond:
                found.append(f"bounded: {engine} has pairs twice, or {beyond} that the log does not have")
            elif away > SURE:
                found.append(
                    f"bounded: {engine} kept {clicks} clicked votes, expected {mean:.0f}: {away:.1f} deviations"
                )
        return found

    def related_in_canonical_order(self) -> Path:
        """W5 with ties by the first 8 bytes of SHA-256, then by the string, as docs/ARCHITECTURE.md has them."""
        from peers.on_duckdb import w5

        out = self.scratch / "canonical"
        if not out.exists():
            out.mkdir()
            canonical = "left(sha256({0}), 16), {0}"
            setting = Setting(str(self.log), out, self.threads, None, self.scratch)
            w5(setting, query_order=canonical, document_order=canonical)
        return out


def selected(columns: Mapping[str, str], path: Path) -> str:
    """The columns in the types that they are compared in; cosines and scores as the whole numbers that they are."""

    def one(name: str, kind: str) -> str:
        value = f"round({name} / {COSINE_UNIT!r}::DOUBLE)::BIGINT" if kind == "DOUBLE" else f"{name}::{kind}"
        return f"{value} AS {name}"

    return f"SELECT {', '.join(one(*c) for c in columns.items())} FROM read_parquet('{path}')"
