//! Which queries are alike, and how much: by satisfied clicks, and by words.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::related::{COSINE_UNIT, RelatedConfig, related};
use crate::workers;

use super::agreement::ByWords;
use super::words::Words;

/// Alike queries that are listened to, nearest first.
const NEAREST: usize = 64;
/// Queries of the same clicks that are looked at, nearest first.
const NEAREST_BY_CLICKS: usize = 100;
/// A document clicked for more queries says nothing of intent, and costs the square of their number.
const MAX_QUERIES_PER_DOCUMENT: usize = 200;
/// Likewise a word, by which queries are found that may be alike; whether they are, all their words say. What is asked with
/// such words alone is asked often: there clicks tell.
const MAX_QUERIES_PER_WORD: usize = 250;
/// Queries that a worker takes at a time.
const CHUNK: usize = 256;

/// Above which cosines queries are alike, and above which they are of the same intent; 1 switches a sign off.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Likeness {
    /// Of satisfied clicks: alike.
    pub alike_clicks: f64,
    /// Of words: alike.
    pub alike_words: f64,
    /// Of satisfied clicks: the same.
    pub same_clicks: f64,
    /// Of words: the same.
    pub same_words: f64,
}

impl Likeness {
    /// Whether any sign makes queries alike.
    ///
    /// # Errors
    /// [`Error::usage`] for a cosine outside 0 to 1.
    pub(crate) fn is_on(&self) -> Result<bool> {
        self.check()?;
        Ok(self.by_clicks() < 1.0 || self.by_words() < 1.0)
    }

    fn by_clicks(&self) -> f64 {
        self.alike_clicks.min(self.same_clicks)
    }

    fn by_words(&self) -> f64 {
        self.alike_words.min(self.same_words)
    }

    fn check(&self) -> Result<()> {
        for (name, cosine) in [
            ("alike_clicks", self.alike_clicks),
            ("alike_words", self.alike_words),
            ("same_intent_clicks", self.same_clicks),
            ("same_intent_words", self.same_words),
        ] {
            if !(cosine > 0.0 && cosine <= 1.0) {
                return Err(Error::usage(format!(
                    "select.{name} must be above 0 and at most 1 (1 switches it off)"
                )));
            }
        }
        Ok(())
    }
}

/// An alike query: all that is asked of it later, as there are up to [`NEAREST`] for each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Near {
    /// Its number.
    pub(super) other: u32,
    /// How alike the words are.
    pub(super) words: ByWords,
    /// Whether it is of the same intent.
    pub(super) same_intent: bool,
}

/// A query that is found alike.
#[derive(Clone, Copy)]
struct Found {
    /// Its number.
    other: u32,
    /// Cosine of satisfied clicks in [`COSINE_UNIT`]s, 0 where it was not among the nearest.
    clicks: u32,
    /// Cosine of words.
    words: f64,
}

impl Found {
    /// By the stronger sign.
    fn likeness(&self) -> f64 {
        self.words.max(cosine(self.clicks))
    }

    /// Nearest first.
    fn order(&self, other: &Self) -> Ordering {
        other.likeness().total_cmp(&self.likeness()).then(self.other.cmp(&other.other))
    }

    fn near(&self, likeness: Likeness) -> Near {
        let same_intent = self.words > likeness.same_words || cosine(self.clicks) > likeness.same_clicks;
        Near { other: self.other, words: ByWords::of(self.words), same_intent }
    }
}

/// Keeps the nearest, in no order; returns the likeness of the farthest of them, or 0 where there is room for more.
fn nearest(found: &mut Vec<Found>) -> f64 {
    if found.len() < NEAREST {
        return 0.0;
    }
    let farthest = found.select_nth_unstable_by(NEAREST - 1, Found::order).1.likeness();
    found.truncate(NEAREST);
    farthest
}

fn cosine(units: u32) -> f64 {
    f64::from(units) * COSINE_UNIT
}

/// Satisfied clicks by (query, document), ascending, as they may be shown.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Satisfied {
    pub(crate) queries: Vec<u64>,
    pub(crate) docs: Vec<u64>,
    pub(crate) clicks: Vec<u32>,
}

/// Queries with a satisfied click, by number, and those that are alike.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct NearQueries {
    /// Codes, ascending.
    queries: Vec<u64>,
    /// Where the alike queries of each end.
    ends: Vec<usize>,
    near: Vec<Near>,
}

impl NearQueries {
    /// `text` knows the text of each query with a satisfied click.
    pub(super) fn new<'t>(
        clicks: Satisfied,
        text: impl Fn(u64) -> &'t str,
        likeness: Likeness,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let (by_clicks, by_words) = (likeness.by_clicks(), likeness.by_words());
        let mut queries = clicks.queries.clone();
        queries.dedup();
        let by_click = if by_clicks < 1.0 {
            let config = RelatedConfig {
                top_related: NEAREST_BY_CLICKS,
                min_queries_per_document: 2,
                max_queries_per_document: MAX_QUERIES_PER_DOCUMENT,
                top_documents: 0,
            };
            let mut beat = |_| pulse.beat();
            related(&clicks.queries, &clicks.docs, &clicks.clicks, &config, threads, &mut beat)?.related
        } else {
            Vec::new()
        };
        drop(clicks);
        let texts: Vec<&str> = queries.iter().map(|q| text(*q)).collect();
        let words = Words::new(&texts)?;
        let index = words.index(by_words, MAX_QUERIES_PER_WORD);
        let chunks = queries.len().div_ceil(CHUNK);
        let done: Mutex<Vec<(Vec<usize>, Vec<Near>)>> = Mutex::new(vec![Default::default(); chunks]);
        workers::each(
            chunks,
            workers::threads(threads),
            || pulse.beat(),
            || (index.search(), Vec::new()),
            |(search, found), chunk| {
                let mut out: (Vec<usize>, Vec<Near>) = Default::default();
                for query in chunk * CHUNK..((chunk + 1) * CHUNK).min(queries.len()) {
                    let start = by_click.partition_point(|r| (r.query as usize) < query);
                    let own = by_click[start..].iter().take_while(|r| r.query as usize == query);
                    // Whatever one sign finds, the other weighs too.
                    search.begin(query);
                    found.clear();
                    found.extend(own.filter(|r| cosine(r.cosine) > by_clicks).map(|r| {
                        let words = search.compare(r.related as usize);
                        Found { other: r.related, clicks: r.cosine, words }
                    }));
                    for step in 0..search.steps() {
                        // Rounding may take a little of the most that is possible.
                        if nearest(found) > search.most(step) * (1.0 + 1e-12) {
                            break;
                        }
                        search.step(step, |other, words| found.push(Found { other, clicks: 0, words }));
                    }
                    nearest(found);
                    found.sort_unstable_by(Found::order);
                    out.1.extend(found.iter().map(|found| found.near(likeness)));
                    out.0.push(out.1.len());
                }
                done.lock().unwrap_or_else(PoisonError::into_inner)[chunk] = out;
                Ok(())
            },
            |_| Ok(()),
        )?;
        let mut out = Self { queries, ..Self::default() };
        for (ends, near) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let base = out.near.len();
            out.ends.extend(ends.iter().map(|end| base + end));
            out.near.extend(near);
        }
        Ok(out)
    }

    /// How many queries.
    pub(super) fn len(&self) -> usize {
        self.queries.len()
    }

    /// Code of a query.
    pub(super) fn query(&self, i: usize) -> u64 {
        self.queries[i]
    }

    /// Number of a query, if it has a satisfied click.
    pub(super) fn index(&self, query: u64) -> Option<usize> {
        self.queries.binary_search(&query).ok()
    }

    /// The queries alike.
    pub(super) fn of(&self, i: usize) -> &[Near] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.near[start..self.ends[i]]
    }

    /// For each query the code of the one that stands for all that are of the same intent, directly or through others.
    pub(super) fn intents(&self) -> Vec<u64> {
        let mut parent: Vec<u32> = (0..self.len() as u32).collect();
        fn root(parent: &mut [u32], mut i: u32) -> u32 {
            while parent[i as usize] != i {
                parent[i as usize] = parent[parent[i as usize] as usize];
                i = parent[i as usize];
            }
            i
        }
        for i in 0..self.len() {
            for near in self.of(i).iter().filter(|near| near.same_intent) {
                let (a, b) = (root(&mut parent, i as u32), root(&mut parent, near.other));
                // The lower number stands for both, whatever the order.
                parent[a.max(b) as usize] = a.min(b);
            }
        }
        (0..self.len() as u32).map(|i| self.queries[root(&mut parent, i) as usize]).collect()
    }

    /// Which queries have one alike, or are one: codes, ascending.
    pub(super) fn wanted(&self) -> Vec<u64> {
        let mut wanted: Vec<bool> = (0..self.len()).map(|i| !self.of(i).is_empty()).collect();
        self.near.iter().for_each(|near| wanted[near.other as usize] = true);
        self.queries.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(query, _)| *query).collect()
    }

    /// Those that `own` are, with the ones alike to them, which have none themselves; and their numbers here.
    pub(super) fn excerpt(&self, own: impl Fn(usize) -> bool) -> (Self, Vec<usize>) {
        let mut kept: Vec<usize> = (0..self.len()).filter(|i| own(*i)).collect();
        let asked = kept.clone();
        kept.extend(asked.iter().flat_map(|i| self.of(*i)).map(|near| near.other as usize));
        kept.sort_unstable();
        kept.dedup();
        let mut out = Self { queries: kept.iter().map(|i| self.queries[*i]).collect(), ..Self::default() };
        let number = |other: u32| kept.partition_point(|i| *i < other as usize) as u32;
        for i in &kept {
            if own(*i) {
                out.near.extend(self.of(*i).iter().map(|near| Near { other: number(near.other), ..*near }));
            }
            out.ends.push(out.near.len());
        }
        (out, kept)
    }
}
