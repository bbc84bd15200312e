//! What counts say beside their tables, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, Has};
use crate::error::{Error, Result};
use crate::impressions::ReadStats;
use crate::logged::Logged;
use crate::packed::Sizes;
use crate::parts::Parts;
use crate::strings::Strings;

/// Reasons and notations that counts can hold. Those in memory are `'static`, so a file's are looked up here.
const KNOWN: [&str; 49] = [
    "api_key",
    "beyond_max_position",
    "beyond_max_votes",
    "card",
    "click_ms_impossible",
    "clicked_impossible",
    "code_clash",
    "decayed",
    "detector",
    "duplicate_impression",
    "dwell_impossible",
    "email",
    "epoch_ms",
    "epoch_ns",
    "epoch_s",
    "epoch_us",
    "gps",
    "iban",
    "invalid_utf8",
    "ip",
    "iso8601",
    "jwt",
    "long_number",
    "mac",
    "n_clicks_impossible",
    "national_id",
    "null_clicked",
    "null_doc_id",
    "null_query",
    "null_search_id",
    "null_timestamp",
    "null_user_id",
    "other_surface",
    "outside_window",
    "oversized_page",
    "personal_data",
    "phone",
    "position_impossible",
    "propensity_impossible",
    "query_too_long",
    "robot_clicks",
    "robot_dwell",
    "robot_no_clicks",
    "robot_searches",
    "short_page",
    "timestamp",
    "timestamp_impossible",
    "timestamp_unreadable",
    "url_token",
];

/// The facts of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    pub(super) has: Has,
    pub(super) options: BTreeMap<String, String>,
    rows: u64,
    quarantine: BTreeMap<String, u64>,
    notations: BTreeMap<String, u64>,
    scrubbed: BTreeMap<String, u64>,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) users: u64,
    pub(super) position_users: Vec<[u32; 2]>,
    pub(super) disjoint: bool,
    /// Codes of queries, and of documents, that several strings of the log share.
    #[serde(default, skip_serializing_if = "none")]
    clashes: [Vec<u64>; 2],
    /// Propensities that the log brought.
    #[serde(default, skip_serializing_if = "Logged::is_empty")]
    logged: Logged,
    /// Of which parts of a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<Parts>,
    /// Where they are released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gate: Option<Gate>,
}

/// What a release knows beside its tables.
#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    pub(super) k: Option<u32>,
    pub(super) before: [u64; Sizes::TABLES],
    /// Number of the part of the queries, and of how many.
    pub(super) part: Option<(u32, u32)>,
}

fn none(clashes: &[Vec<u64>; 2]) -> bool {
    clashes.iter().all(Vec::is_empty)
}

impl Facts {
    /// Those of counts.
    pub(super) fn of(counts: &Counts) -> Result<Self> {
        Ok(Self {
            has: counts.has,
            options: counts.options.clone(),
            rows: counts.read.rows,
            quarantine: named(&counts.read.quarantine)?,
            notations: named(&counts.read.notations)?,
            scrubbed: named(&counts.read.scrubbed)?,
            dropped: named(&counts.dropped)?,
            users: counts.users,
            position_users: counts.position_users.clone(),
            disjoint: counts.disjoint,
            parts: counts.parts.clone(),
            gate: None,
            logged: counts.read.logged.clone(),
            clashes: [counts.query_strings.clashes().to_vec(), counts.doc_strings.clashes().to_vec()],
        })
    }

    /// Notes in each list of strings which codes it lacks because several share them; None where it has one.
    pub(super) fn note_clashes(&self, strings: &mut [Strings; 2]) -> Option<()> {
        for (codes, strings) in self.clashes.iter().zip(strings) {
            let sound = codes.is_sorted_by(|a, b| a < b) && codes.iter().all(|c| strings.find(*c).is_none());
            sound.then(|| codes.iter().for_each(|code| strings.push_clash(*code)))?;
        }
        Some(())
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|_| Error::internal("facts of counts that are no JSON"))
    }

    /// None where it is not what [`Facts::to_json`] makes.
    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn read(&self) -> Option<ReadStats> {
        // Beyond what any log has: sums of several must not overflow.
        let all = [&self.quarantine, &self.notations, &self.scrubbed, &self.dropped];
        let counts = all.into_iter().flat_map(BTreeMap::values).chain([&self.rows, &self.users]);
        let seed = self.options.get("seed").is_none_or(|seed| seed.parse::<u64>().is_ok());
        (counts.into_iter().all(|n| *n < 1 << 48) && self.logged.sound() && seed).then_some(())?;
        Some(ReadStats {
            rows: self.rows,
            quarantine: known(&self.quarantine)?,
            notations: known(&self.notations)?,
            scrubbed: known(&self.scrubbed)?,
            logged: self.logged.clone(),
        })
    }
}

/// The names in memory; None where one is not known.
pub(super) fn known(names: &BTreeMap<String, u64>) -> Option<BTreeMap<&'static str, u64>> {
    names.iter().map(|(name, n)| Some((KNOWN[KNOWN.binary_search(&name.as_str()).ok()?], *n))).collect()
}

/// The names for a file. One that could not be loaded again is not saved.
fn named(names: &BTreeMap<&'static str, u64>) -> Result<BTreeMap<String, u64>> {
    let named = names.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    match known(&named) {
        Some(_) => Ok(named),
        None => Err(Error::internal("counts with a reason that their file format does not know")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_sorted_and_each_is_its_own() {
        assert!(KNOWN.is_sorted_by(|a, b| a < b));
        for name in KNOWN {
            assert_eq!(known(&BTreeMap::from([(name.into(), 7)])), Some(BTreeMap::from([(name, 7)])));
        }
        assert_eq!(known(&BTreeMap::from([("moan".into(), 1)])), None);
    }

    /// Every name that the stages count by, as it stands in their code.
    #[test]
    fn all_names_are_known() {
        let stages = [
            include_str!("../impressions.rs"),
            include_str!("../anonymize.rs"),
            include_str!("../bound.rs"),
            include_str!("../clean.rs"),
            include_str!("../job.rs"),
            include_str!("../time.rs"),
        ];
        let begins = ["count(\"", "entry(\"", "drop_rows(\"", "Some(\"", "tally(\"", "then_some(\"", ", \""];
        let mut found = 0;
        for code in stages {
            for (at, begin) in begins.iter().flat_map(|b| code.match_indices(b)) {
                let name = code[at + begin.len()..].split('"').next().unwrap_or_default();
                let reasons =
                    ["null_", "robot_", "epoch_", "beyond_", "outside_", "other_", "code_", "over", "short_"];
                let ends =
                    ["_impossible", "_unreadable", "_impression", "_long", "_utf8", "decayed", "iso8601"];
                if reasons.iter().any(|r| name.starts_with(r)) || ends.iter().any(|e| name.ends_with(e)) {
                    found += 1;
                    assert!(KNOWN.contains(&name), "{name}");
                }
            }
        }
        assert!(found > 25, "{found}");
    }
}
