//! What a model expects of a page: the probability of each click, given the clicks above it, and without knowing them.

use super::Model;
use super::params::{Places, place};
use super::prior::{BELOW_ONE, FLOOR};

/// What is the same on every page.
pub(super) struct Context<'a> {
    pub(super) model: Model,
    pub(super) places: &'a Places,
    /// PBM with trust: a click of what is not wanted.
    pub(super) trusted: &'a Places,
}

/// A page and what is expected of it. Buffers are used again for the next.
#[derive(Default)]
pub(super) struct Probabilities {
    position: Vec<u16>,
    clicked: Vec<bool>,
    attraction: Vec<f64>,
    satisfaction: Vec<f64>,
    /// P(click | clicks above).
    pub(super) given: Vec<f64>,
    /// P(click).
    pub(super) alone: Vec<f64>,
    /// P(examined | clicks above).
    pub(super) examined: Vec<f64>,
    /// UBM: by where the last click so far is.
    paths: Vec<f64>,
}

fn sure(p: f64) -> f64 {
    p.clamp(FLOOR, BELOW_ONE)
}

impl Probabilities {
    /// For the next page.
    pub(super) fn clear(&mut self) {
        self.position.clear();
        self.clicked.clear();
        self.attraction.clear();
        self.satisfaction.clear();
    }

    /// The next result.
    pub(super) fn push(&mut self, position: u16, clicked: bool, attraction: f64, satisfaction: f64) {
        self.position.push(position);
        self.clicked.push(clicked);
        self.attraction.push(attraction);
        self.satisfaction.push(satisfaction);
    }

    /// Position of result `k`, and whether it was clicked.
    pub(super) fn at(&self, k: usize) -> (u16, bool) {
        (self.position[k], self.clicked[k])
    }

    /// Attraction of result `k`.
    pub(super) fn attraction_at(&self, k: usize) -> f64 {
        self.attraction[k]
    }

    /// Fills `given` and `examined`.
    pub(super) fn given(&mut self, context: &Context<'_>) {
        self.given.clear();
        self.examined.clear();
        match context.model {
            Model::Gctr | Model::Rctr | Model::Dctr | Model::Pbm | Model::Tpbm | Model::Ubm => {
                self.by_place(context);
            }
            _ => self.downwards(context),
        }
    }

    fn by_place(&mut self, context: &Context<'_>) {
        let (mut above, mut here, mut position) = (0, 0, 0);
        for k in 0..self.position.len() {
            if self.position[k] != position {
                (above, position) = (here, self.position[k]);
            }
            let place = match context.model {
                Model::Gctr => 0,
                Model::Ubm => place(position, above),
                _ => position.into(),
            };
            let (e, a) = match context.model {
                Model::Gctr | Model::Rctr => (1.0, context.places.at(place)),
                Model::Dctr => (1.0, self.attraction[k]),
                _ => (context.places.at(place), self.attraction[k]),
            };
            let v = if context.model == Model::Tpbm { context.trusted.at(place) } else { 0.0 };
            self.examined.push(e);
            self.given.push(sure(v + (e - v) * a));
            if self.clicked[k] {
                here = position;
            }
        }
    }

    /// CM, DCM, SDBN, DBN: examination from the top, with what remains of it after each result.
    fn downwards(&mut self, context: &Context<'_>) {
        let mut examined = 1.0;
        for k in 0..self.position.len() {
            let a = self.attraction[k];
            let p = a * examined;
            self.examined.push(examined);
            self.given.push(sure(p));
            let (after_click, after_skip) = self.going_on(k, context);
            examined =
                if self.clicked[k] { after_click } else { examined * (1.0 - a) / (1.0 - p) * after_skip };
        }
    }

    /// Probability of going on after a click on result `k`, and after none.
    fn going_on(&self, k: usize, context: &Context<'_>) -> (f64, f64) {
        let at = context.places.at(self.position[k].into());
        match context.model {
            Model::Cm => (0.0, 1.0),
            Model::Dcm => (at, 1.0),
            Model::Sdbn => (1.0 - self.satisfaction[k], 1.0),
            _ => ((1.0 - self.satisfaction[k]) * at, at),
        }
    }

    /// Fills `alone`. Needs `given`.
    pub(super) fn alone(&mut self, context: &Context<'_>) {
        self.alone.clear();
        match context.model {
            Model::Ubm => self.browsed(context),
            Model::Cm | Model::Dcm | Model::Sdbn | Model::Dbn => {
                let mut examined = 1.0;
                for k in 0..self.position.len() {
                    let a = self.attraction[k];
                    self.alone.push(sure(a * examined));
                    let (after_click, after_skip) = self.going_on(k, context);
                    examined *= a * after_click + (1.0 - a) * after_skip;
                }
            }
            _ => self.alone.extend_from_slice(&self.given),
        }
    }

    /// P(click) of UBM: the sum over where the last click above was (none counts as row −1).
    fn browsed(&mut self, context: &Context<'_>) {
        let n = self.position.len();
        // Probability that the last click so far was at row j − 1, and that nothing was clicked since.
        self.paths.clear();
        self.paths.push(1.0);
        for k in 0..n {
            let mut p = 0.0;
            for (j, path) in self.paths.iter_mut().enumerate() {
                let above = if j == 0 { 0 } else { self.position[j - 1] };
                // Results side by side: the click of one is not above the other.
                let above = if above < self.position[k] { above } else { 0 };
                let click = context.places.at(place(self.position[k], above)) * self.attraction[k];
                p += *path * click;
                *path *= 1.0 - click;
            }
            self.alone.push(sure(p));
            self.paths.push(p);
        }
    }

    /// Log-likelihood of each result, given those above.
    pub(super) fn log_likelihoods(&self) -> impl Iterator<Item = f64> {
        self.given.iter().zip(&self.clicked).map(|(p, clicked)| log_of(*p, *clicked))
    }

    /// Log-likelihood of each result alone.
    pub(super) fn log_likelihoods_alone(&self) -> impl Iterator<Item = f64> {
        self.alone.iter().zip(&self.clicked).map(|(p, clicked)| log_of(*p, *clicked))
    }
}

fn log_of(p: f64, clicked: bool) -> f64 {
    if clicked { p.ln() } else { (-p).ln_1p() }
}
