//! The dynamic Bayesian network: users look from the top; a result that attracts is clicked; a click satisfies with s, and
//! who is not satisfied goes on with probability γ. Exact EM.
//!
//! The forward–backward recursion over examined / not examined collapses. Whatever stands above the last click was examined,
//! and its clicks did not satisfy: constants, summed once. What is open is the tail below the last click (the whole page
//! where there is none). With B_k = P(no click from k on | k examined) = (1 − a_k)(1 − γ_k + γ_k B_{k+1}), and 1 below the
//! page, and a last click at l:
//!
//!   D = s + (1 − s)(1 − γ_l + γ_l B_{l+1}),  P(satisfied) = s / D,  P(l+1 examined) = (1 − s) γ_l B_{l+1} / D,
//!   P(k+1 examined | k examined) = γ_k B_{k+1} / (1 − γ_k + γ_k B_{k+1}).
//!
//! Then a = clicks / expected examinations, s = expected satisfactions / clicks, γ = expected steps / expected chances, each
//! with its prior: those of a and s are fitted to what each pass expects. Where the page ends, nobody knows whether users would have gone on; such chances count in neither sum.
//! *PyClick* (exact, as the correction of that package's DBN) counts attraction as unknown where nothing was examined, counts
//! the end of a page in, and keeps one hit in two trials for everything.
//!
//! Source: Chapelle & Zhang, WWW 2009, section 4 and appendix.

use super::log::{Bucket, ClickLog, Crew, Page, Part, Row, added};
use super::params::{Kind, Places, Shares};
use super::predict::{Context, Probabilities};
use super::prior::{LAPLACE, MOMENTS, Noted, fitted, note};
use super::{Definition, Gamma, Learnt, Model, Passes, given_prior};
use crate::error::Result;

/// Where γ begins: near what is found on logs of web search, so that few passes are needed.
const FIRST_GAMMA: f64 = 0.8;

/// The part of a page that is not certain.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// Rows below the last click, in the rows of the bucket.
    start: u32,
    end: u32,
    weight: f64,
    /// Whether the row before `start` is the page's last click.
    clicked: bool,
}

/// A bucket: what is certain, and tails.
#[derive(Debug, Default)]
struct Certain {
    attraction: Shares,
    satisfaction: Shares,
    tails: Vec<Tail>,
    /// Steps and chances by position.
    steps: Vec<f64>,
}

/// A DBN on its way.
pub(super) struct Dbn<'a> {
    log: &'a ClickLog,
    standard: bool,
    definition: Definition,
    gamma: Gamma,
    part: Part,
    certain: Vec<Certain>,
    attraction: Kind,
    satisfaction: Kind,
    places: Places,
}

impl<'a> Dbn<'a> {
    /// Before the first pass.
    pub(super) fn new(
        log: &'a ClickLog,
        definition: Definition,
        gamma: Gamma,
        part: Part,
        crew: &mut Crew<'_>,
    ) -> Result<Self> {
        let standard = definition == Definition::Standard;
        let n = usize::from(log.depth) + 1;
        let mut certain: Vec<Certain> = log.buckets.iter().map(|_| Certain::default()).collect();
        crew.map(&mut certain, |i, own| *own = Certain::new(log, i, n, part, standard))?;
        let (mut attraction, mut satisfaction) = (Kind::new(log), Kind::new(log));
        for kind in [&mut attraction, &mut satisfaction] {
            kind.buckets.iter_mut().for_each(|b| b.value.fill(LAPLACE.mean(0.0, 0.0)));
        }
        if standard {
            // What is certain, and the top of pages without a click, is enough to begin with.
            for (own, (a, s)) in
                certain.iter().zip(attraction.buckets.iter_mut().zip(&mut satisfaction.buckets))
            {
                a.hits.clone_from(&own.attraction.hits);
                a.trials.clone_from(&own.attraction.trials);
                s.hits.clone_from(&own.satisfaction.hits);
                s.trials.clone_from(&own.satisfaction.trials);
            }
            attraction.settle(None);
        }
        let mut places = Places::new(n);
        places.value.fill(match gamma {
            Gamma::Fixed(g) => g,
            _ if standard => FIRST_GAMMA,
            _ => LAPLACE.mean(0.0, 0.0),
        });
        Ok(Self { log, standard, definition, gamma, part, certain, attraction, satisfaction, places })
    }
}

impl Certain {
    fn new(log: &ClickLog, i: usize, n: usize, part: Part, standard: bool) -> Self {
        let bucket = &log.buckets[i];
        let pairs = bucket.docs.len();
        let mut out = Self {
            attraction: Shares::new(pairs),
            satisfaction: Shares::new(pairs),
            tails: Vec::new(),
            steps: vec![0.0; 2 * n],
        };
        for (page, rows) in bucket.pages_of(part) {
            out.page(page, rows, standard);
        }
        out
    }

    fn page(&mut self, page: &Page, rows: &[Row], standard: bool) {
        let weight = f64::from(page.weight);
        let last = rows.iter().rposition(|r| r.clicked);
        let tail = last.map_or(0, |l| l + 1);
        for (k, row) in rows[..tail].iter().enumerate() {
            let pair = row.pair as usize;
            self.attraction.trials[pair] += weight;
            self.attraction.hits[pair] += if row.clicked { weight } else { 0.0 };
            if k + 1 < tail {
                // Users went on, satisfied by nothing so far.
                self.steps[2 * usize::from(row.position)] += weight;
                self.steps[2 * usize::from(row.position) + 1] += weight;
                self.satisfaction.trials[pair] += if row.clicked { weight } else { 0.0 };
            }
        }
        if !standard {
            rows[tail..].iter().for_each(|r| self.attraction.trials[r.pair as usize] += weight);
        } else if tail == rows.len() {
            return; // Clicked at the end: whether that satisfied shows in nothing.
        }
        let end = page.end;
        self.tails.push(Tail {
            start: end - (rows.len() - tail) as u32,
            end,
            weight,
            clicked: last.is_some(),
        });
        if let Some(l) = last {
            self.satisfaction.trials[rows[l].pair as usize] += weight;
        }
    }
}

impl Passes for Dbn<'_> {
    fn pass(&mut self, crew: &mut Crew<'_>) -> Result<()> {
        let (log, certain, gamma, standard) = (self.log, &self.certain, &self.places.value, self.standard);
        let part = self.part;
        let mut both: Vec<(&mut Shares, &mut Shares)> =
            self.attraction.buckets.iter_mut().zip(&mut self.satisfaction.buckets).collect();
        let sums = crew.map(&mut both, |i, (attraction, satisfaction)| {
            let (own, rows) = (&certain[i], &log.buckets[i].rows);
            attraction.hits.clone_from(&own.attraction.hits);
            attraction.trials.clone_from(&own.attraction.trials);
            satisfaction.hits.clone_from(&own.satisfaction.hits);
            satisfaction.trials.clone_from(&own.satisfaction.trials);
            let mut sums = own.steps.clone();
            let mut made = Pass {
                rows,
                gamma,
                standard,
                attraction,
                satisfaction,
                steps: &mut sums,
                variance: vec![0.0; own.attraction.hits.len()],
                below: Vec::new(),
            };
            for tail in &own.tails {
                made.tail(tail);
            }
            let variance = made.variance;
            let mut moments = vec![0.0; 2 * MOMENTS];
            if standard {
                let (of_attraction, of_satisfaction) = moments.split_at_mut(MOMENTS);
                for noted in exposures(&log.buckets[i], part, gamma, attraction, satisfaction) {
                    note(of_attraction, noted);
                }
                for (pair, variance) in variance.into_iter().enumerate() {
                    let (hits, trials) = (satisfaction.hits[pair], satisfaction.trials[pair]);
                    note(of_satisfaction, Noted { variance, ..Noted::known(hits, trials) });
                }
            }
            sums.extend(moments);
            sums
        })?;
        let n = 2 * self.places.value.len();
        let sums = added(sums, n + 2 * MOMENTS);
        for (place, pair) in sums[..n].chunks_exact(2).enumerate() {
            (self.places.hits[place], self.places.trials[place]) = (pair[0], pair[1]);
        }
        match self.gamma {
            Gamma::Fixed(_) => {}
            Gamma::Position => self.places.settle(),
            Gamma::Free => {
                let (hits, trials) = (self.places.hits.iter().sum(), self.places.trials.iter().sum());
                self.places.value.fill(LAPLACE.mean(hits, trials));
            }
        }
        let priors = [&sums[n..n + MOMENTS], &sums[n + MOMENTS..]];
        let [of_attraction, of_satisfaction] =
            priors.map(|sums| Some(given_prior(self.definition).unwrap_or_else(|| fitted(sums))));
        self.attraction.settle(of_attraction);
        self.satisfaction.settle(of_satisfaction);
        Ok(())
    }

    fn likelihood(&mut self, part: Part, crew: &mut Crew<'_>) -> Result<Vec<[f64; 2]>> {
        let log = self.log;
        let (attraction, satisfaction, places) =
            (&self.attraction.buckets, &self.satisfaction.buckets, &self.places);
        crew.map(&mut (0..log.buckets.len()).collect::<Vec<_>>(), |i, _| {
            let (mut sum, mut n) = (0.0, 0.0);
            let mut made = Probabilities::default();
            for (page, rows) in log.buckets[i].pages_of(part) {
                made.clear();
                for row in rows {
                    let pair = row.pair as usize;
                    made.push(
                        row.position,
                        row.clicked,
                        attraction[i].value[pair],
                        satisfaction[i].value[pair],
                    );
                }
                made.given(&Context { model: Model::Dbn, places, trusted: places });
                sum += f64::from(page.weight) * made.log_likelihoods().sum::<f64>();
                n += f64::from(page.weight) * rows.len() as f64;
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
            satisfaction: self.satisfaction,
            places: self.places,
            trusted: Places::default(),
        }
    }
}

/// One pass over a bucket.
struct Pass<'a> {
    rows: &'a [Row],
    gamma: &'a [f64],
    standard: bool,
    attraction: &'a mut Shares,
    satisfaction: &'a mut Shares,
    /// Steps and chances by position.
    steps: &'a mut [f64],
    /// Of each pair's satisfactions, which are only expected.
    variance: Vec<f64>,
    /// P(no click from row k of the tail on | it was examined).
    below: Vec<f64>,
}

impl Pass<'_> {
    /// Adds what is expected of a tail.
    #[inline]
    fn tail(&mut self, tail: &Tail) {
        let open = &self.rows[tail.start as usize..tail.end as usize];
        let (weight, below) = (tail.weight, &mut self.below);
        below.clear();
        below.resize(open.len() + 1, 1.0);
        for (k, row) in open.iter().enumerate().rev() {
            let g = self.gamma[usize::from(row.position)];
            below[k] = (1.0 - self.attraction.value[row.pair as usize]) * (1.0 - g + g * below[k + 1]);
        }
        let mut examined = 1.0;
        if tail.clicked {
            let row = &self.rows[tail.start as usize - 1];
            let (pair, place) = (row.pair as usize, usize::from(row.position));
            let (s, g) = (self.satisfaction.value[pair], self.gamma[place]);
            let all = s + (1.0 - s) * (1.0 - g + g * below[0]);
            let satisfied = s / all;
            self.satisfaction.hits[pair] += weight * satisfied;
            self.variance[pair] += weight * satisfied * (1.0 - satisfied);
            examined = (1.0 - s) * g * below[0] / all;
            self.steps[2 * place] += weight * examined;
            self.steps[2 * place + 1] += weight * (1.0 - satisfied);
        }
        for (k, row) in open.iter().enumerate() {
            let (pair, place) = (row.pair as usize, usize::from(row.position));
            if self.standard {
                self.attraction.trials[pair] += weight * examined;
            } else {
                self.attraction.hits[pair] += weight * self.attraction.value[pair] * (1.0 - examined);
            }
            if k + 1 < open.len() || !self.standard {
                let g = self.gamma[place];
                let on = g * below[k + 1] / (1.0 - g + g * below[k + 1]);
                self.steps[2 * place] += weight * examined * on;
                self.steps[2 * place + 1] += weight * examined;
                examined *= on;
            }
        }
    }
}

/// Clicks of each pair, in as many examinations as the clicks above let expect.
fn exposures(
    bucket: &Bucket,
    part: Part,
    gamma: &[f64],
    attraction: &Shares,
    satisfaction: &Shares,
) -> Vec<Noted> {
    let mut out = vec![Noted { squares: 0.0, ..Noted::known(0.0, 0.0) }; attraction.value.len()];
    for (page, rows) in bucket.pages_of(part) {
        let weight = f64::from(page.weight);
        let mut examined = 1.0;
        for row in rows {
            let pair = row.pair as usize;
            let (a, g) = (attraction.value[pair], gamma[usize::from(row.position)]);
            let noted = &mut out[pair];
            noted.trials += weight * examined;
            noted.squares += weight * examined * examined;
            if row.clicked {
                noted.hits += weight;
                examined = (1.0 - satisfaction.value[pair]) * g;
            } else {
                examined *= (1.0 - a) * g / (1.0 - a * examined);
            }
        }
    }
    out
}
