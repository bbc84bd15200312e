//! Alike queries: what they tell is the same, to the bit, at any memory budget and number of threads.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use hardneg_core::clean::{CountConfig, Robots};
use hardneg_core::evidence::{EvidenceConfig, evidence};
use hardneg_core::given::Beside;
use hardneg_core::pulse::Pulse;
use hardneg_core::release::{everything, k_users};
use hardneg_core::seed::Seed;
use hardneg_core::select::{SelectConfig, explain};
use hardneg_core::triplets::selection;

mod common;
use common::{config, count_within, pieces, reader};

const PAGES: u64 = 2_000;
const RANKS: u64 = 6;

/// Numbers that look like chance and are the same in every run.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// Queries of two words share words with many others, and documents with those of their first word; of `users`.
fn log(users: u64) -> RecordBatch {
    let rows = || (0..PAGES * RANKS).map(|n| (n / RANKS, n % RANKS));
    let query = |page: u64| (mix(page) % 20, mix(page + 7) % 8);
    let text = |of: &dyn Fn(u64, u64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows().map(|(page, rank)| of(page, rank))))
    };
    let doc = |page: u64, rank: u64| query(page).0 * 16 + (mix(page) / 20 + rank * 5) % 16;
    // A fourth of all documents are what most who look at them want, and fewer look further down.
    let wanted = |doc: u64| if mix(doc).is_multiple_of(4) { 80 } else { 4 };
    let clicked = rows()
        .map(|(page, rank)| Some(mix(page * RANKS + rank) % 100 < 3 * wanted(doc(page, rank)) / (3 + rank)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", text(&|page, _| format!("user {}", mix(page + 3) % users))),
        ("search_id", text(&|page, _| format!("page {page}"))),
        ("query", text(&|page, _| format!("word{} other{}", query(page).0, query(page).1))),
        ("doc_id", text(&|page, rank| format!("document {}", doc(page, rank)))),
        ("position", Arc::new(Int64Array::from_iter_values(rows().map(|(_, rank)| rank as i64 + 1)))),
        ("clicked", Arc::new(BooleanArray::from_iter(clicked))),
    ];
    RecordBatch::try_from_iter(columns).expect("equal lengths")
}

/// Everything that selection yields, and says of one query's documents, floats by their bits.
fn selected(log: &RecordBatch, k: Option<u32>, memory: usize, threads: usize) -> Vec<String> {
    let config = CountConfig { robots: Robots::Keep, max_position: 10, ..config() };
    let reader = reader(log.schema(), pieces(log, 1_000));
    let folder = std::env::temp_dir();
    let counts = count_within(memory, &folder, &config, 1, reader, threads, &mut |_| Ok(())).expect("a log");
    let (seed, mut pulse) = (Seed::new(3), Pulse::silent());
    let released = match k {
        Some(k) => k_users(&counts, k, &mut pulse).expect("users"),
        None => everything(&counts),
    };
    let weighing: EvidenceConfig = serde_json::from_str(
        r#"{"shrinkage": 1.0, "page_depth": 10, "debias": "pbm", "propensities": [], "bound": 0.9}"#,
    )
    .expect("options");
    let selecting: SelectConfig = serde_json::from_str(
        r#"{"rules": ["shown_not_clicked", "clicked_for_related"], "positive_users": 1, "positive_p_relevant": 0.5,
        "positive_coec": 1.0, "max_positives_per_query": 4, "own_positive": "satisfied", "own_positive_users": 2,
        "alike_clicks": 0.1, "alike_words": 0.3, "same_intent_clicks": 0.8, "same_intent_words": 0.9, "chain_users": 0,
        "max_attractiveness": 1.0, "min_examinations": 0.0, "alpha": 1.0, "negative_coec": 2.0, "min_impressions": 1,
        "max_ctr_upper": 1.0, "max_p_false_negative": 1.0, "target_fnr": 0.2, "top_positions": 10.0, "abandoned": "drop",
        "duplicate_words": 1.0, "duplicate_vectors": 1.0, "max_score": null, "min_score": null, "absolute_margin": null,
        "relative_margin": null, "order": "random", "ambiguous_a": 1.0, "ambiguous_b": 0.0,
        "max_negatives_per_query": 10, "semi_negatives": 0, "easy_negatives": 2, "fill": "none", "draw": "uniform",
        "retrieved_from": 30, "retrieved_to": 200, "max_queries_per_document": 1000, "num_negatives": 1,
        "refill": "drop", "validation": 0.5}"#,
    )
    .expect("options");
    let evidence =
        evidence(Arc::new(released), &weighing, seed, threads, &mut pulse).expect("a log of positions");
    assert!(evidence.relevance.is_ok(), "nothing would be told");
    let made =
        selection(&evidence, Beside::default(), &selecting, seed, threads, &mut pulse).expect("options");
    let spilled = evidence.released.tables.budget().spill().written();
    assert_eq!(spilled > 0, memory < 1 << 20, "{spilled} bytes spilled");
    let of = |n: &hardneg_core::select::Negative| {
        format!("{} {:?} {} {:x}", n.query, n.positive, n.pair.doc, n.p_false_negative.to_bits())
    };
    let mut out: Vec<String> = made.selected.negatives.iter().map(of).collect();
    let query = made.selected.positives[0].query;
    let explained = explain(&evidence, &made.knowledge, &selecting, &made.selected, seed, query);
    let all = explained.expect("a spill that can be read").expect("released");
    assert!(all.iter().any(|one| one.told.0 > 0), "nothing was told");
    out.extend(all.iter().map(|e| format!("{:?} {:?} {:x}", e.outcome, e.told, e.p_relevant.to_bits())));
    out.push(format!("{:?} {:?}", made.selected.validation, made.selected.yields));
    out.push(format!("{:?}", made.knowledge.alike.agreement()));
    out
}

#[test]
fn the_same_selection_at_any_budget() {
    for (log, k) in [(log(900), None), (log(60), Some(2))] {
        let roomy = selected(&log, k, 1 << 30, 2);
        assert!(roomy.len() > 300, "{}", roomy.len());
        for (memory, threads) in [(1 << 12, 1), (1 << 16, 2), (1 << 18, 3), (1 << 22, 1)] {
            assert_eq!(selected(&log, k, memory, threads), roomy, "{memory} bytes, k {k:?}");
        }
    }
}
