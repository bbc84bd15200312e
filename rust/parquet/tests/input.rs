//! What is read equals what the Parquet library's own reader yields, for files of all kinds; damaged files are errors.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod files;

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use files::{Layout, TempFile, any_log, write};
use hardneg_core::batches::Batches;
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_parquet::input::{Elsewhere, Of, ParquetInput, ParquetStream, Part, Place, open};
use hardneg_parquet::rewrite::{Column, copy};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use proptest::prelude::*;

fn pairs(names: &[&str]) -> Vec<(String, Of)> {
    names.iter().map(|n| (n.to_string(), Of::from(*n))).collect()
}

fn opened(path: &Path, names: &[&str], rows: usize) -> ParquetInput {
    open(&[path.into()], &pairs(names), rows).unwrap().expect("supported")
}

/// A file on another file system.
struct There {
    bytes: bytes::Bytes,
    asked: Mutex<Vec<Part>>,
}

impl Elsewhere for There {
    fn name(&self) -> &str {
        "there.parquet"
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn fetch(&self, parts: &[Part], _ahead: &[Part]) -> hardneg_core::error::Result<Vec<bytes::Bytes>> {
        self.asked.lock().unwrap().extend(parts);
        Ok(parts.iter().map(|&(at, len)| self.bytes.slice(at as usize..(at + len) as usize)).collect())
    }
}

/// Naive twin: the library's reader over the whole file.
fn library(path: &Path) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

/// Our reader over the whole file, columns by name, dictionaries unpacked.
fn ours(path: &Path, names: &[&str], batch_rows: usize) -> Vec<ArrayRef> {
    joined(opened(path, names, batch_rows), batch_rows)
}

/// All of an input, dictionaries unpacked.
fn joined(input: ParquetInput, batch_rows: usize) -> Vec<ArrayRef> {
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); Batches::schema(&input).fields().len()];
    let schema = Batches::schema(&input);
    while let Some(batch) = input.next() {
        let batch = batch.unwrap();
        assert!(batch.num_rows() <= batch_rows);
        for (part, column) in parts.iter_mut().zip(batch.columns()) {
            column.to_data().validate_full().unwrap();
            part.push(plain(column));
        }
    }
    let announced = |i: usize| match schema.field(i).data_type() {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        t => t.clone(),
    };
    let joined = |(i, part): (usize, &Vec<ArrayRef>)| {
        let part: Vec<&dyn Array> = part.iter().map(AsRef::as_ref).collect();
        match part.is_empty() {
            true => arrow_array::new_empty_array(&announced(i)),
            false => arrow_select::concat::concat(&part).unwrap(),
        }
    };
    parts.iter().enumerate().map(joined).collect()
}

/// Without the coding: text of whatever layout is one.
fn plain(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::LargeUtf8 => arrow_cast::cast(array, &DataType::Utf8).unwrap(),
        DataType::Dictionary(_, value) => arrow_cast::cast(array, value).unwrap(),
        _ => array.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_library((log, layout) in (any_log(), any::<Layout>()), batch_rows in 7_usize..300) {
        let file = TempFile::new();
        write(file.path(), &log, &layout);
        let expected = library(file.path());
        let names: Vec<&str> = log.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
        for ((ours, theirs), name) in ours(file.path(), &names, batch_rows).iter().zip(expected.columns()).zip(&names) {
            prop_assert_eq!(&plain(ours), &plain(theirs), "column {}", name);
        }
    }

    /// A file that lies elsewhere reads as one that is here, and is asked for what is in the columns, once.
    #[test]
    fn elsewhere_is_as_here(
        (log, layout) in (any_log(), any::<Layout>()),
        names in prop::sample::subsequence(vec!["text", "Int32", "decimal30", "texts", "results"], 1..5),
        batch_rows in 7_usize..300,
    ) {
        let file = TempFile::new();
        write(file.path(), &log, &layout);
        let there = Arc::new(There { bytes: std::fs::read(file.path()).unwrap().into(), asked: Mutex::default() });
        let input = open(&[Place::Elsewhere(there.clone())], &pairs(&names), batch_rows).unwrap().unwrap();
        prop_assert_eq!(joined(input, batch_rows), ours(file.path(), &names, batch_rows));
        let mut asked = there.asked.lock().unwrap().clone();
        asked.sort_unstable();
        prop_assert!(asked.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "{:?}", asked);
    }

    /// Damaged in whatever way: an error or values, never a panic or memory without bound.
    #[test]
    fn bears_damage(
        (log, layout) in (any_log(), any::<Layout>()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let file = TempFile::new();
        write(file.path(), &log, &layout);
        let mut bytes = std::fs::read(file.path()).unwrap();
        // Flips in the footer mostly make it unreadable; those in pages are the ones to look for.
        let end = bytes.len() * 3 / 4;
        for (at, mask) in &flips {
            bytes[at.index(end)] ^= mask;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(file.path(), &bytes).unwrap();
        let names: Vec<&str> = log.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
        let Ok(Some(input)) = open(&[file.path().into()], &pairs(&names), 100) else { return Ok(()) };
        while let Some(Ok(batch)) = input.next() {
            for column in batch.columns() {
                column.to_data().validate_full().unwrap();
            }
        }
        prop_assert!(input.next().is_none());
    }
}

#[test]
fn batches_of_a_row_group_share_their_dictionary() {
    let file = TempFile::new();
    let log = files::text_log(1000, 20);
    write(file.path(), &log, &Layout { group_rows: 500, ..Layout::default() });
    let input = opened(file.path(), &["t"], 100);
    let batches: Vec<RecordBatch> = std::iter::from_fn(|| input.next()).map(Result::unwrap).collect();
    assert_eq!(batches.len(), 10);
    let values = |i: usize| batches[i].column(0).as_dictionary::<Int32Type>().values().clone();
    for i in 1..10 {
        assert_eq!(Arc::ptr_eq(&values(i), &values(i - 1)), i != 5, "batch {i}");
    }
}

#[test]
fn threads_share_the_row_groups() {
    let file = TempFile::new();
    let log = files::text_log(5000, 50);
    for group_rows in [5000, 300] {
        write(file.path(), &log, &Layout { group_rows, ..Layout::default() });
        let input = opened(file.path(), &["t"], 70);
        assert_eq!(input.rows(), Some(5000));
        let rows: usize = std::thread::scope(|scope| {
            let read = || std::iter::from_fn(|| input.next()).map(|b| b.unwrap().num_rows()).sum::<usize>();
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert_eq!(rows, 5000);
    }
}

#[test]
fn text_that_is_not_utf8_arrives_as_binary() {
    for dictionary in [true, false] {
        for coding in [None, Some(Encoding::DELTA_LENGTH_BYTE_ARRAY), Some(Encoding::DELTA_BYTE_ARRAY)] {
            let file = TempFile::new();
            files::write_bytes_as_text(file.path(), &[b"fine", b"\xff\xfe", b"fine"], dictionary, coding);
            let input = opened(file.path(), &["t"], 10);
            let batch = input.next().unwrap().unwrap();
            let column = plain(batch.column(0));
            assert_eq!(column.data_type(), &DataType::Binary);
            let values: Vec<&[u8]> = column.as_binary::<i32>().iter().map(Option::unwrap).collect();
            assert_eq!(values, [b"fine" as &[u8], b"\xff\xfe", b"fine"]);
            // A stream that is held to its schema says so instead.
            let mut stream = ParquetStream::new(opened(file.path(), &["t"], 10));
            assert!(stream.next().unwrap().unwrap_err().to_string().contains("not UTF-8"));
            assert!(stream.next().is_none());
        }
    }
}

#[test]
fn what_another_reader_must_do_is_known_at_opening() {
    let file = TempFile::new();
    write(file.path(), &files::nested_log(), &Layout::default());
    let opened = |of: Of| open(&[file.path().into()], &[("column".into(), of)], 10).unwrap();
    for path in ["nothing", "s.y", "list.list", "list.list.element"] {
        assert!(opened(path.into()).is_none(), "{path}");
    }
    for path in ["list", "s", "s.x"] {
        assert!(opened(path.into()).is_some(), "{path}");
    }
    assert!(opened(Of::Leaf(2)).is_some() && opened(Of::Leaf(3)).is_none());
    let other = TempFile::new();
    write(other.path(), &files::text_log(10, 3), &Layout::default());
    let both = [Place::from(file.path()), Place::from(other.path())];
    assert!(open(&both, &pairs(&["t"]), 10).unwrap().is_none());
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let file = TempFile::new();
    let name = file.path().file_name().unwrap().to_str().unwrap().to_string();
    let message =
        |result: hardneg_core::error::Result<Option<ParquetInput>>| result.err().unwrap().to_string();
    let missing = message(open(&["/nowhere/log.parquet".into()], &pairs(&["t"]), 10));
    assert_eq!(missing, "log.parquet: no such file, or it vanished while the log was read");
    std::fs::write(file.path(), "query,doc_id\nsecret,1\n").unwrap();
    let text = message(open(&[file.path().into()], &pairs(&["t"]), 10));
    assert!(text.starts_with(&format!("{name}: not a Parquet file")), "{text}");
    assert!(message(open(&[], &pairs(&["t"]), 10)).contains("needs a file"));
}

#[test]
fn a_file_that_changes_or_vanishes_while_it_is_read_is_an_error() {
    for vanish in [false, true] {
        let file = TempFile::new();
        write(file.path(), &files::text_log(100, 5), &Layout { group_rows: 50, ..Layout::default() });
        let input = opened(file.path(), &["t"], 50);
        assert!(input.next().unwrap().is_ok());
        match vanish {
            true => std::fs::remove_file(file.path()).unwrap(),
            false => write(file.path(), &files::text_log(90, 5), &Layout::default()),
        }
        let error = input.next().unwrap().unwrap_err().to_string();
        assert!(error.contains(if vanish { "vanished" } else { "changed while it was read" }), "{error}");
        assert!(input.next().is_none());
    }
}

#[test]
fn fields_of_null_structs_are_null() {
    for v2 in [false, true] {
        let file = TempFile::new();
        write(file.path(), &files::struct_log(1000), &Layout { v2, page_rows: 130, ..Layout::default() });
        let expected = library(file.path());
        let read = ours(file.path(), &["a.b.t", "a.b.n", "a.b.f"], 64);
        let a = expected.column(0).as_struct();
        let b = a.column(0).as_struct();
        for (ours, field) in read.iter().zip(b.columns()) {
            for i in 0..1000 {
                let null = a.is_null(i) || b.is_null(i) || field.is_null(i);
                assert_eq!(ours.is_null(i), null, "row {i}");
                if !null {
                    assert_eq!(ours.slice(i, 1).to_data(), field.slice(i, 1).to_data());
                }
            }
        }
    }
}

#[test]
fn a_file_without_rows_has_no_batches() {
    let file = TempFile::new();
    write(file.path(), &files::text_log(0, 1), &Layout::default());
    let input = opened(file.path(), &["t"], 10);
    assert_eq!(input.rows(), Some(0));
    assert!(input.next().is_none());
}

#[test]
fn int96_are_timestamps() {
    let file = TempFile::new();
    let expected = files::write_int96(file.path());
    let read = ours(file.path(), &["t"], 10);
    assert_eq!(read[0].as_primitive::<TimestampNanosecondType>().values(), &expected[..]);
}

/// A list of two thousand million flags, which take the library no byte but minutes to step over.
const BOMB: [u8; 8] = [0x69, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00];

#[test]
fn lists_without_end_in_headers_and_footers_are_refused() {
    let file = TempFile::new();
    write(file.path(), &files::text_log(300, 5), &Layout::default());
    let whole = std::fs::read(file.path()).unwrap();
    let first_of = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).unwrap();
        open(&[file.path().into()], &pairs(&["t"]), 100)
            .map(|input| input.expect("supported").next().unwrap().is_ok())
    };
    assert_eq!(first_of(&whole).ok(), Some(true));
    let mut header = whole.clone();
    header[4..18].copy_from_slice(&[&[0x15, 0x04, 0x15, 0x0c, 0x15, 0x0c], &BOMB[..]].concat());
    assert_eq!(first_of(&header).ok(), Some(false));
    let footer = [&[0x15, 0x02], &BOMB[..]].concat();
    let bytes = [&whole[..whole.len() / 2], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    assert!(first_of(&bytes).is_err());
}

/// As many as a page claims, memory was taken for: 2^60 numbers of four bytes ended the process.
#[test]
fn values_without_end_in_delta_pages_are_refused() {
    let values: Vec<Vec<u8>> = (0..300).map(|i| format!("{} {i}", "x".repeat(i % 7)).into_bytes()).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    for coding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
        let file = TempFile::new();
        files::write_bytes_as_text(file.path(), &values, false, Some(coding));
        let read = ours(file.path(), &["t"], 70);
        assert!(
            plain(&read[0])
                .as_string::<i32>()
                .iter()
                .map(|v| v.unwrap().as_bytes())
                .eq(values.iter().copied())
        );
        let whole = std::fs::read(file.path()).unwrap();
        // Blocks of 128 numbers in four parts, 300 numbers: once for each of what the coding has numbers of.
        let heads: Vec<usize> =
            (0..whole.len() - 5).filter(|&i| whole[i..i + 5] == [0x80, 0x01, 4, 0xac, 0x02]).collect();
        assert_eq!(heads.len(), if coding == Encoding::DELTA_BYTE_ARRAY { 2 } else { 1 });
        for head in heads {
            let mut bytes = whole.clone();
            bytes[head + 3..head + 12]
                .copy_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
            std::fs::write(file.path(), &bytes).unwrap();
            let error = opened(file.path(), &["t"], 70).next().unwrap().unwrap_err().to_string();
            assert!(error.contains("a page is not what its header says"), "{error}");
            // Copies decode them too, where they make pseudonyms of what has no dictionary.
            let key = MasterKey::new(&[7; 32]).unwrap();
            let pseudonyms = Some(Pseudonymizer::new(&key, "user_id", "", "").unwrap());
            let column = Column { name: "user_id".into(), path: "t".into(), pseudonyms };
            let out = std::fs::File::create(TempFile::new().path()).unwrap();
            assert!(copy(&[file.path().into()], &[column], out, 1, &mut || Ok(())).is_err());
        }
    }
}

/// Files that fuzzing found: a page header whose field is of another type than the format's took the library seconds and
/// more, for it went on in the middle of a number; an Arrow schema without fields made it panic.
#[test]
fn parts_that_are_not_of_their_types_are_refused() {
    let header = include_bytes!("../../../tests/data/damaged/page_header.parquet");
    let schema = include_bytes!("../../../tests/data/damaged/arrow_schema.parquet");
    let file = TempFile::new();
    std::fs::write(file.path(), header).unwrap();
    let key = MasterKey::new(&[7; 32]).unwrap();
    let pseudonyms = Some(Pseudonymizer::new(&key, "user_id", "", "").unwrap());
    let column = Column { name: "user_id".into(), path: "t".into(), pseudonyms };
    let out = std::fs::File::create(TempFile::new().path()).unwrap();
    assert!(copy(&[file.path().into()], &[column], out, 1, &mut || Ok(())).is_err());
    std::fs::write(file.path(), schema).unwrap();
    let error = open(&[file.path().into()], &pairs(&["t"]), 70).err().unwrap().to_string();
    assert!(error.contains("the footer is not what it says"), "{error}");
}
