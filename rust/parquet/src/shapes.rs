//! What the fields of page headers and footers are (Apache Parquet format, `parquet.thrift`).
//!
//! The `parquet` crate reads a field that it knows as what it should be, whatever the bytes say that it is. Where the two
//! differ, it goes on in the middle of something, and finds lists of any length there: minutes, or all memory, for a few
//! bytes. So it is shown only what has these shapes: every field that it reads. Fields that it steps over may be anything.

use crate::thrift::Shape::{self, Byte, Bytes, Double, Flag, Integer, List, Struct};

/// Of a page.
pub(crate) static PAGE_HEADER: Shape = Struct(&[
    (1, Integer),
    (2, Integer),
    (3, Integer),
    (4, Integer),
    (5, Struct(&[(1, Integer), (2, Integer), (3, Integer), (4, Integer), (5, STATISTICS)])),
    (6, Struct(&[])),
    (7, Struct(&[(1, Integer), (2, Integer), (3, Flag)])),
    (
        8,
        Struct(&[
            (1, Integer),
            (2, Integer),
            (3, Integer),
            (4, Integer),
            (5, Integer),
            (6, Integer),
            (7, Flag),
            (8, STATISTICS),
        ]),
    ),
]);

/// Of a file: `FileMetaData`.
pub(crate) static FOOTER: Shape = Struct(&[
    (1, Integer),
    (2, List(&SCHEMA_ELEMENT)),
    (3, Integer),
    (4, List(&ROW_GROUP)),
    (5, List(&KEY_VALUE)),
    (6, Bytes),
    (7, List(&Struct(&[(1, Struct(&[]))]))),
    (8, Struct(&[])),
    (9, Bytes),
]);

const STATISTICS: Shape = Struct(&[
    (1, Bytes),
    (2, Bytes),
    (3, Integer),
    (4, Integer),
    (5, Bytes),
    (6, Bytes),
    (7, Flag),
    (8, Flag),
]);

static SCHEMA_ELEMENT: Shape = Struct(&[
    (1, Integer),
    (2, Integer),
    (3, Integer),
    (4, Bytes),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, Integer),
    (9, Integer),
    (10, LOGICAL_TYPE),
]);

const UNIT: Shape = Struct(&[(1, Struct(&[])), (2, Struct(&[])), (3, Struct(&[]))]);

const LOGICAL_TYPE: Shape = Struct(&[
    (1, Struct(&[])),
    (2, Struct(&[])),
    (3, Struct(&[])),
    (4, Struct(&[])),
    (5, Struct(&[(1, Integer), (2, Integer)])),
    (6, Struct(&[])),
    (7, Struct(&[(1, Flag), (2, UNIT)])),
    (8, Struct(&[(1, Flag), (2, UNIT)])),
    (10, Struct(&[(1, Byte), (2, Flag)])),
    (11, Struct(&[])),
    (12, Struct(&[])),
    (13, Struct(&[])),
    (14, Struct(&[])),
    (15, Struct(&[])),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Bytes)])),
    (18, Struct(&[(1, Bytes), (2, Integer)])),
]);

static KEY_VALUE: Shape = Struct(&[(1, Bytes), (2, Bytes)]);

static ROW_GROUP: Shape = Struct(&[
    (1, List(&COLUMN_CHUNK)),
    (2, Integer),
    (3, Integer),
    (4, List(&Struct(&[(1, Integer), (2, Flag), (3, Flag)]))),
    (5, Integer),
    (6, Integer),
    (7, Integer),
]);

static COLUMN_CHUNK: Shape = Struct(&[
    (1, Bytes),
    (2, Integer),
    (3, COLUMN),
    (4, Integer),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, Struct(&[])),
    (9, Bytes),
]);

/// `ColumnMetaData`.
const COLUMN: Shape = Struct(&[
    (1, Integer),
    (2, List(&Integer)),
    (3, List(&Bytes)),
    (4, Integer),
    (5, Integer),
    (6, Integer),
    (7, Integer),
    (8, List(&KEY_VALUE)),
    (9, Integer),
    (10, Integer),
    (11, Integer),
    (12, STATISTICS),
    (13, List(&Struct(&[(1, Integer), (2, Integer), (3, Integer)]))),
    (14, Integer),
    (15, Integer),
    (16, Struct(&[(1, Integer), (2, List(&Integer)), (3, List(&Integer))])),
    (17, Struct(&[(1, BOX), (2, List(&Integer))])),
]);

/// `BoundingBox`, of geospatial statistics.
const BOX: Shape = Struct(&[
    (1, Double),
    (2, Double),
    (3, Double),
    (4, Double),
    (5, Double),
    (6, Double),
    (7, Double),
    (8, Double),
]);
