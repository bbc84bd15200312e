//! Private releases: whole users and nothing of others, vectors of unit length, noise on every cell, thresholds kept.
//!
//! With the least noise there is (σ = 1 on a grid of 2^20) sums can be compared with a few obvious lines.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::{BTreeMap, BTreeSet};

use hardneg_core::contributions::{Contribution, Contributions};
use hardneg_core::dp::clicks::{Clicks, Listed, clicks};
use hardneg_core::dp::selection::{Key, Round, Selection, queries};
use hardneg_core::dp::unit::UNIT;
use hardneg_core::error::Result;
use hardneg_core::pulse::Pulse;
use proptest::prelude::*;

mod common;
use common::{Event, contribute, events};

/// More than |noise| of σ = 1 ever is: a normal deviate beyond 12 has a probability of 10⁻³².
const NOISE: i64 = 13;

type Record = BTreeMap<u64, Vec<(u64, u16, bool)>>;

/// Records without the order of a user's queries, which is a secret of the run.
fn records(contributions: &Contributions) -> Vec<Record> {
    let mut out = Vec::new();
    let plain = |d: &Contribution| (d.doc, d.position, d.clicked);
    for part in 0..contributions.parts.len() {
        contributions
            .part(part, |user| {
                out.push(
                    user.iter().map(|(query, docs)| (query, docs.iter().map(plain).collect())).collect(),
                );
                Ok(())
            })
            .unwrap();
    }
    out.sort();
    out
}

fn selection(rounds: usize, max_items: usize, threshold: i64) -> Selection {
    let round = |i| Round { threshold, bias: if i + 1 < rounds { vec![1 << 15] } else { vec![] } };
    Selection { max_items, sigma: 1, rounds: (0..rounds).map(round).collect() }
}

fn select(contributions: &Contributions, selection: &Selection, threads: usize) -> Vec<Key> {
    queries(contributions, selection, threads, &mut Pulse::silent()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Add or remove a user, and all others' records are what they were, to the last byte.
    #[test]
    fn a_record_is_its_users_alone(
        (log, turned) in events(80).prop_flat_map(|log| (Just(log.clone()), Just(log).prop_shuffle())),
        shown in any::<bool>(),
        size in 1..90_usize,
        threads in 1..4_usize,
    ) {
        let together = records(&contribute(&turned, shown, size, threads));
        let users: BTreeSet<u8> = log.iter().map(|e| e.user).collect();
        let mut alone: Vec<Record> = users
            .iter()
            .flat_map(|user| {
                let own: Vec<Event> = log.iter().filter(|e| e.user == *user).cloned().collect();
                records(&contribute(&own, shown, 1000, 1))
            })
            .collect();
        alone.sort();
        prop_assert_eq!(together, alone);
    }

    /// Each of a user's d queries gets 1/√d, whatever the order, threads and rounds.
    #[test]
    fn scores_are_those_of_a_few_lines(log in events(80), threads in 1..4_usize, rounds in 1..4_usize) {
        let contributions = contribute(&log, false, 1000, threads);
        let mut expected: BTreeMap<u64, f64> = BTreeMap::new();
        for record in records(&contributions) {
            for query in record.keys() {
                *expected.entry(*query).or_default() += (UNIT as f64) / (record.len() as f64).sqrt();
            }
        }
        // Released in the last round only: every score is then complete.
        let keys = {
            let mut last = selection(rounds, 100, i64::MAX);
            last.rounds[rounds - 1].threshold = i64::MIN;
            select(&contributions, &last, threads)
        };
        prop_assert_eq!(keys.iter().map(|k| k.code).collect::<Vec<_>>(), expected.keys().copied().collect::<Vec<_>>());
        for key in keys {
            let exact = expected[&key.code] * rounds as f64;
            // Rounding down takes less than one from each user and round.
            let slack = (6 * rounds) as f64 + (NOISE * rounds as i64) as f64;
            prop_assert!((key.score as f64 - exact).abs() <= slack, "{} for {exact}", key.score);
            prop_assert_eq!(key.rounds as usize, rounds);
        }
    }

    /// Clicks and impressions of released queries, clipped together.
    #[test]
    fn clicks_are_those_of_a_few_lines(log in events(80), threads in 1..4_usize, length in 1_u64..20_000, heavy in 1_u64..5_000) {
        let contributions = contribute(&log, false, 1000, threads);
        let records = records(&contributions);
        let queries: BTreeSet<u64> = records.iter().flat_map(|r| r.keys().copied()).collect();
        let docs: BTreeSet<u64> = records.iter().flat_map(|r| r.values().flatten().map(|d| d.0)).collect();
        // The first document is not listed anywhere, and the last query is not released.
        let listed: Vec<Listed> = queries
            .iter()
            .take(2)
            .map(|query| Listed {
                query: *query,
                shown: 700,
                docs: docs.iter().skip(1).enumerate().map(|(i, doc)| (*doc, heavy + i as u64)).collect(),
            })
            .collect();
        let sums = clicks(&contributions, &listed, Clicks { length, sigma: 1 }, threads, &mut Pulse::silent()).unwrap();
        let mut expected = vec![0.0; sums.len()];
        for record in &records {
            let mut own: Vec<(usize, f64)> = Vec::new();
            for (i, query) in listed.iter().enumerate().filter(|(_, q)| record.contains_key(&q.query)) {
                let start = i * (1 + listed[0].docs.len());
                own.push((start, query.shown as f64));
                for (doc, _, _) in record[&query.query].iter().filter(|d| d.2) {
                    if let Some(j) = query.docs.iter().position(|(d, _)| d == doc) {
                        own.push((start + 1 + j, query.docs[j].1 as f64));
                    }
                }
            }
            let norm = own.iter().map(|(_, w)| w * w).sum::<f64>().sqrt().max(length as f64);
            own.iter().for_each(|(cell, w)| expected[*cell] += w / norm * UNIT as f64);
        }
        for (sum, exact) in sums.iter().zip(expected) {
            prop_assert!((*sum as f64 - exact).abs() <= (NOISE + 7) as f64, "{sum} for {exact}");
        }
    }
}

#[test]
fn a_user_counts_for_no_more_queries_than_the_bound() {
    let log = sample();
    let contributions = contribute(&log, false, 1000, 1);
    for most in 1..4 {
        let keys = select(&contributions, &selection(1, most, i64::MIN), 1);
        let each =
            records(&contributions).iter().map(|r| r.len().min(most) as f64).map(f64::sqrt).sum::<f64>();
        let total: i64 = keys.iter().map(|k| k.score).sum();
        assert!((total as f64 / UNIT as f64 - each).abs() < 1e-3);
    }
}

#[test]
fn a_threshold_is_met_by_what_equals_it() {
    // With the score s + noise released at T, T is what the noise must reach: the atom counts.
    let contributions = contribute(&sample(), false, 1000, 1);
    let all = select(&contributions, &selection(1, 100, i64::MIN), 1);
    assert!(select(&contributions, &selection(1, 100, i64::MAX), 1).is_empty());
    let least = all.iter().map(|k| k.score).min().unwrap();
    assert_eq!(select(&contributions, &selection(1, 100, least - 2 * NOISE), 1).len(), all.len());
}

#[test]
fn constants_that_cannot_be_are_refused() {
    let contributions = contribute(&sample(), false, 1000, 1);
    let fails = |s: &Selection| queries(&contributions, s, 1, &mut Pulse::silent()).is_err();
    assert!(fails(&selection(0, 5, 0)));
    assert!(fails(&selection(1, 0, 0)));
    assert!(fails(&Selection { sigma: 0, ..selection(1, 5, 0) }));
    let mut heavy = selection(2, 5, 0);
    heavy.rounds[0].bias = vec![(1 << 15) + 1];
    assert!(fails(&heavy));
    heavy.rounds[0].bias = vec![];
    assert!(fails(&heavy));
    let run = |listed: &[Listed], constants| -> Result<Vec<i64>> {
        clicks(&contributions, listed, constants, 1, &mut Pulse::silent())
    };
    let listed = |docs: &[(u64, u64)]| Listed { query: 1, shown: 0, docs: docs.to_vec() };
    let fine = Clicks { length: 1, sigma: 1 };
    assert_eq!(run(&[listed(&[(3, 1)])], fine).unwrap().len(), 2);
    assert!(run(&[listed(&[(3, 1), (3, 1)])], fine).is_err());
    assert!(run(&[listed(&[]), listed(&[])], fine).is_err());
    assert!(run(&[listed(&[(3, 1 << 25)])], fine).is_err());
    assert!(run(&[], Clicks { length: 0, sigma: 1 }).is_err());
    assert!(run(&[], Clicks { length: 1, sigma: 0 }).is_err());
}

fn sample() -> Vec<Event> {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    loop {
        let log = events(200).new_tree(&mut runner).unwrap().current();
        if log.len() > 100 {
            return log;
        }
    }
}
