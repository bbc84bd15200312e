//! EM for the models in which a click is an examination and an attraction, P(C = 1) = e · a: PBM and UBM, on cells.
//!
//! All skips of one (pair, place) are alike, so a pass costs one division a cell, not a row. With n skips of a cell, the
//! posterior of having been examined is r = e (1 − a) / (1 − e a).
//!
//! *Standard*: what is not known is the examination alone; given it, a click is an attraction. Then e = (clicks + Σ n r) /
//! impressions, and a = clicks / (clicks + Σ n r), each with its prior. The fixed points are those of the textbook's EM, in
//! which attraction counts as unknown where nothing was examined, and come in fewer passes. e and a are determined up to a
//! factor: the top position's e is 1.
//!
//! *PyClick*: the textbook's EM; a += n (1 − e) a / (1 − e a) over all impressions.

use super::log::{ClickLog, Crew, Part, added};
use super::params::{Kind, Places};
use super::prior::{BELOW_ONE, FLOOR, LAPLACE, MOMENTS, Noted, fitted, note};
use super::{Definition, Learnt, Passes};
use crate::error::Result;

/// Cells of a bucket, by place: what a pass reads.
#[derive(Debug, Default)]
pub(super) struct Exposed {
    /// Where each pair's cells end.
    pub(super) ends: Vec<u32>,
    pub(super) places: Vec<u32>,
    pub(super) skips: Vec<u32>,
    pub(super) clicks: Vec<u32>,
    /// Of each pair.
    clicked: Vec<f64>,
    pub(super) shown: Vec<f64>,
}

impl Exposed {
    pub(super) fn of(&self, pair: usize) -> std::ops::Range<usize> {
        let start = if pair == 0 { 0 } else { self.ends[pair - 1] as usize };
        start..self.ends[pair] as usize
    }

    /// Clicks of a pair, in as many examinations as `value` lets expect.
    fn exposure(&self, pair: usize, value: &[f64]) -> Noted {
        let (mut trials, mut squares) = (0.0, 0.0);
        for cell in self.of(pair) {
            let e = value[self.places[cell] as usize];
            let shown = f64::from(self.skips[cell]) + f64::from(self.clicks[cell]);
            trials += shown * e;
            squares += shown * e * e;
        }
        Noted { hits: self.clicked[pair], variance: 0.0, trials, squares }
    }
}

/// A PBM or UBM on its way.
pub(super) struct Examine<'a> {
    log: &'a ClickLog,
    place: fn(u16, u16) -> usize,
    standard: bool,
    cells: Vec<Exposed>,
    attraction: Kind,
    places: Places,
    /// The place that is always examined; none in PyClick's definition.
    anchor: Option<usize>,
    /// Clicks by place.
    clicks: Vec<f64>,
}

impl<'a> Examine<'a> {
    /// Before the first pass: the standard definition begins with examination as click rates relative to the top's.
    pub(super) fn new(
        log: &'a ClickLog,
        place: fn(u16, u16) -> usize,
        definition: Definition,
        part: Part,
        crew: &mut Crew<'_>,
    ) -> Result<Self> {
        let standard = definition == Definition::Standard;
        let n = place(log.depth, log.depth - 1) + 1;
        let mut attraction = Kind::new(log);
        let mut cells: Vec<Exposed> = log.buckets.iter().map(|_| Exposed::default()).collect();
        let sums = crew.map(&mut cells, |i, own| {
            *own = exposed(log, i, place, part);
            let mut sums = vec![0.0; 2 * n];
            for (place, (skips, clicks)) in own.places.iter().zip(own.skips.iter().zip(&own.clicks)) {
                sums[2 * *place as usize] += f64::from(*clicks);
                sums[2 * *place as usize + 1] += f64::from(*clicks) + f64::from(*skips);
            }
            sums
        })?;
        let sums = added(sums, 2 * n);
        let mut places = Places::new(n);
        let clicks: Vec<f64> = sums.iter().step_by(2).copied().collect();
        places.trials = sums.iter().skip(1).step_by(2).copied().collect();
        let anchor = (1..=log.depth).map(|p| place(p, 0)).find(|p| places.trials[*p] > 0.0);
        if let (true, Some(top)) = (standard, anchor) {
            let rate = |p: usize| LAPLACE.mean(clicks[p], places.trials[p]);
            places.value = (0..n).map(|p| (rate(p) / rate(top)).clamp(0.01, 0.99)).collect();
            places.value[top] = 1.0;
        }
        for (shares, own) in attraction.buckets.iter_mut().zip(&cells) {
            shares.hits.clone_from(&own.clicked);
            shares.trials.clone_from(&own.shown);
            if standard {
                for (pair, trials) in shares.trials.iter_mut().enumerate() {
                    *trials = own.exposure(pair, &places.value).trials.max(own.clicked[pair]);
                }
            }
        }
        if standard {
            let moments = cells.iter().map(|own| {
                let mut sums = vec![0.0; MOMENTS];
                (0..own.ends.len()).for_each(|pair| note(&mut sums, own.exposure(pair, &places.value)));
                sums
            });
            let prior = fitted(&added(moments.collect(), MOMENTS));
            attraction.settle(Some(prior));
        } else {
            // Before the first pass every share is one hit in two.
            attraction.buckets.iter_mut().for_each(|b| b.value.fill(LAPLACE.mean(0.0, 0.0)));
        }
        let anchor = anchor.filter(|_| standard);
        Ok(Self { log, place, standard, cells, attraction, places, anchor, clicks })
    }
}

impl Passes for Examine<'_> {
    fn pass(&mut self, crew: &mut Crew<'_>) -> Result<()> {
        let (cells, standard) = (&self.cells, self.standard);
        let (n, value) = (self.places.value.len(), &self.places.value);
        let sums = crew.map(&mut self.attraction.buckets, |i, shares| {
            let own = &cells[i];
            let mut sums = vec![0.0; n + MOMENTS];
            for pair in 0..own.ends.len() {
                let a = shares.value[pair];
                let (mut examined, mut attracted) = (0.0, 0.0);
                for cell in own.of(pair) {
                    let place = own.places[cell] as usize;
                    let e = value[place];
                    let weight = f64::from(own.skips[cell]) / (1.0 - e * a);
                    let r = weight * e * (1.0 - a);
                    sums[place] += r;
                    examined += r;
                    attracted += weight * (1.0 - e) * a;
                }
                if standard {
                    shares.trials[pair] = own.clicked[pair] + examined;
                    note(&mut sums[n..], own.exposure(pair, value));
                } else {
                    shares.hits[pair] = own.clicked[pair] + attracted;
                }
            }
            sums
        })?;
        let sums = added(sums, n + MOMENTS);
        for (place, hits) in self.places.hits.iter_mut().enumerate() {
            *hits = self.clicks[place] + sums[place];
        }
        self.places.settle();
        if let Some(top) = self.anchor {
            self.places.value[top] = 1.0;
        }
        let prior = if standard { fitted(&sums[n..]) } else { LAPLACE };
        self.attraction.prior = prior;
        crew.map(&mut self.attraction.buckets, |_, shares| shares.settle(prior))?;
        Ok(())
    }

    fn likelihood(&mut self, part: Part, crew: &mut Crew<'_>) -> Result<Vec<[f64; 2]>> {
        let (log, place, value) = (self.log, self.place, &self.places.value);
        crew.map(&mut self.attraction.buckets, |i, shares| {
            let cells = log.buckets[i].cells();
            let (mut sum, mut n) = (0.0, 0.0);
            for pair in 0..cells.ends.len() {
                for cell in cells.of(pair).iter().filter(|c| c.position > 0) {
                    let (impressions, clicks) = cell.of(part);
                    if impressions > 0 {
                        let p = value[place(cell.position, cell.previous_click)] * shares.value[pair];
                        sum += log_likelihood(p, clicks, impressions);
                        n += impressions as f64;
                    }
                }
            }
            [sum, n]
        })
    }

    fn attraction(&mut self) -> Option<&mut Kind> {
        Some(&mut self.attraction)
    }

    fn learnt(self: Box<Self>) -> Learnt {
        Learnt {
            attraction: self.attraction,
            satisfaction: Kind::none(self.log),
            places: self.places,
            trusted: Places::default(),
        }
    }
}

/// Of `clicks` in `impressions` that each are clicked with probability `p`.
pub(super) fn log_likelihood(p: f64, clicks: u64, impressions: u64) -> f64 {
    let p = p.clamp(FLOOR, BELOW_ONE);
    let skips = impressions - clicks;
    let clicked = if clicks > 0 { clicks as f64 * p.ln() } else { 0.0 };
    let skipped = if skips > 0 { skips as f64 * (-p).ln_1p() } else { 0.0 };
    clicked + skipped
}

/// The cells of a bucket that have positions, by place.
pub(super) fn exposed(log: &ClickLog, i: usize, place: fn(u16, u16) -> usize, part: Part) -> Exposed {
    let cells = log.buckets[i].cells();
    let mut out = Exposed::default();
    for pair in 0..cells.ends.len() {
        let start = out.places.len();
        let (mut clicked, mut shown) = (0.0, 0.0);
        for cell in cells.of(pair).iter().filter(|c| c.position > 0) {
            let (impressions, clicks) = cell.of(part);
            if impressions == 0 {
                continue;
            }
            let here = place(cell.position, cell.previous_click) as u32;
            clicked += clicks as f64;
            shown += impressions as f64;
            let (skips, clicks) = ((impressions - clicks).min(u32::MAX.into()), clicks.min(u32::MAX.into()));
            // Cells are sorted by position, so those of one place are neighbours.
            if out.places.len() > start && out.places.last() == Some(&here) {
                let last = out.places.len() - 1;
                out.skips[last] = out.skips[last].saturating_add(skips as u32);
                out.clicks[last] = out.clicks[last].saturating_add(clicks as u32);
            } else {
                out.places.push(here);
                out.skips.push(skips as u32);
                out.clicks.push(clicks as u32);
            }
        }
        out.ends.push(out.places.len() as u32);
        out.clicked.push(clicked);
        out.shown.push(shown);
    }
    out
}
