//! Parts of a log: by user, so that each is cleaned, bounded and counted alone; and of its counts: by query, so that each
//! is summed, released and selected from alone. Who knows which parts were seen can say which are missing.
//!
//! A user's part hangs on the code, a keyed hash, so parts of one key share no user. A query's part is a range of codes,
//! hashes too, so parts of counts stand in canonical order one after the other.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Parts that a log can have. More would be files of a few rows each.
const MOST: u32 = 1 << 20;

/// One of a number of parts, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nth {
    number: u32,
    of: u32,
}

impl Nth {
    /// Part `number` of `of`.
    ///
    /// # Errors
    /// [`Error::usage`] where there is no such part.
    pub fn new(number: u32, of: u32) -> Result<Self> {
        if number < of && of <= MOST {
            Ok(Self { number, of })
        } else {
            Err(Error::usage(format!(
                "part ({number}, {of}) does not exist; give (i, n) with i from 0 to n - 1 and n at most {MOST}"
            )))
        }
    }

    /// Whether the user of this code is of this part.
    #[inline]
    pub fn has_user(self, code: u64) -> bool {
        code % u64::from(self.of) == u64::from(self.number)
    }

    /// Whether the query of this code is of this part.
    #[inline]
    pub fn has_query(self, code: u64) -> bool {
        (u128::from(code) * u128::from(self.of)) >> 64 == u128::from(self.number)
    }

    /// Its number, from 0.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Of how many.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether it is the first.
    pub fn is_first(self) -> bool {
        self.number == 0
    }
}

impl std::fmt::Display for Nth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "part {} of {}", self.number, self.of)
    }
}

/// Which of a number of parts are here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    of: u32,
    /// Ascending.
    parts: Vec<u32>,
}

impl Seen {
    fn one(part: Nth) -> Self {
        Self { of: part.of, parts: vec![part.number] }
    }

    fn all() -> Self {
        Self { of: 1, parts: vec![0] }
    }

    fn is(&self, part: Nth) -> bool {
        *self == Self::one(part)
    }

    fn is_sound(&self) -> bool {
        self.parts.is_sorted_by(|a, b| a < b) && self.parts.last().is_some_and(|last| *last < self.of)
    }

    fn missing(&self) -> usize {
        self.of as usize - self.parts.len()
    }

    /// Both; `what` they are parts of.
    fn with(&self, other: &Self, what: &str) -> Result<Self> {
        if let Some(twice) = self.parts.iter().find(|p| other.parts.contains(p)) {
            return Err(Error::usage(format!(
                "part {twice} of {} of the {what} is in both; each part counts once",
                self.of
            )));
        }
        let mut parts = [self.parts.as_slice(), &other.parts].concat();
        parts.sort_unstable();
        Ok(Self { of: self.of, parts })
    }

    /// Refuses where parts are missing, and names the first of them.
    fn whole(&self, what: &str) -> Result<()> {
        if self.missing() == 0 {
            return Ok(());
        }
        let mut missing = (0..self.of).filter(|p| self.parts.binary_search(p).is_err());
        let named: Vec<String> = missing.by_ref().take(5).map(|p| p.to_string()).collect();
        let more = if missing.next().is_some() { ", …" } else { "" };
        Err(Error::usage(format!(
            "{} of {} parts of the {what} are missing ({}{more}); merge them first",
            self.missing(),
            self.of,
            named.join(", ")
        )))
    }
}

/// Of which parts counts are, and what all parts of a log have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// By user.
    users: Seen,
    /// By query.
    queries: Seen,
    /// Hash of the options that they were counted with.
    pub config: String,
    /// Name of the key by which users were told apart.
    pub key: String,
}

impl Parts {
    /// Counts of one part of the users, and of all their queries.
    pub fn of_users(part: Nth, config: String, key: String) -> Self {
        Self { users: Seen::one(part), queries: Seen::all(), config, key }
    }

    /// Of users and of queries: how many parts there are, and the numbers of these.
    pub fn seen(&self) -> [(u32, Vec<u32>); 2] {
        [&self.users, &self.queries].map(|seen| (seen.of, seen.parts.clone()))
    }

    /// The part of the users, where it is one.
    pub fn users(&self) -> Option<Nth> {
        match self.users.parts[..] {
            [number] => Some(Nth { number, of: self.users.of }),
            _ => None,
        }
    }

    /// The part of the queries, where it is one of several.
    pub fn queries(&self) -> Option<Nth> {
        match self.queries.parts[..] {
            [number] if self.queries.of > 1 => Some(Nth { number, of: self.queries.of }),
            _ => None,
        }
    }

    /// Some of the queries of these.
    ///
    /// # Errors
    /// [`Error::usage`] where they are of some queries already.
    pub fn cut(&self, part: Nth) -> Result<Self> {
        if self.queries != Seen::all() {
            return Err(Error::usage("these counts are split by query already; merge their parts first"));
        }
        Ok(Self { queries: Seen::one(part), ..self.clone() })
    }

    /// Whether what a file says can be.
    pub(crate) fn is_sound(&self) -> bool {
        self.users.is_sound() && self.queries.is_sound()
    }

    /// The parts of two counts together.
    ///
    /// # Errors
    /// [`Error::usage`] where they are of different logs, keys, options or splits, or share a part.
    pub fn with(&self, other: &Self) -> Result<Self> {
        let refused = |why: &str| Err(Error::usage(format!("these counts cannot be merged: {why}")));
        if self.key != other.key {
            return refused(
                "their users were told apart under different keys; count all parts under one key",
            );
        }
        if self.config != other.config {
            return refused("they were counted with different options; count all parts with the same");
        }
        if (self.users.of, self.queries.of) != (other.users.of, other.queries.of) {
            return refused("they are parts of different splits; split into the same number of parts");
        }
        if self.queries == other.queries {
            return Ok(Self { users: self.users.with(&other.users, "users")?, ..self.clone() });
        }
        if self.users == other.users {
            return Ok(Self { queries: self.queries.with(&other.queries, "queries")?, ..self.clone() });
        }
        refused(
            "they are of different users and of different queries; merge all users of the same queries first",
        )
    }

    /// Refuses counts of which users are missing, or queries other than those `asked` for.
    ///
    /// # Errors
    /// [`Error::usage`], and what is missing.
    pub fn whole(&self, asked: Option<Nth>) -> Result<()> {
        self.users.whole("users")?;
        match asked {
            Some(part) if self.queries.is(part) => Ok(()),
            Some(part) => Err(Error::usage(format!("these counts are not of {part} of the queries"))),
            None => self.queries.whole("queries"),
        }
    }
}

/// Refuses counts of which something is missing, as [`Parts::whole`]; counts of a whole log have all users.
///
/// # Errors
/// [`Error::usage`], and what is missing.
pub fn whole(parts: Option<&Parts>, asked: Option<Nth>) -> Result<()> {
    match (parts, asked) {
        (Some(parts), asked) => parts.whole(asked),
        (None, None) => Ok(()),
        (None, Some(part)) => Err(Error::usage(format!(
            "these counts are of a whole log, not of {part} of its queries; leave out part, or split them first"
        ))),
    }
}

/// The parts of two counts together; None of two that are of whole logs.
///
/// # Errors
/// [`Error::usage`] as [`Parts::with`], and where only one of them is a part.
pub fn both(one: Option<&Parts>, two: Option<&Parts>) -> Result<Option<Parts>> {
    match (one, two) {
        (Some(one), Some(two)) => one.with(two).map(Some),
        (None, None) => Ok(None),
        _ => Err(Error::usage(
            "these counts cannot be merged: one is a part of a log and the other is not; count both as parts, or neither",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

    use super::*;

    fn nth(number: u32, of: u32) -> Nth {
        Nth::new(number, of).unwrap()
    }

    #[test]
    fn every_code_is_of_one_part_and_parts_of_queries_are_in_order() {
        let codes = (0..2_000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).chain([0, u64::MAX]);
        for of in [1, 2, 3, 7, 64, 1_000, MOST] {
            let mut last = (0, 0);
            let mut sorted: Vec<u64> = codes.clone().collect();
            sorted.sort_unstable();
            for code in sorted {
                let users = (code % u64::from(of)) as u32;
                let queries = (f64::from(of) * (code as f64 / 2_f64.powi(64))) as u32;
                assert!(nth(users, of).has_user(code));
                let near = [queries.saturating_sub(1), queries.min(of - 1), (queries + 1).min(of - 1)];
                let here: Vec<u32> = near.into_iter().filter(|p| nth(*p, of).has_query(code)).collect();
                assert!(!here.is_empty() && here.iter().all(|p| *p == here[0]), "{code} {of}");
                assert!(last.1 <= here[0]);
                last = (code, here[0]);
                assert!(!nth((users + 1) % of, of).has_user(code) || of == 1);
            }
        }
    }

    #[test]
    fn parts_that_do_not_exist() {
        for (number, of) in [(0, 0), (1, 1), (7, 3), (0, MOST + 1)] {
            assert!(Nth::new(number, of).is_err(), "{number} {of}");
        }
    }
}
