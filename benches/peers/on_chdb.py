"""chdb, which is ClickHouse in a process."""

from __future__ import annotations

from collections.abc import Mapping

from chdb.session import Session

from setting import BOUND, COSINE_UNIT, KEY, Setting

Z = 1.96
# Without nulls, as the log is: ClickHouse says that nullable columns cost.
STRUCTURE = (
    "user_id {id}, session_id {id}, query String, doc_id String, rank Int32, clicked Bool, dwell_ms Int32, "
    "timestamp DateTime64(6)"
)


def log_of(setting: Setting, ids: str = "String") -> str:
    return f"file('{setting.log}', Parquet, '{STRUCTURE.format(id=ids)}')"


def run(setting: Setting, prepare: list[str], tables: Mapping[str, str]) -> None:
    """Runs statements, then writes tables."""
    settings = {
        "max_threads": setting.threads,
        "output_format_parquet_compression_method": "'zstd'",
        "output_format_compression_level": 1,
    }
    if setting.memory:
        # "The recommended value is half"; a third leaves room for merging what was spilled.
        third = setting.memory // 3
        settings |= {"max_memory_usage": setting.memory, "join_algorithm": "'grace_hash'", "max_bytes_in_join": third}
        settings |= {f"max_bytes_before_external_{what}": third for what in ("group_by", "sort", "distinct", "join")}
        settings |= {"max_bytes_ratio_before_external_group_by": 0, "max_bytes_ratio_before_external_sort": 0}
    session = Session(str(setting.spill))
    try:
        for name, value in settings.items():
            session.query(f"SET {name} = {value}")
        for statement in prepare:
            session.query(statement)
        for name, query in tables.items():
            session.query(f"{query} INTO OUTFILE '{setting.table(name)}' TRUNCATE FORMAT Parquet")
    finally:
        session.close()


def w1_dict(setting: Setting) -> None:
    """Functions of a LowCardinality column run once for each of its values; hashing every row took 8 µs each."""

    def pseudonym(column: str) -> str:
        return f"lower(left(hex(HMAC('sha256', log.{column}, '{KEY}')), 32)) AS {column}"

    columns = f"{pseudonym('user_id')}, {pseudonym('session_id')}, query, doc_id, rank, clicked, dwell_ms, timestamp"
    run(setting, [], {"log": f"SELECT {columns} FROM {log_of(setting, 'LowCardinality(String)')} AS log"})


def w2(setting: Setting) -> None:
    run(
        setting,
        [],
        {
            "pairs": f"""
        SELECT query, doc_id, count() AS impressions, countIf(clicked) AS clicks, uniqExact(user_id) AS users,
               sum(rank) AS ranks
        FROM {log_of(setting)} GROUP BY query, doc_id"""
        },
    )


def w3(setting: Setting) -> None:
    run(
        setting,
        [],
        {
            "bounded": f"""
        SELECT query, doc_id, count() AS impressions, countIf(clicked) AS clicks
        FROM (
            SELECT query, doc_id, clicked FROM (
                SELECT user_id, query, doc_id, max(clicked) AS clicked,
                       sipHash64Keyed((toUInt64(7), toUInt64(11)), user_id, query, doc_id) AS keyed
                FROM {log_of(setting)} GROUP BY user_id, query, doc_id)
            ORDER BY user_id, keyed LIMIT {BOUND} BY user_id)
        GROUP BY query, doc_id"""
        },
    )


def w4(setting: Setting) -> None:
    """The few clicked rows first, in tables of their own."""
    log = log_of(setting)
    prepare = [
        f"""
        CREATE TABLE clicked_rows ENGINE = Memory AS
        SELECT session_id, query, doc_id, user_id, rank FROM {log} WHERE clicked""",
        """
        CREATE TABLE last ENGINE = Memory AS
        SELECT session_id, query, max(rank) AS last FROM clicked_rows GROUP BY session_id, query""",
        """
        CREATE TABLE clickers ENGINE = Memory AS
        SELECT query, doc_id, uniqExact(user_id) AS users FROM clicked_rows GROUP BY query, doc_id""",
    ]
    run(
        setting,
        prepare,
        {
            "negatives": f"""
        WITH pairs AS (
            SELECT query, doc_id, count() AS n, countIf(clicked) / count() AS ctr,
                   sumIf(11 - rank, NOT clicked AND rank < last) AS evidence,
                   countIf(NOT clicked AND rank < last) AS skips
            FROM (
                SELECT session_id, query, doc_id, rank, clicked FROM {log}
                WHERE query IN (SELECT query FROM clickers WHERE users >= 2)) AS rows
            LEFT JOIN last USING (session_id, query)
            GROUP BY query, doc_id),
        negatives AS (
            SELECT query, doc_id AS negative, evidence, skips,
                   row_number() OVER (PARTITION BY query ORDER BY evidence DESC, doc_id) AS rank
            FROM pairs LEFT JOIN clickers USING (query, doc_id)
            WHERE skips > 0 AND n >= 3 AND users < 2
              AND (ctr + {Z * Z} / (2 * n) + {Z} * sqrt(ctr * (1 - ctr) / n + {Z * Z} / (4 * n * n)))
                  / (1 + {Z * Z} / n) <= 0.5)
        SELECT query, positive, negative, evidence, skips, rank
        FROM negatives JOIN (SELECT query, doc_id AS positive FROM clickers WHERE users >= 2) AS positives USING (query)
        WHERE rank <= 8"""
        },
    )


def w5(setting: Setting) -> None:
    prepare = [
        f"""
        CREATE TABLE pairs ENGINE = Memory AS
        SELECT query, doc_id, toInt64(count()) AS clicks FROM {log_of(setting)} WHERE clicked GROUP BY query, doc_id""",
        """
        CREATE TABLE graph ENGINE = Memory AS
        SELECT * FROM pairs
        WHERE doc_id IN (SELECT doc_id FROM pairs GROUP BY doc_id HAVING count() BETWEEN 2 AND 200)""",
        "CREATE TABLE norms ENGINE = Memory AS SELECT query, sum(clicks * clicks) AS norm FROM graph GROUP BY query",
        f"""
        CREATE TABLE related ENGINE = Memory AS
        WITH dots AS (
            SELECT a.query AS query, b.query AS related_query, sum(a.clicks * b.clicks) AS dot
            FROM graph AS a JOIN graph AS b ON a.doc_id = b.doc_id WHERE a.query <> b.query
            GROUP BY a.query, b.query),
        cosines AS (
            SELECT dots.query AS query, related_query,
                   toInt64(floor(dot / sqrt(toFloat64(n.norm * m.norm)) / {COSINE_UNIT!r} + 0.5)) AS units
            FROM dots JOIN norms AS n ON dots.query = n.query JOIN norms AS m ON m.query = related_query)
        SELECT query, related_query, units,
               row_number() OVER (PARTITION BY query ORDER BY units DESC, related_query) AS rank
        FROM cosines QUALIFY rank <= 10""",
    ]
    related = f"SELECT query, related_query, units * {COSINE_UNIT!r} AS cosine, rank FROM related"
    documents = f"""
        WITH scored AS (
            SELECT related.query AS query, pairs.doc_id AS doc_id, sum(units * clicks) AS units
            FROM related JOIN pairs ON related.related_query = pairs.query GROUP BY related.query, pairs.doc_id)
        SELECT query, doc_id, units * {COSINE_UNIT!r} AS score,
               row_number() OVER (PARTITION BY query ORDER BY units DESC, doc_id) AS rank
        FROM scored WHERE units > 0 AND (query, doc_id) NOT IN (SELECT query, doc_id FROM pairs)
        QUALIFY rank <= 20"""
    run(setting, prepare, {"related": related, "documents": documents})


def w234(setting: Setting) -> None:
    for workload in (w2, w3, w4):
        workload(setting)


RUNS = {
    "chdb": {"W2": w2, "W3": w3, "W4": w4, "W5": w5, "W2+W3+W4": w234},
    "chdb_dict": {"W1": w1_dict},
}
