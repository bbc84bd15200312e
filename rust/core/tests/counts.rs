//! Sums: equal to a fold over a map, in any order, whole or in parts.

use std::collections::BTreeMap;

use hardneg_core::counts::Counts;
use hardneg_core::error::ErrorKind;
use hardneg_core::records::{Rule, Unit, Vote};
use hardneg_core::tables::{
    Cell, PageRow, Pair, PreferenceRow, QueryRow, SuccessionClickRow, SuccessionRow, Summed, sum, sum_pages,
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
    fn sums_equal_folds(rows in vec(([0..3_u32, 0..3, 0..3], [figure(), figure()], 0..3_u8), 0..40)) {
        check(rows.iter().map(|&([query, ..], [users, searches], _)| QueryRow {
            query, users, searches: searches.into(), searches_clicked: u64::MAX - u64::from(users),
        }).collect())?;
        check(rows.iter().map(|&([query, doc, p], [impressions, clicks], fold)| Cell {
            query, doc, position: [0, 1, u16::MAX][p as usize], previous_click: [0, 255, u16::MAX][fold as usize], fold,
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
        votes in vec((0..3_u32, 0..3_u32, -1..3_i64, -1..i32::MAX, any::<u16>(), 0..1024_u16), 0..40),
        huge in any::<bool>(),
    ) {
        let pair = |&(query, doc, time, dwell_ms, position, flags): &_| {
            let time = if time < 0 { NULL_TIME } else { time };
            let vote = Vote { query, doc, time, dwell_ms, position, previous_click: 0, flags, fold: 0 };
            Pair { impressions: if huge { u32::MAX / 2 } else { 1 }, ..Pair::of(&vote) }
        };
        check(votes.iter().map(pair).collect())?;
    }

    #[test]
    fn pages_equal_folds(pages in vec((0..2_u32, vec(0..2_u32, 0..3)), 0..30)) {
        let rows: Vec<PageRow> = pages.iter().map(|(query, words)| PageRow {
            query: *query, words: words.iter().flat_map(|w| [7 + w, w & 1]).collect(), count: 1,
        }).collect();
        let mut counted: BTreeMap<(u32, Vec<u32>), u64> = BTreeMap::new();
        rows.iter().for_each(|r| *counted.entry((r.query, r.words.clone())).or_default() += r.count);
        let mut made = rows;
        sum_pages(&mut made);
        prop_assert_eq!(made.len(), counted.len());
        for page in made {
            prop_assert_eq!(counted.get(&(page.query, page.words)), Some(&page.count));
        }
    }
}

/// A missing time sorts first, but is not the first time.
#[test]
fn first_seen_is_a_time() {
    let pair = |time| {
        Pair::of(&Vote {
            query: 0,
            doc: 0,
            time,
            dwell_ms: -1,
            position: 1,
            previous_click: 0,
            flags: 0,
            fold: 0,
        })
    };
    for times in [[NULL_TIME, 5, 3], [3, NULL_TIME, 5], [5, 3, NULL_TIME]] {
        let mut rows = times.map(pair).to_vec();
        sum(&mut rows);
        assert_eq!((rows.len(), rows[0].first_seen, rows[0].last_seen), (1, 3, 5));
    }
}

fn merged(a: &Counts, b: &Counts) -> Counts {
    a.clone().merge(b.clone(), true).expect("the same columns and options")
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
        let made = count(&[], a, 1, 1).merge(count(&[], b, 1, 1), true).map(|_| ()).map_err(|e| e.kind());
        prop_assert_eq!(made, if unit(a) == unit(b) { Ok(()) } else { Err(ErrorKind::Usage) });
    }
}

#[test]
fn nothing_merges_with_itself() {
    let none = count(&[], ALL, 1, 1);
    assert_eq!(content(&merged(&none, &none)), content(&none));
    assert_eq!(batch(&[], ALL).num_rows(), 0);
}
