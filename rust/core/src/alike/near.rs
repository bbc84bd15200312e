//! Which queries are alike, and how much: by satisfied clicks, and by words.

use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::related::{COSINE_UNIT, Clicks, RelatedConfig, related};
use crate::release::Released;

use super::words::Words;

/// Alike queries that are listened to, nearest first.
const NEAREST: usize = 64;
/// Queries of the same clicks that are looked at, nearest first.
const NEAREST_BY_CLICKS: usize = 100;
/// A document clicked for more queries says nothing of intent, and costs the square of their number.
const MAX_QUERIES_PER_DOCUMENT: usize = 200;
/// Likewise a word, by which queries are found that may be alike; whether they are, all their words say. What is asked with
/// such words alone is asked often: there clicks tell.
const MAX_QUERIES_PER_WORD: usize = 1_000;

/// Above which cosines queries are alike, and above which they are of the same intent; 1 switches a sign off.
#[derive(Debug, Clone, Copy)]
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

/// An alike query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    /// Its number.
    pub(super) other: u32,
    /// Cosine of words; 0 where neither sign of the query asked for them.
    pub(super) words: f32,
    /// Cosine of satisfied clicks, 0 where it was not among the nearest.
    pub(super) clicks: f32,
}

impl Near {
    pub(super) fn same_intent(&self, likeness: Likeness) -> bool {
        f64::from(self.words) > likeness.same_words || f64::from(self.clicks) > likeness.same_clicks
    }
}

/// Queries with a satisfied click, by number, and those that are alike.
#[derive(Default)]
pub(super) struct NearQueries {
    /// Codes, ascending.
    queries: Vec<u64>,
    /// Where the alike queries of each end.
    ends: Vec<usize>,
    near: Vec<Near>,
}

impl NearQueries {
    pub(super) fn new(
        released: &Released,
        likeness: Likeness,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        likeness.check()?;
        let by_clicks = likeness.alike_clicks.min(likeness.same_clicks);
        let by_words = likeness.alike_words.min(likeness.same_words);
        if by_clicks >= 1.0 && by_words >= 1.0 {
            return Ok(Self::default());
        }
        let clicks = Clicks::satisfied(released, pulse)?;
        let mut queries = clicks.queries.clone();
        queries.dedup();
        // (query, other, cosine of words, of clicks): whatever one sign finds, the other weighs too.
        let mut found: Vec<(u32, u32, f32, f32)> = Vec::new();
        if by_clicks < 1.0 {
            let config = RelatedConfig {
                top_related: NEAREST_BY_CLICKS,
                min_queries_per_document: 2,
                max_queries_per_document: MAX_QUERIES_PER_DOCUMENT,
                top_documents: 0,
            };
            let made =
                related(&clicks.queries, &clicks.docs, &clicks.clicks, &config, threads, &mut |_| {
                    pulse.beat()
                })?;
            found.extend(made.related.iter().filter_map(|r| {
                let cosine = f64::from(r.cosine) * COSINE_UNIT;
                (cosine > by_clicks).then_some((r.query, r.related, 0.0, cosine as f32))
            }));
        }
        drop(clicks);
        let texts: Vec<&str> = queries.iter().map(|q| released.query_strings.get(*q)).collect();
        let words = Words::new(&texts);
        for row in &mut found {
            row.2 = words.cosine(row.0 as usize, row.1 as usize) as f32;
        }
        if by_words < 1.0 {
            let near = words.alike(by_words, MAX_QUERIES_PER_WORD, threads, pulse)?;
            let cosine = |a: u32, b: u32| words.cosine(a as usize, b as usize) as f32;
            found.extend(near.into_iter().map(|(a, b)| (a, b, cosine(a, b), 0.0)));
        }
        // Of a pair that both signs found, the row with the clicks comes first.
        found.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.3.total_cmp(&a.3)));
        found.dedup_by_key(|row| (row.0, row.1));
        let mut out = Self { queries, ..Self::default() };
        let mut rest = found.as_mut_slice();
        for query in 0..out.queries.len() as u32 {
            let n = rest.partition_point(|row| row.0 == query);
            let (own, more) = rest.split_at_mut(n);
            own.sort_by(|a, b| b.2.max(b.3).total_cmp(&a.2.max(a.3)));
            out.near.extend(
                own.iter().take(NEAREST).map(|(_, other, words, clicks)| Near {
                    other: *other,
                    words: *words,
                    clicks: *clicks,
                }),
            );
            out.ends.push(out.near.len());
            rest = more;
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

    /// Which queries have one alike, or are one.
    pub(super) fn wanted(&self) -> Vec<bool> {
        let mut out: Vec<bool> = (0..self.len()).map(|i| !self.of(i).is_empty()).collect();
        self.near.iter().for_each(|near| out[near.other as usize] = true);
        out
    }
}
