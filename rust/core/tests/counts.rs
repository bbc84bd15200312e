//! Sums: equal to a fold over a map, in any order, whole or in parts.

use std::collections::BTreeMap;

use hardneg_core::counts::Counts;
use hardneg_core::error::ErrorKind;
use hardneg_core::pulse::Pulse;
use hardneg_core::records::{Rule, Unit, Vote};
use hardneg_core::tables::{
    Cell, PageRow, Pair, PreferenceRow, SuccessionClickRow, SuccessionRow, Summed, sum, sum_pages,
};
use hardneg_core::time::NULL_TIME;
use proptest::collection::vec;
use proptest::prelude::*;

mod common;
use common::{ALL, Event, batch, columns, content, count, events};

/// Every row added to the one of its key, in order of arrival.
fn folded<T: Summed>(rows: &[T]) -> Vec<T> {
    let mut by_key: BTreeMap<T::Key, T> = BTreeMap::new();
    for row in rows {
        by_key.entry(row.key()).and_modify(|sum| sum.add(row)).or_insert(*row);
    }
    by_key.into_values().collect()
}

fn check<T: Summed + PartialEq + std::fmt::Debug>(rows: Vec<T>) -> Result<(), TestCaseError> {
    let mut made = rows.clone();
    sum(&mut made);
    prop_assert_eq!(&made, &folded(&rows));
    let mut turned: Vec<T> = rows.into_iter().rev().collect();
    sum(&mut turned);
    prop_assert_eq!(turned, made);
    Ok(())
}

/// Small numbers mostly, and now and then one near the end of its type.
fn figure() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..4_u32, 1 => (u32::MAX - 1)..=u32::MAX]
}

proptest! {
    #[test]
    fn sums_equal_folds(rows in vec(([0..3_u64, 0..3, 0..3], [figure(), figure()], 0..3_u8), 0..40)) {
        check(rows.iter().map(|&([.., p], [impressions, clicks], fold)| Cell {
            position: [0, 1, u16::MAX][p as usize], previous_click: [0, 255, u16::MAX][fold as usize], fold,
            impressions, clicks, satisfied_clicks: clicks,
        }).collect())?;
        check(rows.iter().map(|&([query, preferred, skipped], [users, sum], rule)| PreferenceRow {
            query, preferred, skipped, rule: [Rule::SkipAbove, Rule::LastClickSkipAbove, Rule::ClickNoClickNext][rule as usize],
            users, position_preferred_sum: sum.into(), position_skipped_sum: u64::from(sum) + 1,
        }).collect())?;
        check(rows.iter().map(|&([query, next, _], [users, users_clicked_after], _)| SuccessionRow {
            query, next, users, users_clicked_after,
        }).collect())?;
        check(rows.iter().map(|&([query, next, doc], [users, _], _)| SuccessionClickRow { query, next, doc, users }).collect())?;
    }

    #[test]
    fn pairs_equal_folds(
        votes in vec((0..3_u64, -1..3_i64, -1..i32::MAX, any::<u16>(), 0..2048_u16), 0..40),
        huge in any::<bool>(),
    ) {
        let pair = |vote: &_| Pair { impressions: if huge { u32::MAX / 2 } else { 1 }, ..pair_of(&vote_of(vote)) };
        check(votes.iter().map(pair).collect())?;
    }

    #[test]
    fn votes_one_by_one_are_the_sum_of_pairs(
        votes in vec((0..1_u64, -1..3_i64, -1..i32::MAX, any::<u16>(), 0..2048_u16), 1..40),
    ) {
        let mut whole = Pair::empty(0);
        votes.iter().for_each(|v| whole.vote(&vote_of(v)));
        let mut parts: Vec<Pair> = votes.iter().map(|v| pair_of(&vote_of(v))).collect();
        sum(&mut parts);
        prop_assert_eq!(parts, vec![whole]);
    }

    #[test]
    fn pages_equal_folds(pages in vec((0..2_u64, vec(0..2_u64, 0..3)), 0..30)) {
        let rows: Vec<PageRow> = pages.iter().map(|(query, docs)| PageRow {
            query: *query, shown: docs.iter().map(|d| (7 + d, d & 1 == 1)).collect(), count: 1,
        }).collect();
        let mut counted: BTreeMap<(u64, Vec<(u64, bool)>), u64> = BTreeMap::new();
        rows.iter().for_each(|r| *counted.entry((r.query, r.shown.clone())).or_default() += r.count);
        let mut made = rows;
        sum_pages(&mut made);
        prop_assert_eq!(made.len(), counted.len());
        for page in made {
            prop_assert_eq!(counted.get(&(page.query, page.shown)), Some(&page.count));
        }
    }
}

fn vote_of(&(doc, time, dwell_ms, position, flags): &(u64, i64, i32, u16, u16)) -> Vote {
    let time = if time < 0 { NULL_TIME } else { time };
    Vote { doc, time, dwell_ms, position, previous_click: 0, flags }
}

fn pair_of(vote: &Vote) -> Pair {
    let mut pair = Pair::empty(vote.doc);
    // What is clicked, skipped or dwelt on is flagged; a vote without a flag has no dwell time.
    pair.vote(vote);
    pair
}

/// A missing time sorts first, but is not the first time.
#[test]
fn first_seen_is_a_time() {
    let pair = |time| pair_of(&vote_of(&(0, if time == NULL_TIME { -1 } else { time }, -1, 1, 0)));
    for times in [[NULL_TIME, 5, 3], [3, NULL_TIME, 5], [5, 3, NULL_TIME]] {
        let mut rows = times.map(pair).to_vec();
        sum(&mut rows);
        assert_eq!((rows.len(), rows[0].first_seen, rows[0].last_seen), (1, 3, 5));
    }
}

fn merged(a: &Counts, b: &Counts) -> Counts {
    a.merge(b, true, &mut Pulse::silent()).expect("the same columns and options")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Three parts, no user in two of them, in any order, are the whole.
    #[test]
    fn parts_make_the_whole(log in events(60)) {
        let of = |events: &[Event]| count(events, ALL, 16, 2);
        let part = |n: u8| of(&log.iter().filter(|e| e.user % 3 == n).cloned().collect::<Vec<_>>());
        let (a, b, c) = (part(0), part(1), part(2));
        let whole = content(&of(&log));
        prop_assert_eq!(&content(&merged(&merged(&a, &b), &c)), &whole);
        prop_assert_eq!(&content(&merged(&a, &merged(&b, &c))), &whole);
        prop_assert_eq!(&content(&merged(&merged(&c, &a), &b)), &whole);
    }

    #[test]
    fn parts_of_other_shapes_do_not_merge(a in columns(), b in columns()) {
        let unit = |c: common::Columns| match (c.user, c.search || c.session) {
            (true, _) => Unit::User,
            (false, true) => Unit::Page,
            (false, false) => Unit::Row,
        };
        let made = count(&[], a, 1, 1).merge(&count(&[], b, 1, 1), true, &mut Pulse::silent()).map(|_| ()).map_err(|e| e.kind());
        prop_assert_eq!(made, if unit(a) == unit(b) { Ok(()) } else { Err(ErrorKind::Usage) });
    }
}

#[test]
fn nothing_merges_with_itself() {
    let none = count(&[], ALL, 1, 1);
    assert_eq!(content(&merged(&none, &none)), content(&none));
    assert_eq!(batch(&[], ALL).num_rows(), 0);
}
