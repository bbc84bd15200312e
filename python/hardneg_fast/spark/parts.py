"""Parts of a release where executors keep them, and what is selected of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from ..config import Config
from ..curriculum import steps_together
from ..evidence import Evidence
from ..exceptions import DataError
from ..keys import Key
from ..measures import Measures, together
from ..whole import Whole
from .facts import Facts
from .sealing import facts_of, sealed_table, table_of
from .tasks import CHOSEN, RELEASED, SHARES, TRAVEL, Work

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Chosen", "Parts", "released"]


@contextmanager
def released(df: DataFrame, work: Work, key: Key) -> Iterator[Parts]:
    """What passed of each part of the queries; it stays with the executors, sealed, until this ends."""
    counted = df.mapInArrow(work.split(), TRAVEL).repartition(work.parts, "label").mapInArrow(work.count(), TRAVEL)
    made = counted.repartition(work.parts, "label").mapInArrow(work.release(), RELEASED).persist()
    parts = Parts(made, work, key)
    try:
        yield parts
    finally:
        parts.close()


AT_ONCE = 16
"""Parts whose figures the driver fetches together. Of more it takes some after the other, so that no limit of results
is met."""


class Parts:
    """Parts of a release, where executors keep them."""

    def __init__(self, made: DataFrame, work: Work, key: Key) -> None:
        self._released = made
        self.work, self.key = work, key
        self._kept = [made]

    @cached_property
    def facts(self) -> Facts:
        """Figures beside the tables, of all parts.

        Raises:
            DataError: the log has no rows.
        """
        rows = [*self.fetched(self._released, "facts")]
        if not rows:
            raise DataError("the log has no rows; a log needs at least one record")
        return Facts.of(facts_of(block, self.key) for (block,) in rows)

    def asked(self) -> pa.Table:
        """Users by query, of queries that may be named."""
        return pa.concat_tables([table_of(block, self.key) for (block,) in self.fetched(self._released, "asked")])

    def blocks(self) -> Iterator[bytes]:
        """What passed, sealed."""
        yield from (bytes(block) for (block,) in self.fetched(self._released, "block"))

    def fetched(self, df: DataFrame, *columns: str) -> Iterator[Any]:
        """Rows of a frame that is kept, made by all executors at once."""
        chosen = df.select(*columns)
        if self.work.parts <= AT_ONCE:
            yield from chosen.collect()
            return
        # What is fetched some at a time is made first, or it would be made one partition after the other.
        df.write.format("noop").mode("overwrite").save()
        yield from chosen.coalesce(min(-(-self.work.parts // AT_ONCE), 32)).toLocalIterator(prefetchPartitions=True)

    @contextmanager
    def kept(self, df: DataFrame) -> Iterator[DataFrame]:
        """Keeps what is made for as long as it is fetched; what is fetched together need not be kept."""
        if self.work.parts <= AT_ONCE:
            yield df
            return
        self.keep(df)
        try:
            yield df
        finally:
            self._kept.remove(df)
            df.unpersist()

    def keep(self, df: DataFrame) -> DataFrame:
        """Keeps what is made until the end."""
        self._kept.append(df.persist())
        return df

    def selected(self, config: Config, beside: Mapping[str, pa.Table]) -> Chosen:
        """Selects from every part, by what all of them know."""
        work = replace(self.work, config=replace(self.work.config, select=config.select))
        whole = Whole(work.parts, key=self.key, privacy=work.privacy, config=config)
        while (question := whole.question) is not None:
            with self.kept(self._released.select("block").mapInArrow(work.answer(question), "block binary")) as answers:
                whole.take(bytes(block) for (block,) in self.fetched(answers, "block"))
        given = {name: sealed_table(table, (0, work.parts), self.key) for name, table in beside.items()}
        outcomes: dict[int, bytes] = {}
        latest: dict[int, DataFrame] = {}
        again = [*range(work.parts)]
        while again:
            made = self.keep(self._with_shares(whole, again, work).mapInArrow(work.select(given), CHOSEN))
            outcomes |= {part: bytes(block) for part, block in self.fetched(made, "part", "outcome")}
            latest |= dict.fromkeys(again, made)
            again = whole.settle(outcomes.values())
        return Chosen(self, work, _united(latest), whole)

    def _with_shares(self, whole: Whole, parts: list[int], work: Work) -> DataFrame:
        """Each of some parts beside its share."""
        from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

        rows = [(work.labels[part], None, None, bytearray(whole.share(part))) for part in parts]
        shares = self._released.sparkSession.createDataFrame(rows, SHARES)
        wanted = self._released
        if len(parts) < work.parts:
            wanted = wanted.filter(F.col("label").isin([work.labels[part] for part in parts]))
        both = wanted.select("label", "block", "asked", F.lit(None).cast("binary").alias("share")).union(shares)
        return both.repartition(work.parts, "label")

    def close(self) -> None:
        """Lets go of all that executors keep."""
        for df in self._kept:
            df.unpersist()


def _united(latest: Mapping[int, DataFrame]) -> DataFrame:
    """A row for each part, of the frame that has its last selection; partition i, by the number of parts, is part i."""
    from pyspark.sql import functions as F  # noqa: N812 - as everybody calls them

    frames = [*{id(frame): frame for frame in latest.values()}.values()]
    if len(frames) == 1:
        return frames[0]
    chosen = [
        frame.filter(F.col("part").isin([part for part, of in latest.items() if of is frame])) for frame in frames
    ]
    united = chosen[0]
    for frame in chosen[1:]:
        united = united.union(frame)
    return united


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of all parts together."""

    funnel: dict[str, Any]
    measures: Measures
    rows: list[dict[str, int]]
    """By part: rows of each table."""
    columns: dict[str, list[tuple[str, str]]]
    """Of each table: names and Arrow types."""
    documents: list[str]
    """Some documents of each part, by their bytes."""


class Chosen:
    """What was selected of all parts: it stays where they are, and is gathered where a table is looked at."""

    gathered: ClassVar[bool] = False
    """What speaks for and against a document was known where its part was, and went with it."""

    def __init__(self, parts: Parts, work: Work, frame: DataFrame, whole: Whole) -> None:
        self.parts, self.work, self.frame = parts, work, frame
        self.told: Any = whole.told
        self.weighed: Evidence = whole.evidence

    @cached_property
    def figures(self) -> Figures:
        """Figures of all parts."""
        rows = self.parts.fetched(self.frame, "part", "facts")
        by_part = {part: facts_of(block, self.parts.key) for part, block in rows}
        every = [by_part[part] for part in range(self.work.parts)]
        return Figures(
            funnel=_added([each["funnel"] for each in every]),
            measures=together([each["measures"] for each in every]),
            rows=[each["rows"] for each in every],
            columns=every[0]["columns"],
            documents=sorted((doc for each in every for doc in each["documents"]), key=str.encode),
        )

    @property
    def funnel(self) -> dict[str, Any]:
        """As `Selected.funnel`, of all parts."""
        return self.figures.funnel

    @cached_property
    def negatives(self) -> pa.Table:
        """The table, gathered, in the order of the parts; so are the others."""
        return self._table("negatives")

    @cached_property
    def positives(self) -> pa.Table:
        """query, doc_id."""
        return self._table("positives")

    @cached_property
    def triplets(self) -> pa.Table:
        """Training rows, of ids."""
        return self._table("triplets")

    def steps(self) -> pa.Table:
        """What the curriculum goes by."""
        return steps_together(self._table("steps"))

    def _table(self, name: str) -> pa.Table:
        rows = self.parts.fetched(self.frame, "part", name)
        found = {part: table_of(block, self.parts.key) for part, block in rows}
        return pa.concat_tables([found[part] for part in range(self.work.parts)]).combine_chunks()


def _added(funnels: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of all parts; what is off is off in each."""
    total = funnels[0]
    for funnel in funnels[1:]:
        for name, value in funnel.items():
            if name == "rules_off":
                continue
            if isinstance(value, dict):
                for key, n in value.items():
                    total[name][key] = total[name].get(key, 0) + n
            else:
                total[name] += value
    return {name: dict(sorted(value.items())) if isinstance(value, dict) else value for name, value in total.items()}
