"""DuckDB: row order not kept, as its guide to performance asks for."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from setting import BOUND, COSINE_UNIT, KEY, Setting

Z = 1.96


def run(setting: Setting, prepare: list[str], tables: Mapping[str, str]) -> None:
    """Runs statements, then writes tables."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": setting.threads,
        "preserve_insertion_order": False,
        "temp_directory": str(setting.spill),
        **({"memory_limit": f"{setting.memory}B"} if setting.memory else {}),
    }
    with duckdb.connect(config=config) as connection:
        for statement in prepare:
            connection.execute(statement)
        for name, query in tables.items():
            to = f"TO '{setting.table(name)}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            connection.execute(f"COPY ({query}) {to}")


def w1_all(setting: Setting) -> None:
    """Keyed SHA-256; it has no HMAC."""
    run(
        setting,
        [],
        {
            "log": f"""
        SELECT * REPLACE (left(sha256('{KEY}' || user_id), 32) AS user_id,
                          left(sha256('{KEY}' || session_id), 32) AS session_id)
        FROM read_parquet('{setting.log}')"""
        },
    )


def w1_dict(setting: Setting) -> None:
    values = [
        f"""CREATE TEMP TABLE {name} AS SELECT {name}_id AS old, left(sha256('{KEY}' || {name}_id), 32) AS new
        FROM (SELECT DISTINCT {name}_id FROM read_parquet('{setting.log}'))"""
        for name in ("user", "session")
    ]
    run(
        setting,
        values,
        {
            "log": f"""
        SELECT log.* REPLACE (user.new AS user_id, session.new AS session_id)
        FROM read_parquet('{setting.log}') AS log
        JOIN "user" AS user ON log.user_id = user.old JOIN session ON log.session_id = session.old"""
        },
    )


def w2(setting: Setting) -> None:
    run(
        setting,
        [],
        {
            "pairs": f"""
        SELECT query, doc_id, count(*) AS impressions, count(*) FILTER (clicked) AS clicks,
               count(DISTINCT user_id) AS users, sum(rank) AS ranks
        FROM read_parquet('{setting.log}') GROUP BY ALL"""
        },
    )


def w2_2stage(setting: Setting) -> None:
    run(
        setting,
        [],
        {
            "pairs": f"""
        WITH by_user AS (
            SELECT query, doc_id, user_id, count(*) AS n, count(*) FILTER (clicked) AS c, sum(rank) AS r
            FROM read_parquet('{setting.log}') GROUP BY ALL)
        SELECT query, doc_id, sum(n) AS impressions, sum(c) AS clicks, count(*) AS users, sum(r) AS ranks
        FROM by_user GROUP BY ALL"""
        },
    )


def votes(log: str) -> str:
    return f"""
        SELECT user_id, query, doc_id, bool_or(clicked) AS clicked, hash('{KEY}', user_id, query, doc_id) AS keyed
        FROM read_parquet('{log}') GROUP BY user_id, query, doc_id"""


def w3(setting: Setting) -> None:
    run(
        setting,
        [],
        {
            "bounded": f"""
        WITH kept AS (
            SELECT query, doc_id, clicked FROM ({votes(setting.log)})
            QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY keyed) <= {BOUND})
        SELECT query, doc_id, count(*) AS impressions, count(*) FILTER (clicked) AS clicks FROM kept GROUP BY ALL"""
        },
    )


def w3_minn(setting: Setting) -> None:
    run(
        setting,
        [],
        {
            "bounded": f"""
        WITH kept AS (
            SELECT unnest(min_by({{'query': query, 'doc_id': doc_id, 'clicked': clicked}}, keyed, {BOUND})) AS vote
            FROM ({votes(setting.log)}) GROUP BY user_id)
        SELECT vote.query AS query, vote.doc_id AS doc_id, count(*) AS impressions,
               count(*) FILTER (vote.clicked) AS clicks
        FROM kept GROUP BY ALL"""
        },
    )


def w4(setting: Setting) -> None:
    """The few clicked rows first, in tables of their own: a third of the memory that one query takes."""
    log = f"read_parquet('{setting.log}')"
    prepare = [
        f"""
        CREATE TEMP TABLE clicked_rows AS
        SELECT session_id, query, doc_id, user_id, rank FROM {log} WHERE clicked""",
        "CREATE TEMP TABLE last AS SELECT session_id, query, max(rank) AS last FROM clicked_rows GROUP BY ALL",
        """
        CREATE TEMP TABLE clickers AS
        SELECT query, doc_id, count(DISTINCT user_id) AS users FROM clicked_rows GROUP BY ALL""",
        "CREATE TEMP TABLE kept AS SELECT DISTINCT query FROM clickers WHERE users >= 2",
    ]
    run(
        setting,
        prepare,
        {
            "negatives": f"""
        WITH marked AS (
            SELECT query, doc_id, rank, clicked, coalesce(NOT clicked AND rank < last, false) AS skip
            FROM (SELECT * FROM {log} SEMI JOIN kept USING (query)) LEFT JOIN last USING (session_id, query)),
        pairs AS (
            SELECT query, doc_id, count(*) AS n, count(*) FILTER (clicked) / count(*) AS ctr,
                   sum(11 - rank) FILTER (skip) AS evidence, count(*) FILTER (skip) AS skips
            FROM marked GROUP BY ALL),
        negatives AS (
            SELECT query, doc_id AS negative, evidence, skips,
                   row_number() OVER (PARTITION BY query ORDER BY evidence DESC, doc_id) AS rank
            FROM pairs LEFT JOIN clickers USING (query, doc_id)
            WHERE skips > 0 AND n >= 3 AND coalesce(users, 0) < 2
              AND (ctr + {Z * Z} / (2 * n) + {Z} * sqrt(ctr * (1 - ctr) / n + {Z * Z} / (4 * n * n)))
                  / (1 + {Z * Z} / n) <= 0.5)
        SELECT query, clickers.doc_id AS positive, negative, evidence, skips, rank
        FROM negatives JOIN clickers USING (query)
        WHERE users >= 2 AND rank <= 8"""
        },
    )


def w5(setting: Setting, *, query_order: str = "{}", document_order: str = "{}") -> None:
    """`..._order` are what ties go by: the string itself, or an expression of it."""
    prepare = [
        f"""
        CREATE TEMP TABLE pairs AS
        SELECT query, doc_id, count(*) AS clicks FROM read_parquet('{setting.log}') WHERE clicked GROUP BY ALL""",
        """
        CREATE TEMP TABLE graph AS
        SELECT * FROM pairs SEMI JOIN
            (SELECT doc_id FROM pairs GROUP BY doc_id HAVING count(*) BETWEEN 2 AND 200) USING (doc_id)""",
        "CREATE TEMP TABLE norms AS SELECT query, sum(clicks * clicks)::BIGINT AS norm FROM graph GROUP BY query",
        f"""
        CREATE TEMP TABLE related AS
        WITH dots AS (
            SELECT a.query AS query, b.query AS related_query, sum(a.clicks * b.clicks)::BIGINT AS dot
            FROM graph AS a JOIN graph AS b USING (doc_id) WHERE a.query <> b.query GROUP BY ALL),
        cosines AS (
            SELECT query, related_query,
                   floor(dot / sqrt((n.norm * m.norm)::DOUBLE) / {COSINE_UNIT!r}::DOUBLE + 0.5)::BIGINT AS units
            FROM dots JOIN norms AS n USING (query) JOIN norms AS m ON m.query = related_query)
        SELECT *, row_number() OVER (
            PARTITION BY query ORDER BY units DESC, {query_order.format("related_query")}) AS rank
        FROM cosines QUALIFY rank <= 10""",
    ]
    related = f"SELECT query, related_query, units * {COSINE_UNIT!r}::DOUBLE AS cosine, rank FROM related"
    documents = f"""
        WITH scored AS (
            SELECT related.query AS query, doc_id, sum(units * clicks)::BIGINT AS units
            FROM related JOIN pairs ON related_query = pairs.query GROUP BY ALL),
        unclicked AS (SELECT * FROM scored ANTI JOIN pairs USING (query, doc_id))
        SELECT query, doc_id, units * {COSINE_UNIT!r}::DOUBLE AS score, row_number() OVER (
            PARTITION BY query ORDER BY units DESC, {document_order.format("doc_id")}) AS rank
        FROM unclicked WHERE units > 0 QUALIFY rank <= 20"""
    run(setting, prepare, {"related": related, "documents": documents})


def w234(setting: Setting) -> None:
    for workload in (w2, w3, w4):
        workload(setting)


def w234_2stage(setting: Setting) -> None:
    for workload in (w2_2stage, w3, w4):
        workload(setting)


RUNS = {
    "duckdb": {"W2": w2, "W3": w3, "W4": w4, "W5": w5, "W2+W3+W4": w234},
    "duckdb_2stage": {"W2": w2_2stage, "W2+W3+W4": w234_2stage},
    "duckdb_minn": {"W3": w3_minn},
    "duckdb_all": {"W1": w1_all},
    "duckdb_dict": {"W1": w1_dict},
}
