//! Related queries: the kernel equals its naive twin for any clicks and thread count, and streams of clicks are summed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int64Array, RecordBatch, RecordBatchIterator, StringArray,
    types::Int32Type,
};
use hardneg_core::batches::Shared;
use hardneg_core::coded::Queries;
use hardneg_core::error::ErrorKind;
use hardneg_core::related::{COSINE_UNIT, Clicks, Related, RelatedConfig, related};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

type Table = BTreeMap<(u64, u64), u32>;
/// (query, related, cosine, rank) and (query, document, score, rank), in units of the cosine.
type Rows = (Vec<(u64, u64, u64, u32)>, Vec<(u64, u64, u64, u32)>);

fn run(clicks: &Table, config: &RelatedConfig, threads: usize) -> Related {
    let (queries, docs): (Vec<u64>, Vec<u64>) = clicks.keys().copied().unzip();
    let clicks: Vec<u32> = clicks.values().copied().collect();
    related(&queries, &docs, &clicks, config, threads, &mut |_| Ok(())).unwrap()
}

fn fast(clicks: &Table, config: &RelatedConfig, threads: usize) -> Rows {
    let found = run(clicks, config, threads);
    let query = |i: u32| found.queries[i as usize];
    let related =
        found.related.iter().map(|r| (query(r.query), query(r.related), r.cosine.into(), r.rank)).collect();
    let documents = found
        .documents
        .iter()
        .map(|r| (query(r.query), found.docs[r.doc as usize], r.score, r.rank))
        .collect();
    (related, documents)
}

fn naive(clicks: &Table, config: &RelatedConfig) -> Rows {
    let clicks: Table = clicks.iter().filter(|(_, n)| **n > 0).map(|(k, n)| (*k, *n)).collect();
    let queries: BTreeSet<u64> = clicks.keys().map(|k| k.0).collect();
    let docs: BTreeSet<u64> = clicks.keys().map(|k| k.1).collect();
    let of = |q: u64, d: u64| u64::from(*clicks.get(&(q, d)).unwrap_or(&0));
    let degree = |d: u64| queries.iter().filter(|q| of(**q, d) > 0).count();
    let within = config.min_queries_per_document..=config.max_queries_per_document;
    let graph: Vec<u64> = docs.iter().copied().filter(|d| within.contains(&degree(*d))).collect();
    let dot = |a: u64, b: u64| graph.iter().map(|d| of(a, *d) * of(b, *d)).sum::<u64>();
    let mut out = Rows::default();
    for &q in &queries {
        let mut near: Vec<(u64, u64)> = Vec::new();
        for &other in queries.iter().filter(|o| **o != q && dot(q, **o) > 0) {
            let norms = u128::from(dot(q, q)) * u128::from(dot(other, other));
            let cosine = dot(q, other) as f64 / (norms as f64).sqrt();
            near.push(((cosine * f64::from(1 << 30) + 0.5).floor() as u64, other));
        }
        near.sort_by_key(|(cosine, other)| (u64::MAX - cosine, *other));
        near.truncate(config.top_related);
        let score = |d: u64| near.iter().map(|(cosine, other)| cosine * of(*other, d)).sum::<u64>();
        let mut best: Vec<(u64, u64)> = docs.iter().map(|d| (score(*d), *d)).collect();
        best.retain(|(score, d)| *score > 0 && of(q, *d) == 0);
        best.sort_by_key(|(score, d)| (u64::MAX - score, *d));
        best.truncate(config.top_documents);
        out.0.extend(near.iter().zip(1..).map(|((cosine, other), rank)| (q, *other, *cosine, rank)));
        out.1.extend(best.iter().zip(1..).map(|((score, d), rank)| (q, *d, *score, rank)));
    }
    out
}

fn config() -> impl Strategy<Value = RelatedConfig> {
    (0..5_usize, 0..4_usize, 0..9_usize, 0..5_usize).prop_map(|(top_related, min, max, top_documents)| {
        RelatedConfig {
            top_related,
            min_queries_per_document: min,
            max_queries_per_document: max,
            top_documents,
        }
    })
}

/// Clicks of few queries and documents, by codes that are small, or far apart.
fn clicks() -> impl Strategy<Value = Table> {
    let far = |code: u64| u64::MAX - 7_919 * code;
    let counts = prop_oneof![8 => 0..4_u32, 1 => any::<u32>().prop_map(|n| n >> 4)];
    (btree_map((0..12_u64, 0..10_u64), counts, 0..60), any::<bool>(), any::<bool>()).prop_map(
        move |(table, far_queries, far_docs)| {
            let code = |code: u64, is_far: bool| if is_far { far(code) } else { code };
            table.into_iter().map(|((q, d), n)| ((code(q, far_queries), code(d, far_docs)), n)).collect()
        },
    )
}

proptest! {
    #[test]
    fn equals_the_naive_twin(clicks in clicks(), config in config(), threads in 0..4_usize) {
        prop_assert_eq!(fast(&clicks, &config, threads), naive(&clicks, &config));
    }
}

const CONFIG: RelatedConfig = RelatedConfig {
    top_related: 10,
    min_queries_per_document: 2,
    max_queries_per_document: 200,
    top_documents: 20,
};

/// More queries than a worker takes at a time, and every thread count alike.
#[test]
fn thread_counts_agree() {
    let pairs = (0..40_000_u64).map(|i| {
        let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        ((mixed % 1_500, mixed / 1_500 % 900), (mixed % 7) as u32)
    });
    let clicks: Table = pairs.collect();
    let config = RelatedConfig { max_queries_per_document: 40, ..CONFIG };
    let one = run(&clicks, &config, 1);
    assert!(one.related.len() > 10_000 && one.documents.len() > 10_000);
    for threads in [0, 2, 3, 8] {
        assert!(run(&clicks, &config, threads) == one, "{threads} threads");
    }
}

#[test]
fn equal_directions_are_equal_whatever_their_length() {
    // 7 : 7 and 3 : 3 point where 1 : 1 does; divisions of roots would tell them apart in the last digit.
    let clicks =
        [(1, 1), (2, 7), (3, 3), (4, 11)].iter().flat_map(|&(q, n)| [((q, 1), n), ((q, 2), n)]).collect();
    let found = fast(&clicks, &CONFIG, 1).0;
    assert!(found.iter().all(|r| r.2 as f64 * COSINE_UNIT == 1.0));
    assert_eq!(found.iter().filter(|r| r.0 == 3).map(|r| r.1).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn refusals_are_named() {
    let ask =
        |q: &[u64], d: &[u64], c: &[u32]| related(q, d, c, &CONFIG, 1, &mut |_| Ok(())).map_err(|e| e.kind());
    assert_eq!(ask(&[2, 1], &[1, 1], &[1, 1]), Err(ErrorKind::Internal));
    assert_eq!(ask(&[1, 1], &[1, 1], &[1, 1]), Err(ErrorKind::Internal));
    assert_eq!(ask(&[1], &[1], &[]), Err(ErrorKind::Internal));
    let most = u32::MAX;
    assert_eq!(ask(&[1, 1, 2, 2], &[1, 2, 1, 2], &[most; 4]), Err(ErrorKind::Data));
    assert!(ask(&[1, 2], &[1, 1], &[most; 2]).is_ok());
    assert_eq!(ask(&[], &[], &[]), Ok(Related::default()));
}

fn reader(batches: Vec<Vec<(&'static str, ArrayRef)>>) -> Shared {
    let batches: Vec<RecordBatch> =
        batches.into_iter().map(|columns| RecordBatch::try_from_iter(columns).unwrap()).collect();
    let schema = batches[0].schema();
    Shared::new(Box::new(RecordBatchIterator::new(batches.into_iter().map(Ok), schema)))
}

/// Clicks by (query, document), and rows set aside by reason.
type ReadClicks = (BTreeMap<(String, String), u32>, BTreeMap<&'static str, u64>);

fn read(log: Shared, queries: Queries) -> ReadClicks {
    let clicks = Clicks::read(&log, queries, 2, &mut |_| Ok(())).unwrap();
    let texts = clicks
        .queries
        .iter()
        .zip(&clicks.docs)
        .map(|(q, d)| (clicks.query_strings.get(*q).to_owned(), clicks.doc_strings.get(*d).to_owned()));
    let read = clicks.read.quarantine.clone();
    (texts.zip(clicks.clicks.iter().copied()).collect(), read)
}

proptest! {
    /// Clicked rows as plain text and as dictionaries, in batches of any size, sum to what a map sums them to.
    #[test]
    fn streams_are_summed(
        rows in vec((0..6_usize, 0..5_usize, prop::option::of(any::<bool>())), 1..80),
        size in 1..20_usize,
        dictionaries in any::<bool>(),
        normalize in any::<bool>(),
    ) {
        let texts = [Some("a"), Some("A"), Some(" b "), Some("b"), Some(""), Some("\u{0} ")];
        let docs = [Some("x"), Some("y"), Some("z"), Some(""), None];
        let column = |values: Vec<Option<&str>>| -> ArrayRef {
            if dictionaries {
                Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
            } else {
                Arc::new(StringArray::from(values))
            }
        };
        let batches = rows.chunks(size).map(|rows| vec![
            ("query", column(rows.iter().map(|r| texts[r.0]).collect())),
            ("doc_id", column(rows.iter().map(|r| docs[r.1]).collect())),
            ("clicked", Arc::new(BooleanArray::from_iter(rows.iter().map(|r| r.2))) as ArrayRef),
        ]);
        let mut expected: BTreeMap<(String, String), u32> = BTreeMap::new();
        let mut bad: BTreeMap<&'static str, u64> = BTreeMap::new();
        for &(query, doc, clicked) in &rows {
            let query = match (texts[query].unwrap_or_default(), normalize) {
                (text, false) => text.to_owned(),
                (text, true) => text.trim_matches([' ', '\u{0}']).to_lowercase(),
            };
            match (clicked, query.as_str(), docs[doc].unwrap_or_default()) {
                (None, ..) => *bad.entry("null_clicked").or_default() += 1,
                (Some(false), ..) => {}
                (_, _, "") => *bad.entry("null_doc_id").or_default() += 1,
                (_, "", _) => *bad.entry("null_query").or_default() += 1,
                (_, query, doc) => *expected.entry((query.to_owned(), doc.to_owned())).or_default() += 1,
            }
        }
        let how = if normalize { Queries::Normalized(None) } else { Queries::Given };
        prop_assert_eq!(read(reader(batches.collect()), how), (expected, bad));
    }
}

#[test]
fn counts_are_summed_and_what_is_none_is_told() {
    let clicks = [Some(2), None, Some(-1), Some(0), Some(3), Some(i64::MAX)];
    let batch = vec![
        ("query", Arc::new(StringArray::from(vec!["q"; 6])) as ArrayRef),
        ("doc_id", Arc::new(StringArray::from(vec!["d", "d", "d", "d", "d", "e"]))),
        ("clicks", Arc::new(Int64Array::from_iter(clicks))),
    ];
    let (found, bad) = read(reader(vec![batch.clone(), batch.clone()]), Queries::Given);
    let key = |doc: &str| ("q".to_owned(), doc.to_owned());
    assert_eq!(found, BTreeMap::from([(key("d"), 10), (key("e"), u32::MAX)]));
    assert_eq!(bad, BTreeMap::from([("clicks_impossible", 2), ("null_clicks", 2)]));

    let schema = |leave: usize, extra: Option<&'static str>| {
        let mut columns = batch.clone();
        columns.remove(leave);
        columns.extend(extra.map(|name| (name, batch[2].1.clone())));
        Clicks::read(&reader(vec![columns]), Queries::Given, 1, &mut |_| Ok(())).err().map(|e| e.kind())
    };
    assert_eq!(schema(0, None), Some(ErrorKind::Column));
    assert_eq!(schema(2, None), Some(ErrorKind::Column));
    assert_eq!(schema(0, Some("clicked")), Some(ErrorKind::Column));
}
