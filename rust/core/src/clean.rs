//! Configuration of counting, and the rules that tell programs from people by their own behaviour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::page::Page;
use crate::records::Row;
use crate::time::{DAY, NULL_TIME};

/// Window and surface filters (count, 1).
#[derive(Debug, Default, Clone)]
pub struct Window {
    /// Microseconds.
    pub since: Option<i64>,
    /// Microseconds.
    pub until: Option<i64>,
    /// Empty: all.
    pub surfaces: Vec<String>,
}

/// Options of counting; see docs/ARCHITECTURE.md, count. Times are microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountConfig {
    /// Impressions of one (user, query, document) that count; 0 for all.
    pub max_votes: usize,
    /// (query, document) pairs of one user that table `bounded` counts; 0 does without the table.
    pub max_pairs_per_user: usize,
    /// A click is satisfied from this dwell time on.
    pub satisfied_dwell_ms: i32,
    /// An idle gap above this ends a session, in minutes.
    pub session_gap_minutes: f64,
    /// Shorter pages are left out.
    pub min_page_length: usize,
    /// Lower impressions are left out.
    pub max_position: u32,
    /// `drop` or `keep`.
    pub robots: Robots,
    /// More pages a day than this is a robot.
    pub max_searches_per_day: u64,
    /// Clicks per impression above this is a robot.
    pub max_click_rate: f64,
    /// Clicks per impression below this is a robot.
    pub min_click_rate: f64,
    /// A lower median dwell is a robot.
    pub min_median_dwell_ms: i32,
    /// Surfaces to keep; empty keeps all.
    pub surfaces: Vec<String>,
    /// Start of the window.
    pub since: Option<i64>,
    /// End of the window, exclusive; decay is measured from here.
    pub until: Option<i64>,
    /// Half-life of pages.
    pub half_life_days: Option<f64>,
    /// Count whole pages.
    pub page_counts: bool,
    /// Count preferences and successions.
    pub preferences: bool,
    /// Keep previous_click and fold apart in `cells`.
    pub cell_detail: bool,
}

/// What to do with robots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Robots {
    /// Leave them out.
    Drop,
    /// Count them.
    Keep,
}

/// Exponential decay by thinning.
#[derive(Clone, Copy)]
pub struct Decay {
    until: i64,
    half_life: f64,
}

impl Decay {
    /// Whether a page of this time and hash stays.
    pub fn keeps(self, time: i64, hash: u64) -> bool {
        let age = self.until.saturating_sub(time) as f64 / DAY as f64;
        (hash as f64 / 2_f64.powi(64)) < (-age / self.half_life).exp2()
    }
}

impl CountConfig {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`Error::usage`] naming the option.
    pub fn check(&self, has_times: bool, has_surface: bool) -> Result<()> {
        if !has_times && (self.since.is_some() || self.until.is_some() || self.half_life_days.is_some()) {
            return Err(Error::usage(
                "since, until and half_life_days need a timestamp column, and the log has none",
            ));
        }
        if self.half_life_days.is_some() && self.until.is_none() {
            return Err(Error::usage("half_life_days needs until: the time from which ages are measured"));
        }
        if self.half_life_days.is_some_and(|h| h.is_nan() || h <= 0.0) {
            return Err(Error::usage("half_life_days must be above 0"));
        }
        if !has_surface && !self.surfaces.is_empty() {
            return Err(Error::usage("surfaces needs a surface column, and the log has none"));
        }
        Ok(())
    }

    /// Options that counts to be merged must have been counted with alike, by name: all but the window, which parts of a
    /// log may differ in, and the tables, which counts say themselves.
    ///
    /// # Errors
    /// None that can be caused: [`Error::internal`].
    pub fn shared(&self) -> Result<BTreeMap<String, String>> {
        let own = ["since", "until", "max_pairs_per_user", "page_counts", "preferences", "cell_detail"];
        match serde_json::to_value(self) {
            // As text: numbers, too, are then the same when they come back from a file.
            Ok(Value::Object(all)) => Ok(all
                .into_iter()
                .filter(|(name, _)| !own.contains(&name.as_str()))
                .map(|(name, value)| (name, value.to_string()))
                .collect()),
            _ => Err(Error::internal("options that are no JSON object")),
        }
    }

    /// The decay asked for.
    pub fn decay(&self) -> Option<Decay> {
        Some(Decay { half_life: self.half_life_days?, until: self.until? })
    }

    /// Session gap in microseconds.
    pub fn session_gap(&self) -> i64 {
        (self.session_gap_minutes * 60e6) as i64
    }

    /// Filters that act before cleaning.
    pub fn window(&self) -> Window {
        Window { since: self.since, until: self.until, surfaces: self.surfaces.clone() }
    }
}

/// Why a user is a robot, by their own pages alone; thresholds are public constants.
///
/// Sources: pages a day, MjoLniR; click rates and dwell, measured on simulated robots.
pub fn robot(config: &CountConfig, has_times: bool, pages: &[Page], rows: &[Row]) -> Option<&'static str> {
    if config.robots == Robots::Keep {
        return None;
    }
    if has_times {
        // Pages are in order of time.
        let day = |p: &&Page| p.time.div_euclid(DAY);
        let timed: Vec<&Page> = pages.iter().filter(|p| p.time != NULL_TIME).collect();
        let busiest = timed.chunk_by(|a, b| day(a) == day(b)).map(<[_]>::len).max().unwrap_or(0);
        if busiest as u64 > config.max_searches_per_day {
            return Some("robot_searches");
        }
    }
    let impressions: usize = pages.iter().map(|p| p.end - p.start).sum();
    if impressions < 100 && pages.len() < 30 && pages.iter().filter(|p| p.clicked).count() < 1 {
        return None;
    }
    let mut clicks = 0_usize;
    let mut dwells: Vec<i32> = Vec::new();
    for row in pages.iter().flat_map(|p| &rows[p.start..p.end]).filter(|r| r.clicked) {
        clicks += 1;
        if row.dwell_ms >= 0 {
            dwells.push(row.dwell_ms);
        }
    }
    let rate = clicks as f64 / impressions as f64;
    if impressions >= 100 && rate > config.max_click_rate {
        return Some("robot_clicks");
    }
    if pages.len() >= 30 && rate < config.min_click_rate {
        return Some("robot_no_clicks");
    }
    if dwells.len() >= 10 {
        dwells.sort_unstable();
        let median = dwells[(dwells.len() - 1) / 2];
        if median < config.min_median_dwell_ms || dwells[0] == dwells[dwells.len() - 1] {
            return Some("robot_dwell");
        }
    }
    None
}
