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
const MAX_QUERIES_PER_WORD: usize = 250;

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
    /// Cosine of satisfied clicks in [`COSINE_UNIT`]s, 0 where it was not among the nearest.
    pub(super) clicks: u32,
    /// Cosine of words.
    pub(super) words: f64,
}

impl Near {
    pub(super) fn same_intent(&self, likeness: Likeness) -> bool {
        self.words > likeness.same_words || cosine(self.clicks) > likeness.same_clicks
    }
}

fn cosine(units: u32) -> f64 {
    f64::from(units) * COSINE_UNIT
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
        // Whatever one sign finds, the other weighs too.
        let mut found: Vec<(u32, Near)> = Vec::new();
        if by_clicks < 1.0 {
            let config = RelatedConfig {
                top_related: NEAREST_BY_CLICKS,
                min_queries_per_document: 2,
                max_queries_per_document: MAX_QUERIES_PER_DOCUMENT,
                top_documents: 0,
            };
            let made = related(&clicks.queries, &clicks.docs, &clicks.clicks, &config, threads, &mut |_| {
                pulse.beat()
            })?;
            let near = made.related.iter().filter(|r| cosine(r.cosine) > by_clicks);
            found.extend(near.map(|r| (r.query, Near { other: r.related, clicks: r.cosine, words: 0.0 })));
        }
        drop(clicks);
        let texts: Vec<&str> = queries.iter().map(|q| released.query_strings.get(*q)).collect();
        let words = Words::new(&texts);
        for (query, near) in &mut found {
            near.words = words.cosine(*query as usize, near.other as usize);
        }
        if by_words < 1.0 {
            let alike = words.alike(by_words, MAX_QUERIES_PER_WORD, NEAREST, threads, pulse)?;
            found.extend(
                alike.into_iter().map(|(query, other, words)| (query, Near { other, clicks: 0, words })),
            );
        }
        // Of a pair that both signs found, the row with the clicks comes first.
        found.sort_unstable_by_key(|(query, near)| (*query, near.other, std::cmp::Reverse(near.clicks)));
        found.dedup_by_key(|(query, near)| (*query, near.other));
        let mut out = Self { queries, ..Self::default() };
        let mut rest = found.as_mut_slice();
        for query in 0..out.queries.len() as u32 {
            let (own, more) = rest.split_at_mut(rest.partition_point(|(q, _)| *q == query));
            // Stable: of equals the first stay.
            own.sort_by(|(_, a), (_, b)| {
                b.words.max(cosine(b.clicks)).total_cmp(&a.words.max(cosine(a.clicks)))
            });
            out.near.extend(own.iter().take(NEAREST).map(|(_, near)| *near));
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

    /// For each query the code of the one that stands for all that are of the same intent, directly or through others.
    pub(super) fn intents(&self, likeness: Likeness) -> Vec<u64> {
        let mut parent: Vec<u32> = (0..self.len() as u32).collect();
        fn root(parent: &mut [u32], mut i: u32) -> u32 {
            while parent[i as usize] != i {
                parent[i as usize] = parent[parent[i as usize] as usize];
                i = parent[i as usize];
            }
            i
        }
        for i in 0..self.len() {
            for near in self.of(i).iter().filter(|near| near.same_intent(likeness)) {
                let (a, b) = (root(&mut parent, i as u32), root(&mut parent, near.other));
                // The lower number stands for both, whatever the order.
                parent[a.max(b) as usize] = a.min(b);
            }
        }
        (0..self.len() as u32).map(|i| self.queries[root(&mut parent, i) as usize]).collect()
    }

    /// Which queries have one alike, or are one.
    pub(super) fn wanted(&self) -> Vec<bool> {
        let mut out: Vec<bool> = (0..self.len()).map(|i| !self.of(i).is_empty()).collect();
        self.near.iter().for_each(|near| out[near.other as usize] = true);
        out
    }
}
