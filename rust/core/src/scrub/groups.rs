//! The digits of a text, as people group them.

use std::ops::Range;

use super::shadow::MASK;

/// More groups than this no number has.
const MOST: usize = 8;

/// A run of digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What stands between the group before and this one can stand inside one number.
    pub(super) joined: bool,
    /// Likewise, or it is an underscore.
    pub(super) linked: bool,
}

impl Group {
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }
}

/// All runs of digits of a text.
pub(super) struct Groups<'a> {
    pub(super) text: &'a str,
    pub(super) all: Vec<Group>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut all: Vec<Group> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if !bytes[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            let gap = all.last().map(|before| &text[before.end..at]);
            let joined = gap.is_some_and(joins);
            all.push(Group { start: at, end, joined, linked: joined || gap == Some("_") });
            at = end;
        }
        Self { text, all }
    }

    /// How many groups from `i` on, at most, belong to one number.
    pub(super) fn joined(&self, i: usize) -> usize {
        1 + self.all[i + 1..].iter().take(MOST).take_while(|g| g.joined).count()
    }

    /// Likewise where underscores join, too.
    pub(super) fn linked(&self, i: usize) -> usize {
        1 + self.all[i + 1..].iter().take(MOST).take_while(|g| g.linked).count()
    }

    /// Likewise where any one sign joins, the same each time; at most five.
    pub(super) fn signed(&self, i: usize) -> usize {
        let Some(first) = self.all.get(i + 1).map(|_| self.gap(i + 1)) else { return 1 };
        let mut chars = first.chars();
        let sign = chars.next().is_some_and(|c| !c.is_alphanumeric() && c != MASK) && chars.next().is_none();
        let rest = i + 1..self.all.len().min(i + 5);
        if sign { 1 + rest.take_while(|j| self.gap(*j) == first).count() } else { 1 }
    }

    /// Digits (0–9) of some groups.
    pub(super) fn digits(&self, groups: Range<usize>) -> Vec<u8> {
        let bytes = self.text.as_bytes();
        self.all[groups].iter().flat_map(|g| bytes[g.start..g.end].iter().map(|b| b - b'0')).collect()
    }

    /// Lengths of some groups.
    pub(super) fn lengths(&self, groups: Range<usize>) -> Vec<usize> {
        self.all[groups].iter().map(|g| g.len()).collect()
    }

    /// Whether these are the end of a number that began before, as `0 261` is of `0 261 230 145`; or one that is rounded.
    /// What was found before ends at `taken`: that is no beginning.
    pub(super) fn is_tail(&self, groups: &Range<usize>, taken: usize) -> bool {
        let first = self.all[groups.start];
        // What is not held together by spaces does not go on across one.
        let spaced = groups.len() < 2 || self.gap(groups.start + 1) == " ";
        let before = spaced
            && first.joined
            && self.gap(groups.start) == " "
            && self.all[groups.start - 1].len() <= 3
            && self.all[groups.start - 1].start >= taken;
        let last = self.all[groups.end - 1];
        before || &self.text[last.start..last.end] == "000"
    }

    /// Whether this is in threes as large quantities are, and what follows says that it is one.
    pub(super) fn is_quantity(&self, groups: &Range<usize>) -> bool {
        let threes = self.all[groups.start + 1..groups.end].iter().all(|g| g.len() == 3);
        threes && QUANTITIES.contains(&super::hint_after(self.text, self.all[groups.end - 1].end).as_str())
    }

    /// Where some groups lie.
    pub(super) fn range(&self, groups: Range<usize>) -> Range<usize> {
        self.all[groups.start].start..self.all[groups.end - 1].end
    }

    /// What stands before group `i`, up to the group before.
    pub(super) fn gap(&self, i: usize) -> &'a str {
        let from = if i == 0 { 0 } else { self.all[i - 1].end };
        &self.text[from..self.all[i].start]
    }

    /// Whether all gaps inside some groups are the same single character, one of `allowed`.
    pub(super) fn evenly(&self, groups: Range<usize>, allowed: &[char]) -> bool {
        let mut gaps = (groups.start + 1..groups.end).map(|i| self.gap(i));
        let Some(first) = gaps.next() else { return true };
        let mut chars = first.chars();
        let one =
            chars.next().is_some_and(|c| allowed.contains(&c) || (allowed.contains(&'-') && is_dash(c)));
        one && chars.next().is_none() && gaps.all(|gap| gap == first)
    }
}

/// What numbers in threes are counted in.
const QUANTITIES: [&str; 38] = [
    "km",
    "miles",
    "meter",
    "meters",
    "metres",
    "people",
    "population",
    "inhabitants",
    "residents",
    "einwohner",
    "einwohnern",
    "menschen",
    "habitants",
    "habitantes",
    "abitanti",
    "mieszka\u{144}c\u{f3}w",
    "bev\u{f6}lkerung",
    "\u{43d}\u{430}\u{441}\u{435}\u{43b}\u{435}\u{43d}\u{438}\u{435}",
    "\u{4eba}\u{53e3}",
    "usd",
    "eur",
    "gbp",
    "dollars",
    "dollar",
    "euro",
    "euros",
    "yen",
    "rupees",
    "debt",
    "years",
    "tons",
    "tonnes",
    "votes",
    "views",
    "followers",
    "subscribers",
    "kg",
    "bytes",
];

/// Hyphens and dashes that are written for one.
pub(super) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn joins(gap: &str) -> bool {
    !gap.is_empty()
        && gap.chars().count() <= 3
        && gap.chars().all(|c| matches!(c, ' ' | '.' | '/' | '(' | ')') || is_dash(c))
}
