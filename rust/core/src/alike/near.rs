//! Which queries are alike, and how much: by satisfied clicks, and by words.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::budget::{Budget, Held};
use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::related::{COSINE_UNIT, Graph, RelatedConfig, Search};
use crate::workers;

use super::agreement::ByWords;
use super::docs::Satisfying;
use super::lists::{self, CHUNK, Lists, Near, Reader, Same};
use super::satisfied::Satisfied;
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
    /// Whether queries are split by intent: then intents have a limit.
    pub split: bool,
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
        let by_words = Same::of(self.words, likeness.same_words);
        let same = by_words.max(Same::of(cosine(self.clicks), likeness.same_clicks));
        Near { other: self.other, words: ByWords::of(self.words), same }
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

/// Queries with a satisfied click, by number, and those that are alike.
#[derive(Default)]
pub(super) struct NearQueries {
    /// Codes, ascending.
    queries: Vec<u64>,
    lists: Lists,
    satisfying: Satisfying,
    _held: Option<Held>,
}

/// Those of some queries, to be sent.
#[derive(Serialize, Deserialize)]
pub(super) struct NearExcerpt {
    queries: Vec<u64>,
    lists: Vec<Vec<u8>>,
    satisfying: Satisfying,
}

impl NearQueries {
    /// `text` knows the text of each query with a satisfied click. Lists go to the spill where `budget` is used up; what is
    /// looked up while they are made does not.
    pub(super) fn new<'t>(
        clicks: Satisfied,
        text: impl Fn(u64) -> &'t str,
        likeness: Likeness,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let (by_clicks, by_words) = (likeness.by_clicks(), likeness.by_words());
        let config = RelatedConfig {
            top_related: NEAREST_BY_CLICKS,
            min_queries_per_document: 2,
            max_queries_per_document: MAX_QUERIES_PER_DOCUMENT,
            top_documents: 0,
        };
        let Satisfied { queries, ends, clicked, docs } = clicks;
        let numbers = clicked.iter().map(|(doc, _)| *doc).collect();
        let graph = match by_clicks < 1.0 {
            true => Some(Graph::joining(&ends, clicked, docs.len(), &config)?),
            false => None,
        };
        let satisfying = Satisfying::new(ends, numbers, docs);
        let held = Some(budget.holding(8 * queries.len() + satisfying.memory()));
        pulse.beat()?;
        let words = Words::new(queries.iter().map(|q| text(*q)))?;
        let index = words.index(by_words, MAX_QUERIES_PER_WORD);
        let threads = workers::threads(threads);
        let found = graph.as_ref().map_or(0, Graph::memory) + words.memory() + index.memory();
        let _held = budget.holding(found + threads * (12 * queries.len() + words.scratch()));
        let chunks = queries.len().div_ceil(CHUNK);
        let done: Mutex<Vec<Option<Blob>>> = Mutex::new((0..chunks).map(|_| None).collect());
        workers::each(
            chunks,
            threads,
            || pulse.beat(),
            || (graph.as_ref().map(|graph| Search::new(graph, 0, &config)), index.search()),
            |(related, search), chunk| {
                let (mut out, mut found, mut near) = (Vec::new(), Vec::new(), Vec::new());
                for query in chunk * CHUNK..((chunk + 1) * CHUNK).min(queries.len()) {
                    // Whatever one sign finds, the other weighs too.
                    search.begin(query);
                    found.clear();
                    if let Some(related) = related {
                        let own = related.nearest(query as u32);
                        found.extend(own.filter(|(_, clicks)| cosine(*clicks) > by_clicks).map(
                            |(other, clicks)| {
                                let words = search.compare(other as usize);
                                Found { other, clicks, words }
                            },
                        ));
                    }
                    for step in 0..search.steps() {
                        let farthest = nearest(&mut found);
                        // Rounding may take a little of the most that is possible.
                        if farthest > search.most(step) * (1.0 + 1e-12) {
                            break;
                        }
                        search.step(step, farthest, |other, words| {
                            found.push(Found { other, clicks: 0, words });
                        });
                    }
                    nearest(&mut found);
                    near.clear();
                    near.extend(found.iter().map(|found| found.near(likeness)));
                    near.sort_unstable_by_key(|near: &Near| near.other);
                    lists::pack(&near, &mut out);
                }
                let block = Blob::new(out, Some(budget))?;
                done.lock().unwrap_or_else(PoisonError::into_inner)[chunk] = Some(block);
                Ok(())
            },
            |_| Ok(()),
        )?;
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { queries, lists: Lists::new(done.into_iter().flatten().collect()), satisfying, _held: held })
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

    /// Codes of the documents that satisfied somebody for a query.
    pub(super) fn satisfied(&self, query: usize) -> impl Iterator<Item = u64> {
        self.satisfying.of(query)
    }

    /// Reads which queries are alike.
    pub(super) fn reader(&self) -> Reader<'_> {
        self.lists.reader()
    }

    /// Those that `own` are, with the ones alike to them, which have none themselves; and their numbers here.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(super) fn excerpt(&self, own: impl Fn(usize, &[Near]) -> bool) -> Result<(NearExcerpt, Vec<usize>)> {
        let mut reader = self.reader();
        let (mut asked, mut kept): (Vec<(usize, Vec<Near>)>, Vec<usize>) = Default::default();
        for i in 0..self.len() {
            let near = reader.of(i)?;
            if own(i, near) {
                asked.push((i, near.to_vec()));
                kept.push(i);
                kept.extend(near.iter().map(|near| near.other as usize));
            }
        }
        kept.sort_unstable();
        kept.dedup();
        let number = |other: u32| kept.partition_point(|i| *i < other as usize) as u32;
        for near in asked.iter_mut().flat_map(|(_, near)| near) {
            near.other = number(near.other);
        }
        let lists = Lists::packed(kept.len(), |i| {
            asked.binary_search_by_key(&kept[i], |(i, _)| *i).map_or(&[][..], |i| &asked[i].1)
        });
        let queries = kept.iter().map(|i| self.queries[*i]).collect();
        Ok((NearExcerpt { queries, lists, satisfying: self.satisfying.excerpt(&kept) }, kept))
    }

    /// What [`NearQueries::excerpt`] made.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub(super) fn read(excerpt: NearExcerpt, budget: &Arc<Budget>) -> Result<Self> {
        let NearExcerpt { queries, lists, satisfying } = excerpt;
        let held = Some(budget.holding(8 * queries.len() + satisfying.memory()));
        Ok(Self { queries, lists: Lists::read(lists, budget)?, satisfying, _held: held })
    }
}
