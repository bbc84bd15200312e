//! Users, sessions and searches of one code, told apart by further bits of their hashes.
//!
//! A code has 64 bits, so among n of them two are equal with a chance of about n² / 2^65: some 3 % for 10^9 users. Runs
//! therefore carry a *check*: 32 more bits of the user's hash, 16 of the session's, 16 of the search's. Rows of a code with
//! more than one check are set aside and counted, like those of queries and documents whose codes clash. What goes
//! unseen needs equal checks, too: 2^-32 of such chances for users, and for searches that stand for users; 2^-16 for
//! sessions and searches, which meet only within their user.

use crate::page::Run;

/// Further bits of the hash of a user, session or search, to be compared where codes are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ident {
    /// What is grouped by; 0 for none.
    pub code: u64,
    /// 64 bits that the code has not.
    pub check: u64,
}

/// The check of a run.
pub fn check(user: Ident, session: Ident, search: Ident) -> u64 {
    user.check << 32 | (session.check & 0xffff) << 16 | search.check & 0xffff
}

/// What is left of `runs`, all of one user code and sorted by search, without those whose codes stand for several values,
/// and how many rows that takes. None where all stay, as nearly always. `scratch` is memory to use again.
pub fn sound(runs: &[Run], scratch: &mut Vec<(u64, u16)>) -> Option<(Vec<Run>, u64)> {
    let rows = |runs: &[Run]| runs.iter().map(|r| u64::from(r.rows)).sum::<u64>();
    let first = runs.first()?.head.check;
    if runs.iter().any(|r| (r.head.check ^ first) >> 32 != 0) {
        return Some((Vec::new(), rows(runs)));
    }
    let searches = shared(runs, scratch, |r| (r.head.search, r.head.check as u16));
    let sessions = shared(runs, scratch, |r| (r.head.session, (r.head.check >> 16) as u16));
    if searches.is_empty() && sessions.is_empty() {
        return None;
    }
    let stays = |r: &&Run| !searches.contains(&r.head.search) && !sessions.contains(&r.head.session);
    let left: Vec<Run> = runs.iter().filter(stays).copied().collect();
    let gone = rows(runs) - rows(&left);
    Some((left, gone))
}

/// Codes that come with more than one check.
fn shared(runs: &[Run], seen: &mut Vec<(u64, u16)>, of: impl Fn(&Run) -> (u64, u16)) -> Vec<u64> {
    seen.clear();
    for run in runs {
        let one = of(run);
        // Neighbours are mostly of one session; searches are sorted.
        if seen.last() != Some(&one) {
            seen.push(one);
        }
    }
    if !seen.is_sorted() {
        seen.sort_unstable();
    }
    seen.dedup();
    let mut codes: Vec<u64> = seen.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| w[0].0).collect();
    codes.dedup();
    codes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchIterator, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow_select::filter::filter_record_batch;
    use proptest::prelude::*;

    use crate::anonymize::Keys;
    use crate::batches::Shared;
    use crate::budget::Budget;
    use crate::clean::{CountConfig, Robots};
    use crate::counts::Counts;
    use crate::job::{Job, count};
    use crate::pseudonym::{MasterKey, Pseudonymizer};
    use crate::pulse::Pulse;
    use crate::saved;
    use crate::seed::Seed;

    type Row = (u8, Option<u8>, u8, u8, u8, bool);

    /// Columns that the log has: user, session, search.
    type Has = [bool; 3];

    fn name(prefix: &str, n: u8) -> String {
        format!("{prefix}{n}")
    }

    fn batch(rows: &[Row], has: Has) -> RecordBatch {
        let text = |get: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(rows.iter().map(get)))
        };
        let minute = |r: &Row| 1_704_110_400_000_000 + i64::from(r.2) * 60_000_000;
        let columns: [(bool, &str, ArrayRef); 8] = [
            (has[0], "user_id", text(&|r| Some(name("u", r.0)))),
            (has[1], "session_id", text(&|r| r.1.map(|s| name("s", s)))),
            (has[2], "search_id", text(&|r| Some(name("p", r.2)))),
            (true, "query", text(&|r| Some(name("q", r.3)))),
            (true, "doc_id", text(&|r| Some(name("d", r.4)))),
            (
                true,
                "position",
                Arc::new(Int64Array::from_iter(rows.iter().map(|r| Some(i64::from(r.4) + 1)))),
            ),
            (true, "clicked", Arc::new(BooleanArray::from_iter(rows.iter().map(|r| Some(r.5))))),
            (
                true,
                "timestamp",
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(minute))),
            ),
        ];
        let kept = columns.into_iter().filter(|(has, ..)| *has).map(|(_, name, array)| (name, array, true));
        RecordBatch::try_from_iter_with_nullable(kept).unwrap()
    }

    fn keys(bits: u32) -> Keys {
        let key = MasterKey::new(&[7; 32]).unwrap();
        let of = |field| Pseudonymizer::new(&key, field, "", "").unwrap().with_code_bits(bits);
        Keys { user: of("user_id"), session: of("session_id") }
    }

    fn seed(bits: u32) -> Seed {
        Seed::new(1).with_search_bits(bits)
    }

    fn counted(batch: &RecordBatch, size: usize, threads: usize, bits: [u32; 3]) -> Counts {
        let config = CountConfig {
            max_votes: 2,
            max_pairs_per_user: 3,
            satisfied_dwell_ms: 30_000,
            session_gap_minutes: 10.0,
            min_page_length: 1,
            max_position: 50,
            robots: Robots::Keep,
            max_searches_per_day: 50,
            max_click_rate: 0.4,
            min_click_rate: 0.004,
            min_median_dwell_ms: 1_500,
            surfaces: vec![],
            since: None,
            until: None,
            half_life_days: None,
            page_counts: true,
            preferences: true,
            cell_detail: true,
        };
        let keys = Keys { user: keys(bits[0]).user, session: keys(bits[1]).session };
        let job = Job {
            scrubber: None,
            config: &config,
            keys: &keys,
            seed: seed(bits[2]),
            position_base: 1,
            has_pages: true,
            sessions_stand_for_users: false,
            threads,
            memory: 1 << 24,
            spill: &std::env::temp_dir(),
            part: None,
        };
        let pieces: Vec<_> = (0..batch.num_rows())
            .step_by(size)
            .map(|i| Ok(batch.slice(i, size.min(batch.num_rows() - i))))
            .collect();
        let log = Shared::new(Box::new(RecordBatchIterator::new(pieces, batch.schema())));
        count(&job, &log, &mut |_| Ok(())).unwrap()
    }

    /// Everything that is counted, but for the order of codes of people.
    fn content(counts: &Counts) -> String {
        let mut groups = Vec::new();
        for part in 0..counts.tables.len() {
            counts
                .tables
                .part(part, |group| {
                    groups.push(group.clone());
                    Ok(())
                })
                .unwrap();
        }
        format!("{groups:?} {} {:?}", counts.users, counts.position_users)
    }

    /// Rows that are not of a code which several values share: in a few obvious lines.
    fn naive(rows: &[Row], has: Has, bits: [u32; 3]) -> Vec<bool> {
        let user = |r: &Row| keys(bits[0]).user.code(name("u", r.0).as_bytes());
        let session = |r: &Row| r.1.map(|s| keys(bits[1]).session.code(name("s", s).as_bytes()));
        let search = |r: &Row| seed(bits[2]).hash("search", &[name("p", r.2).as_bytes()]);
        let mut users: BTreeMap<u64, BTreeSet<u8>> = BTreeMap::new();
        let mut sessions: BTreeMap<(u64, Option<u64>), BTreeSet<Option<u8>>> = BTreeMap::new();
        let mut searches: BTreeMap<(u64, u64), BTreeSet<u8>> = BTreeMap::new();
        let whose = |r: &Row| if has[0] { user(r) } else { search(r) };
        for r in rows {
            users.entry(user(r)).or_default().insert(r.0);
            sessions.entry((whose(r), session(r))).or_default().insert(r.1);
            searches.entry((whose(r), search(r))).or_default().insert(r.2);
        }
        rows.iter()
            .map(|r| {
                (!has[0] || users[&user(r)].len() == 1)
                    && (!has[1] || sessions[&(whose(r), session(r))].len() == 1)
                    && (!has[2] || searches[&(whose(r), search(r))].len() == 1)
            })
            .collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (0..12_u8, prop::option::of(0..6_u8), 0..10_u8, 0..3_u8, 0..4_u8, any::<bool>());
        prop::collection::vec(row, 1..60)
    }

    /// Counts of one part of a log know which codes it set aside, also from a file, and are not summed with those of a part
    /// that has such a code.
    #[test]
    fn a_code_that_one_part_set_aside_and_another_has_is_refused() {
        let of = |query| counted(&batch(&[(0, None, 0, query, 0, true)], [true; 3]), 1, 1, [64; 3]);
        let (mut one, two, three) = (of(0), of(1), of(2));
        let code = two.query_strings.codes().next().unwrap();
        let mut strings = (*one.query_strings).clone();
        strings.push_clash(code);
        one.query_strings = Arc::new(strings);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.counts");
        saved::save(&one, &path, &path, &mut Pulse::silent()).unwrap();
        let budget = Arc::new(Budget::new(1 << 20, folder.path()));
        let one = saved::load(&path, &budget, &mut Pulse::silent()).unwrap();
        assert_eq!(one.query_strings.clashes(), [code]);
        for (a, b) in [(&one, &two), (&two, &one)] {
            let refused = a.merge(b, true, &mut Pulse::silent()).err().unwrap().to_string();
            assert!(refused.contains("code_clash"), "{refused}");
        }
        let sum = three.merge(&one, true, &mut Pulse::silent()).unwrap();
        assert_eq!(sum.query_strings.clashes(), [code]);
        assert!(sum.merge(&two, true, &mut Pulse::silent()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Codes of a few bits clash all the time: what is left is what would be counted without the rows that clash.
        #[test]
        fn rows_of_shared_codes_are_set_aside_and_counted(
            rows in rows(),
            has in prop::sample::select(vec![[true; 3], [true, false, true], [false, false, true], [true, true, false]]),
            bits in prop::sample::select(vec![[3, 64, 64], [64, 2, 64], [64, 64, 2], [5, 3, 3], [64; 3]]),
            size in 1..20_usize,
            threads in 1..3_usize,
        ) {
            // Without search ids pages are told apart by sessions and times, whose codes are not shortened here.
            let bits = if has[2] { bits } else { [bits[0], bits[1], 64] };
            let stays = naive(&rows, has, bits);
            let all = batch(&rows, has);
            let found = counted(&all, size, threads, bits);
            let left = filter_record_batch(&all, &BooleanArray::from(stays.clone())).unwrap();
            let expected = counted(&left, left.num_rows().max(1), 1, bits);
            prop_assert_eq!(content(&found), content(&expected));
            let gone = stays.iter().filter(|s| !**s).count() as u64;
            prop_assert_eq!(found.dropped.get("code_clash").copied().unwrap_or(0), gone);
        }
    }
}
