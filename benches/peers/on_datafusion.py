"""DataFusion."""

from __future__ import annotations

from collections.abc import Mapping

from datafusion import ParquetWriterOptions, RuntimeEnvBuilder, SessionConfig, SessionContext

from setting import BOUND, COSINE_UNIT, KEY, Setting

Z = 1.96


def run(setting: Setting, prepare: Mapping[str, str], tables: Mapping[str, str]) -> None:
    """Makes tables in memory, then writes tables."""
    runtime = RuntimeEnvBuilder().with_temp_file_path(str(setting.spill))
    if setting.memory:
        runtime = runtime.with_fair_spill_pool(setting.memory)
    context = SessionContext(SessionConfig().with_target_partitions(setting.threads), runtime)
    context.register_parquet("log", setting.log)
    for name, query in prepare.items():
        context.register_table(name, context.sql(query).cache())
    for name, query in tables.items():
        options = ParquetWriterOptions(compression="zstd(1)")
        context.sql(query).write_parquet_with_options(setting.table(name), options)


def w1(setting: Setting) -> None:
    """Keyed SHA-256; it has no HMAC."""

    def pseudonym(column: str) -> str:
        return f"left(encode(sha256(concat('{KEY}', {column})), 'hex'), 32) AS {column}"

    columns = f"{pseudonym('user_id')}, {pseudonym('session_id')}, query, doc_id, rank, clicked, dwell_ms, timestamp"
    run(setting, {}, {"log": f"SELECT {columns} FROM log"})


def w2(setting: Setting) -> None:
    """Distinct users in two stages: its count(DISTINCT) took 11 GB for a million rows."""
    run(
        setting,
        {},
        {
            "pairs": """
        WITH by_user AS (
            SELECT query, doc_id, user_id, count(*) AS n, count(*) FILTER (WHERE clicked) AS c, sum(rank) AS r
            FROM log GROUP BY query, doc_id, user_id)
        SELECT query, doc_id, sum(n) AS impressions, sum(c) AS clicks, count(*) AS users, sum(r) AS ranks
        FROM by_user GROUP BY query, doc_id"""
        },
    )


def w3(setting: Setting) -> None:
    """The cheapest hash that it has is a cryptographic one, and its windows order no bytes: hence hexadecimal."""
    run(
        setting,
        {},
        {
            "bounded": f"""
        WITH votes AS (
            SELECT user_id, query, doc_id, bool_or(clicked) AS clicked,
                   encode(digest(concat('{KEY}', user_id, query, doc_id), 'blake3'), 'hex') AS keyed
            FROM log GROUP BY user_id, query, doc_id),
        numbered AS (
            SELECT query, doc_id, clicked, row_number() OVER (PARTITION BY user_id ORDER BY keyed) AS place FROM votes)
        SELECT query, doc_id, count(*) AS impressions, count(*) FILTER (WHERE clicked) AS clicks
        FROM numbered WHERE place <= {BOUND} GROUP BY query, doc_id"""
        },
    )


def w4(setting: Setting) -> None:
    """The few clicked rows first, in tables of their own."""
    prepare = {
        "clicked_rows": "SELECT session_id, query, doc_id, user_id, rank FROM log WHERE clicked",
        "last": "SELECT session_id, query, max(rank) AS last FROM clicked_rows GROUP BY session_id, query",
        "clickers": """
            SELECT query, doc_id, count(*) AS users
            FROM (SELECT DISTINCT query, doc_id, user_id FROM clicked_rows) GROUP BY query, doc_id""",
        "kept": "SELECT DISTINCT query FROM clickers WHERE users >= 2",
    }
    run(
        setting,
        prepare,
        {
            "negatives": f"""
        WITH marked AS (
            SELECT log.query, log.doc_id, log.rank, log.clicked,
                   coalesce(NOT log.clicked AND log.rank < last.last, false) AS skip
            FROM log LEFT SEMI JOIN kept ON log.query = kept.query
            LEFT JOIN last ON log.session_id = last.session_id AND log.query = last.query),
        pairs AS (
            SELECT query, doc_id, count(*) AS n, CAST(count(*) FILTER (WHERE clicked) AS DOUBLE) / count(*) AS ctr,
                   sum(11 - rank) FILTER (WHERE skip) AS evidence, count(*) FILTER (WHERE skip) AS skips
            FROM marked GROUP BY query, doc_id),
        negatives AS (
            SELECT pairs.query, pairs.doc_id AS negative, evidence, skips,
                   row_number() OVER (PARTITION BY pairs.query ORDER BY evidence DESC, pairs.doc_id) AS rank
            FROM pairs LEFT JOIN clickers ON pairs.query = clickers.query AND pairs.doc_id = clickers.doc_id
            WHERE skips > 0 AND n >= 3 AND coalesce(users, 0) < 2
              AND (ctr + {Z * Z} / (2 * n) + {Z} * sqrt(ctr * (1 - ctr) / n + {Z * Z} / (4.0 * n * n)))
                  / (1 + {Z * Z} / n) <= 0.5)
        SELECT negatives.query, clickers.doc_id AS positive, negative, evidence, skips, rank
        FROM negatives JOIN clickers ON negatives.query = clickers.query
        WHERE users >= 2 AND rank <= 8"""
        },
    )


def w5(setting: Setting) -> None:
    prepare = {
        "pairs": "SELECT query, doc_id, count(*) AS clicks FROM log WHERE clicked GROUP BY query, doc_id",
        "graph": """
            SELECT pairs.* FROM pairs LEFT SEMI JOIN
                (SELECT doc_id FROM pairs GROUP BY doc_id HAVING count(*) BETWEEN 2 AND 200) AS joining
            ON pairs.doc_id = joining.doc_id""",
        "norms": "SELECT query, sum(clicks * clicks) AS norm FROM graph GROUP BY query",
        "related": f"""
            WITH dots AS (
                SELECT a.query AS query, b.query AS related_query, sum(a.clicks * b.clicks) AS dot
                FROM graph AS a JOIN graph AS b ON a.doc_id = b.doc_id WHERE a.query <> b.query
                GROUP BY a.query, b.query),
            cosines AS (
                SELECT dots.query, related_query,
                       CAST(floor(dot / sqrt(CAST(n.norm * m.norm AS DOUBLE)) / {COSINE_UNIT!r} + 0.5) AS BIGINT)
                       AS units
                FROM dots JOIN norms AS n ON dots.query = n.query JOIN norms AS m ON m.query = related_query),
            numbered AS (
                SELECT *, row_number() OVER (PARTITION BY query ORDER BY units DESC, related_query) AS rank
                FROM cosines)
            SELECT * FROM numbered WHERE rank <= 10""",
    }
    related = f"SELECT query, related_query, units * {COSINE_UNIT!r} AS cosine, rank FROM related"
    documents = f"""
        WITH scored AS (
            SELECT related.query AS query, doc_id, sum(units * clicks) AS units
            FROM related JOIN pairs ON related_query = pairs.query GROUP BY related.query, doc_id),
        numbered AS (
            SELECT query, doc_id, units, row_number() OVER (PARTITION BY query ORDER BY units DESC, doc_id) AS rank
            FROM scored LEFT ANTI JOIN pairs ON scored.query = pairs.query AND scored.doc_id = pairs.doc_id
            WHERE units > 0)
        SELECT query, doc_id, units * {COSINE_UNIT!r} AS score, rank FROM numbered WHERE rank <= 20"""
    run(setting, prepare, {"related": related, "documents": documents})


def w234(setting: Setting) -> None:
    for workload in (w2, w3, w4):
        workload(setting)


RUNS = {
    "datafusion": {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W2+W3+W4": w234},
}
