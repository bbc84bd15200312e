//! Which queries are of one intent: the same directly, or through others.
//!
//! Through others nearly all queries of a log can hang together, and a split that keeps them together is none. Where a split
//! is wanted intents have a limit: the most alike queries are joined first, and what would be beyond it stays apart (single
//! linkage as Kruskal 1956 grows it, with a limit). By codes and likeness alone, so that the order of rows, their parts and
//! the number of threads change nothing.

use crate::error::Result;
use crate::pulse::Pulse;

use super::lists::{CHUNK, SAMENESS, Same};
use super::near::NearQueries;

/// Queries of an intent at most, as the share of all whose reciprocal this is: what a split holds out is at most half of that
/// off.
const SHARE: usize = 40;
/// As many they may always be.
const FEW: usize = 16;

/// Sets of queries, each by the lowest number in it.
struct Sets {
    parent: Vec<u32>,
    /// By lowest number.
    size: Vec<u32>,
}

impl Sets {
    fn of(&mut self, mut i: u32) -> u32 {
        while self.parent[i as usize] != i {
            self.parent[i as usize] = self.parent[self.parent[i as usize] as usize];
            i = self.parent[i as usize];
        }
        i
    }

    fn join(&mut self, a: u32, b: u32, most: u32) {
        let (a, b) = (self.of(a), self.of(b));
        let both = self.size[a as usize] + self.size[b as usize];
        if a != b && both <= most {
            // The lower number stands for both, whatever the order.
            self.parent[a.max(b) as usize] = a.min(b);
            self.size[a.min(b) as usize] = both;
        }
    }
}

/// For each query the code of the one that stands for its intent; and whether it has one alike, or is one. `limited` is
/// whether intents have a limit.
///
/// # Errors
/// Where the spill cannot be read; what `pulse` reports.
pub(super) fn joined(
    near: &NearQueries,
    limited: bool,
    pulse: &mut Pulse<'_>,
) -> Result<(Vec<u64>, Vec<bool>)> {
    let n = near.len() as u32;
    let mut sets = Sets { parent: (0..n).collect(), size: vec![1; n as usize] };
    let mut wanted = vec![false; near.len()];
    let mut there = [false; SAMENESS + 1];
    each(
        near,
        pulse,
        |_| true,
        |i, other, same| {
            (wanted[i as usize], wanted[other as usize]) = (true, true);
            there[usize::from(same.level())] = true;
            if same.is_same() {
                sets.join(i, other, u32::MAX);
            }
        },
    )?;
    let most = near.len().div_ceil(SHARE).max(FEW) as u32;
    let large: Vec<bool> = (0..n)
        .map(|i| {
            let own = sets.of(i);
            limited && sets.size[own as usize] > most
        })
        .collect();
    if large.contains(&true) {
        for i in (0..n).filter(|i| large[*i as usize]) {
            (sets.parent[i as usize], sets.size[i as usize]) = (i, 1);
        }
        for level in (1..=SAMENESS).rev().filter(|level| there[*level]) {
            each(
                near,
                pulse,
                |i| large[i],
                |i, other, same| {
                    if usize::from(same.level()) == level {
                        sets.join(i, other, most);
                    }
                },
            )?;
        }
    }
    let intents = (0..n).map(|i| near.query(sets.of(i) as usize)).collect();
    Ok((intents, wanted))
}

/// Each query that is `asked` for with each that is alike to it, in order.
fn each(
    near: &NearQueries,
    pulse: &mut Pulse<'_>,
    asked: impl Fn(usize) -> bool,
    mut take: impl FnMut(u32, u32, Same),
) -> Result<()> {
    let mut reader = near.reader();
    for i in 0..near.len() {
        if i.is_multiple_of(CHUNK) {
            pulse.beat()?;
        }
        if asked(i) {
            for one in reader.of(i)? {
                take(i as u32, one.other, one.same);
            }
        }
    }
    Ok(())
}
