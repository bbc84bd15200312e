"""Croissant 1.0: the dataset directory's tables, described for machines, with the privacy statement in its place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from ..writers.parquet import write_parts
from ..writers.privacy_words import statement
from ..writers.stable_json import to_json
from .job import Job, Target

CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
"""The context that the specification fixes."""
CONFIGS = ("negatives", "positives", "queries", "documents")


def _write(job: Job) -> None:
    files, records = [], []
    for config in CONFIGS:
        table, name = job.source.tables[config], f"{config}/train.parquet"
        (job.out / config).mkdir()
        write_parts(job.out / name, table.schema, [table])
        files.append(_file(job.out / name, name))
        records.append(_record_set(config, name, table))
        job.rows[name] = table.num_rows
    headline, paragraphs = statement(job.source.privacy, job.source.report.get("release", {}))
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "hard_negatives_from_click_logs",
        "description": "Queries, documents that satisfied them, and hard negatives, mined from a search log.",
        "version": "1.0.0",
        "rai:personalSensitiveInformation": " ".join([f"{headline}.", *paragraphs]),
        "rai:dataCollection": "Clicks in a search log, counted per query and document, with position bias allowed for.",
        "rai:dataLimitations": "A negative is a document that users passed over; some are relevant all the same.",
        "distribution": files,
        "recordSet": records,
    }
    (job.out / "croissant.json").write_bytes(to_json(content))


def _file(path: Path, name: str) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "sha256": digest,
            "contentSize": f"{path.stat().st_size} B", "encodingFormat": "application/x-parquet"}  # fmt: skip


def _record_set(config: str, file: str, table: pa.Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{config}/{field.name}",
                "name": f"{config}/{field.name}",
                "dataType": _type(field.type),
                "source": {"fileObject": {"@id": file}, "extract": {"column": field.name}},
            }
            for field in table.schema
        ],
    }


def _type(kind: pa.DataType) -> str:
    return "sc:Integer" if pat.is_integer(kind) else "sc:Float" if pat.is_floating(kind) else "sc:Text"


TARGET = Target(
    name="croissant",
    about="Croissant 1.0: the tables, and metadata with the privacy statement",
    files=("croissant.json", *CONFIGS),
    write=_write,
    load="""import mlcroissant

negatives = mlcroissant.Dataset("DIR/croissant.json").records("negatives")""",
    text=False,
    configs=CONFIGS,
)
