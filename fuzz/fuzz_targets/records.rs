//! Packed records: what is read is what was written.
#![no_main]

use hardneg_core::group::Group;
use hardneg_core::records::{Cursor, Rule, put_varint};
use hardneg_core::tables::{Cell, PageRow, Pair, PreferenceRow, SuccessionClickRow, SuccessionRow};
use hardneg_core::time::NULL_TIME;
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fn group(u: &mut Unstructured<'_>) -> Result<Group> {
    let mut out = Group::default();
    out.reset(u.arbitrary()?);
    (out.users, out.searches, out.searches_clicked) = u.arbitrary()?;
    let query = out.query;
    for _ in 0..u.int_in_range(0..=3)? {
        let mut pair = Pair::empty(u.arbitrary()?);
        (pair.users_shown, pair.users_clicked, pair.users_satisfied, pair.rejections) = u.arbitrary()?;
        (pair.skips, pair.skip_position_sum, pair.examined_first, pair.examined_last) = u.arbitrary()?;
        (pair.last_clicks, pair.dwell_ms_sum, pair.dwells) = u.arbitrary()?;
        (pair.bounded_shown, pair.bounded_clicked) = u.arbitrary()?;
        if u.arbitrary()? {
            (pair.first_seen, pair.last_seen) = u.arbitrary()?;
            // What was never seen was last seen never.
            if pair.first_seen == NULL_TIME {
                pair.last_seen = NULL_TIME;
            }
        }
        for _ in 0..u.int_in_range(0..=3)? {
            let impressions: u32 = u.arbitrary()?;
            let clicks = u.int_in_range(0..=impressions)?;
            let satisfied_clicks = if clicks > 0 { u.arbitrary()? } else { 0 };
            let (position, previous_click, fold) = u.arbitrary()?;
            out.cells.push(Cell { position, previous_click, fold, impressions, clicks, satisfied_clicks });
            pair.impressions = pair.impressions.saturating_add(impressions);
            pair.clicks = pair.clicks.saturating_add(clicks);
            pair.satisfied_clicks = pair.satisfied_clicks.saturating_add(satisfied_clicks);
            if position > 0 {
                pair.positioned = pair.positioned.saturating_add(impressions);
                let sum = u64::from(position) * u64::from(impressions);
                pair.position_sum = pair.position_sum.saturating_add(sum);
            }
        }
        out.pairs.push(pair);
        out.ends.push(out.cells.len() as u32);
    }
    for _ in 0..u.int_in_range(0..=2)? {
        let (preferred, skipped, users, position_preferred_sum, position_skipped_sum) = u.arbitrary()?;
        let rule = *u.choose(&Rule::ALL)?;
        let row = PreferenceRow {
            query,
            preferred,
            skipped,
            rule,
            users,
            position_preferred_sum,
            position_skipped_sum,
        };
        out.preferences.push(row);
        let (next, users, users_clicked_after) = u.arbitrary()?;
        out.successions.push(SuccessionRow { query, next, users, users_clicked_after });
        let (next, doc, users) = u.arbitrary()?;
        out.succession_clicks.push(SuccessionClickRow { query, next, doc, users });
        let (shown, count) = Arbitrary::arbitrary(u)?;
        out.pages.push(PageRow { query, shown, count });
    }
    Ok(out)
}

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let (Ok(n), Ok(groups)) = (u.arbitrary(), (0..2).map(|_| group(&mut u)).collect::<Result<Vec<_>>>())
    else {
        return;
    };
    let mut packed = Vec::new();
    put_varint(&mut packed, n);
    groups.iter().for_each(|g| g.write(true, &mut packed));
    let mut from = Cursor(&packed);
    assert_eq!(from.varint(), n);
    let mut read = Group::default();
    for group in &groups {
        read.read(&mut from, true);
        assert_eq!(&read, group);
    }
    assert!(from.is_empty());
});
