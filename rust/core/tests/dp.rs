//! Private releases: whole users and nothing of others, vectors of unit length, noise on every cell, thresholds kept.
//!
//! With the least noise there is (σ = 1 on a grid of 2^20) sums can be compared with a few obvious lines.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::{BTreeMap, BTreeSet};

use hardneg_core::contributions::{Contribution, Contributions};
use hardneg_core::dp::clicks::{Cell, Clicks, Listed, Noise, clicks};
use hardneg_core::dp::selection::{Key, Round, Selection, pairs, queries};
use hardneg_core::dp::unit::UNIT;
use hardneg_core::error::Result;
use hardneg_core::intern::code;
use hardneg_core::pulse::Pulse;
use hardneg_core::records::{Cursor, Layout, RunHead};
use proptest::prelude::*;

mod common;
use common::{Event, contribute, events};

/// More than |noise| of σ = 1 ever is: a normal deviate beyond 12 has a probability of 10⁻³².
const NOISE: i64 = 13;

type Record = BTreeMap<String, Vec<(String, u16, bool)>>;

/// Records without the order of a user's queries and documents, which is a secret of the run, and in names: codes tell the
/// order in which strings were met.
fn records(contributions: &Contributions) -> Vec<Record> {
    let mut out = Vec::new();
    let plain = |d: &Contribution| (contributions.doc_strings.get(d.doc).to_owned(), d.position, d.clicked);
    let sorted = |docs: &[Contribution]| {
        let mut docs: Vec<_> = docs.iter().map(plain).collect();
        docs.sort();
        docs
    };
    let name = |query| contributions.query_strings.get(query).to_owned();
    for part in 0..contributions.parts.len() {
        contributions
            .part(part, |user| {
                out.push(user.iter().map(|(query, docs)| (name(query), sorted(docs))).collect());
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
        let mut expected: BTreeMap<String, f64> = BTreeMap::new();
        for record in records(&contributions) {
            for query in record.keys() {
                *expected.entry(query.clone()).or_default() += (UNIT as f64) / (record.len() as f64).sqrt();
            }
        }
        // Released in the last round only: every score is then complete.
        let keys = {
            let mut last = selection(rounds, 100, i64::MAX);
            last.rounds[rounds - 1].threshold = i64::MIN;
            select(&contributions, &last, threads)
        };
        let name = |key: &Key| contributions.query_strings.get(key.code).to_owned();
        let mut canonical: Vec<&String> = expected.keys().collect();
        canonical.sort_by_key(|query| code(query.as_bytes()));
        prop_assert_eq!(keys.iter().map(name).collect::<Vec<_>>(), canonical.into_iter().cloned().collect::<Vec<_>>());
        for key in keys {
            let exact = expected[&name(&key)] * rounds as f64;
            // Rounding down takes less than one from each user and round.
            let slack = (6 * rounds) as f64 + (NOISE * rounds as i64) as f64;
            prop_assert!((key.score as f64 - exact).abs() <= slack, "{} for {exact}", key.score);
            prop_assert_eq!(key.rounds as usize, rounds);
        }
    }

    /// Each of a user's d pairs of released queries gets 1/√d.
    #[test]
    fn scores_of_pairs_are_those_of_a_few_lines(log in events(80), threads in 1..4_usize, shown in any::<bool>()) {
        let contributions = contribute(&log, true, 1000, threads);
        let keys = select(&contributions, &selection(1, 100, i64::MIN), 1);
        // The first query is not released.
        let keys = &keys[keys.len().min(1)..];
        let query = |key: &Key| contributions.query_strings.get(key.code).to_owned();
        let released: Vec<String> = keys.iter().map(query).collect();
        let mut expected: BTreeMap<(String, String), f64> = BTreeMap::new();
        for record in records(&contributions) {
            let own: Vec<(String, String)> = record
                .iter()
                .filter(|(query, _)| released.contains(query))
                .flat_map(|(q, docs)| docs.iter().filter(|d| shown || d.2).map(|d| (q.clone(), d.0.clone())))
                .collect();
            let each = UNIT as f64 / (own.len() as f64).sqrt();
            own.into_iter().for_each(|pair| *expected.entry(pair).or_default() += each);
        }
        let found = pairs(&contributions, keys, shown, &selection(1, 100, i64::MIN), threads, &mut Pulse::silent()).unwrap();
        let names: Vec<(String, String)> = found
            .iter()
            .map(|p| (released[p.query as usize].clone(), contributions.doc_strings.get(p.doc).to_owned()))
            .collect();
        let mut canonical: Vec<_> = expected.keys().cloned().collect();
        canonical.sort_by_key(|(query, doc)| (code(query.as_bytes()), code(doc.as_bytes())));
        prop_assert_eq!(&names, &canonical);
        for (pair, name) in found.iter().zip(names) {
            prop_assert!((pair.score as f64 - expected[&name]).abs() <= (NOISE + 6) as f64);
        }
        // A bound leaves each user so many.
        let bounded = pairs(&contributions, keys, shown, &selection(1, 1, i64::MIN), threads, &mut Pulse::silent()).unwrap();
        let users = records(&contributions)
            .iter()
            .filter(|r| r.iter().any(|(q, docs)| released.contains(q) && docs.iter().any(|d| shown || d.2)))
            .count();
        let sum: i64 = bounded.iter().map(|p| p.score).sum();
        prop_assert!((sum - users as i64 * UNIT as i64).abs() <= NOISE * bounded.len() as i64 + 6);
    }

    /// Impressions, clicks and impressions of documents of released queries, clipped together.
    #[test]
    fn clicks_are_those_of_a_few_lines(
        log in events(80),
        threads in 1..4_usize,
        length in 1_u64..20_000,
        heavy in 1_u64..5_000,
        (exposures, own_positions, laplace) in any::<(bool, bool, bool)>(),
    ) {
        let contributions = contribute(&log, exposures, 1000, threads);
        let (queries, docs) = (&contributions.query_strings, &contributions.doc_strings);
        // The first document is not listed anywhere, the last query is not released, and nobody has met the codes 0.
        let cells = |i: u64| {
            let unseen = Cell { doc: 0, click: heavy, shown: 3, position: 1 };
            let seen = docs.codes().skip(1).zip(0_u64..).map(move |(doc, j)| {
                Cell { doc, click: heavy + i + j, shown: 30 + j, position: 1 + j as u16 }
            });
            [unseen, unseen].into_iter().chain(seen).collect()
        };
        let mut listed: Vec<Listed> = queries
            .codes()
            .take(2)
            .zip(0..)
            .map(|(query, i)| Listed { query, shown: 700, docs: cells(i) })
            .collect();
        listed.push(Listed { query: 0, shown: 5, docs: vec![] });
        listed.push(Listed { query: 0, shown: 5, docs: vec![] });
        let examined = if own_positions { vec![600, 300, 200] } else { vec![] };
        let constants = Clicks {
            length,
            noise: if laplace { Noise::Laplace(1) } else { Noise::Gaussian(1) },
            exposures,
            examined: examined.clone(),
            most: 2,
        };
        let sums = clicks(&contributions, &listed, &constants, threads, &mut Pulse::silent()).unwrap();
        let mut expected = vec![0.0; sums.len()];
        for record in &records(&contributions) {
            let mut own: Vec<(usize, f64)> = Vec::new();
            let mut start = 0;
            for query in &listed {
                let n = query.docs.len();
                if let Some(found) = record.get(queries.get(query.query)) {
                    own.push((start, query.shown as f64));
                    for (name, position, clicked) in found {
                        let Some(j) = query.docs.iter().position(|c| docs.get(c.doc) == name) else { continue };
                        let cell = query.docs[j];
                        let mut factor = 1.0;
                        if own_positions && *position > 0 {
                            let e = |p: u16| examined[usize::from(p - 1).min(2)] as f64;
                            factor = (e(cell.position) / e(*position)).clamp(0.5, 2.0);
                        }
                        if *clicked {
                            own.push((start + 1 + j, (cell.click as f64 * factor).floor()));
                        }
                        if exposures {
                            own.push((start + 1 + n + j, cell.shown as f64));
                        }
                    }
                }
                start += 1 + if exposures { 2 * n } else { n };
            }
            let norm = if laplace {
                own.iter().map(|(_, w)| w).sum::<f64>()
            } else {
                own.iter().map(|(_, w)| w * w).sum::<f64>().sqrt()
            };
            own.iter().for_each(|(cell, w)| expected[*cell] += w / norm.max(length as f64) * UNIT as f64);
        }
        // Laplace noise of scale 1 is beyond 70 with a probability of 10⁻³⁰; a weight may be off by one by its factor.
        let slack = (70 + 7) as f64 + 7.0 * UNIT as f64 / length as f64;
        for (sum, exact) in sums.iter().zip(expected) {
            prop_assert!((*sum as f64 - exact).abs() <= slack, "{sum} for {exact}");
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

/// Users whose codes begin alike are two: a run's head is read back with both halves of its user.
#[test]
fn runs_keep_both_halves_of_a_user() {
    let head = RunHead { user: 1, rest: 2, search: 3, query: 4, session: 5, time: 6, check: 7 };
    for (whole, session, time) in [(true, true, true), (true, false, false), (false, true, false)] {
        let layout = Layout { user: true, whole, session, time, check: false };
        let mut bytes = Vec::new();
        head.write(layout, 9, &mut bytes);
        assert_eq!(bytes.len(), RunHead::len(layout));
        let (read, rows) = RunHead::read(layout, &mut Cursor(&bytes));
        assert_eq!(
            (read.user, read.rest, read.search, read.query, rows),
            (1, if whole { 2 } else { 0 }, 3, 4, 9)
        );
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
    let fine = Clicks { length: 1, noise: Noise::Gaussian(1), exposures: false, examined: vec![], most: 1 };
    let run = |listed: &[Listed], constants: &Clicks| -> Result<Vec<i64>> {
        clicks(&contributions, listed, constants, 1, &mut Pulse::silent())
    };
    let listed = |docs: &[(u64, u64)]| {
        let cell = |(doc, click): &(u64, u64)| Cell { doc: *doc, click: *click, shown: 0, position: 0 };
        Listed { query: 1, shown: 0, docs: docs.iter().map(cell).collect() }
    };
    assert_eq!(run(&[listed(&[(0, 1), (0, 1), (3, 1)])], &fine).unwrap().len(), 4);
    assert!(run(&[listed(&[(3, 1), (3, 1)])], &fine).is_err());
    assert!(run(&[listed(&[]), listed(&[])], &fine).is_err());
    assert!(run(&[listed(&[(3, 1 << 25)])], &fine).is_err());
    for wrong in [
        Clicks { length: 0, ..fine.clone() },
        Clicks { noise: Noise::Gaussian(0), ..fine.clone() },
        Clicks { noise: Noise::Laplace(0), ..fine.clone() },
        Clicks { most: 0, ..fine.clone() },
        Clicks { examined: vec![1, 0], ..fine },
    ] {
        assert!(run(&[], &wrong).is_err());
    }
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
