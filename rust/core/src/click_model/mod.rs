//! Click models: what made users click, of which being looked at is one thing and being wanted another.
//!
//! | model | file | a click needs | source |
//! |---|---|---|---|
//! | GCTR, RCTR, DCTR | `ctr` | nothing else than luck, a position, a document | Craswell et al. 2008 |
//! | CM | `cascade` | to be the first that attracts, from the top | Craswell et al. 2008 |
//! | DCM | `dcm` | as CM, and users go on after a click by its position | Guo et al. 2009 |
//! | SDBN | `sdbn` | as CM, and users go on until a click satisfies | Chapelle & Zhang 2009 |
//! | DBN | `dbn` | as SDBN, and users may give up at any result | Chapelle & Zhang 2009 |
//! | PBM | `pbm` | examination, by position, and attraction | Craswell et al. 2008 |
//! | TPBM | `trust` | as PBM, or trust in the position | Agarwal et al. 2019 |
//! | UBM | `ubm` | as PBM, by position and distance to the last click | Dupret & Piwowarski 2008 |
//!
//! Derivations are in docs/CLICK_MODELS.md. In both definitions shares are posterior means; `Standard` fits their priors to the
//! data and stops where the fold held out is explained best, `PyClick` keeps one hit in two trials and 50 passes.

mod cascade;
mod certainty;
mod choose;
mod ctr;
mod dbn;
mod dcm;
mod examine;
mod fit;
mod group;
mod harvest;
mod identify;
mod log;
mod metrics;
mod params;
mod pbm;
mod predict;
mod prior;
mod read;
mod sdbn;
mod tables;
mod trust;
mod ubm;

use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Result};
use log::{Crew, Part};
use params::{Kind, Places};

pub use certainty::Certainty;
pub use choose::{Candidate, Choice, choose};
pub use fit::{MStep, fit};
pub use harvest::{Method, Propensity, Weighing, propensities};
pub use log::{ClickLog, Known};
pub use metrics::{Judged, Metrics, PositionMetrics};
pub use prior::Beta;
pub use read::Reading;

/// Which model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "named in the module's table")]
pub enum Model {
    Gctr,
    Rctr,
    Dctr,
    Cm,
    Dcm,
    Sdbn,
    Dbn,
    Pbm,
    Tpbm,
    Ubm,
}

impl Model {
    /// All, simplest first.
    pub const ALL: [Self; 10] = [
        Self::Gctr,
        Self::Rctr,
        Self::Dctr,
        Self::Cm,
        Self::Dcm,
        Self::Sdbn,
        Self::Dbn,
        Self::Pbm,
        Self::Tpbm,
        Self::Ubm,
    ];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gctr => "gctr",
            Self::Rctr => "rctr",
            Self::Dctr => "dctr",
            Self::Cm => "cm",
            Self::Dcm => "dcm",
            Self::Sdbn => "sdbn",
            Self::Dbn => "dbn",
            Self::Pbm => "pbm",
            Self::Tpbm => "tpbm",
            Self::Ubm => "ubm",
        }
    }

    fn needs_pages(self) -> bool {
        matches!(self, Self::Cm | Self::Dcm | Self::Sdbn | Self::Dbn)
    }

    /// Whether documents have shares of their own.
    fn has_pairs(self) -> bool {
        !matches!(self, Self::Gctr | Self::Rctr)
    }

    fn has_satisfaction(self) -> bool {
        matches!(self, Self::Sdbn | Self::Dbn)
    }

    fn is_iterated(self) -> bool {
        matches!(self, Self::Dbn | Self::Pbm | Self::Tpbm | Self::Ubm)
    }

    /// Whether clicks are split into examination of a position and attraction of a document.
    fn splits(self) -> bool {
        matches!(self, Self::Pbm | Self::Tpbm | Self::Ubm)
    }
}

/// Whose definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Definition {
    /// Fitted priors, early stopping, the top position always examined.
    Standard,
    /// One hit in two trials everywhere, 50 passes, as PyClick computes.
    PyClick,
}

/// What a page without a click says to CM, DCM and SDBN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoClick {
    /// All of it was examined.
    Examined,
    /// Its first result was.
    First,
    /// Nothing: it is left out.
    Drop,
}

/// How a user of DBN goes on to the next result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gamma {
    /// With one probability, to be learnt.
    Free,
    /// With one for each position.
    Position,
    /// With this one.
    Fixed(f64),
}

/// Options; see docs/CLICK_MODELS.md.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickModelConfig {
    /// Whose definition.
    pub definition: Definition,
    /// What pages without a click say to one-pass models.
    pub no_click: NoClick,
    /// DBN: "free", "position", or a probability.
    pub gamma: String,
    /// Passes at most.
    pub max_iterations: u32,
    /// Passes end where five of them made the held-out log-likelihood of an impression no better than by this much.
    pub tolerance: f64,
}

impl ClickModelConfig {
    fn gamma(&self) -> Result<Gamma> {
        match self.gamma.as_str() {
            "free" => Ok(Gamma::Free),
            "position" => Ok(Gamma::Position),
            text => match text.parse() {
                Ok(g) if (0.0..=1.0).contains(&g) => Ok(Gamma::Fixed(g)),
                _ => {
                    Err(Error::usage("click_model.gamma is free, position, or a probability between 0 and 1"))
                }
            },
        }
    }
}

/// One pass of an iterated model over a part of a log.
trait Passes {
    /// Makes a pass.
    fn pass(&mut self, crew: &mut Crew<'_>) -> Result<()>;
    /// Log-likelihood, and impressions, of a part of the log under what was learnt, by bucket.
    fn likelihood(&mut self, part: Part, crew: &mut Crew<'_>) -> Result<Vec<[f64; 2]>>;
    /// Hits, trials and values of attraction, where they are estimated pair by pair.
    fn attraction(&mut self) -> Option<&mut Kind> {
        None
    }
    /// Whether more passes would change nothing, where that is not left to the fold held out.
    fn settled(&self) -> Option<bool> {
        None
    }
    /// Refuses where the log turned out to say nothing of what the model is about.
    fn identified(&self) -> Result<()> {
        Ok(())
    }
    /// What was learnt.
    fn learnt(self: Box<Self>) -> Learnt;
}

/// Shares that a model has learnt.
#[derive(Debug, Clone)]
struct Learnt {
    attraction: Kind,
    satisfaction: Kind,
    /// By position; for UBM by (position, previous click); for GCTR one.
    places: Places,
    /// PBM with trust: a click of what is not wanted, by position.
    trusted: Places,
}

/// A model fitted to a log.
pub struct Fitted {
    /// Which.
    pub model: Model,
    /// The log.
    pub log: Arc<ClickLog>,
    definition: Definition,
    gamma: Gamma,
    learnt: Learnt,
    /// Whether attractiveness is a regressor's.
    regressed: bool,
    /// Positions that nothing connects to the top: what the model says of them is what it began with.
    pub apart: Vec<u16>,
    /// Passes made.
    pub iterations: u32,
    /// Whether passes ended because no more would help.
    pub converged: bool,
    /// Mean log-likelihood of an impression of the fold held out, under what the other folds taught; None where there are no
    /// folds.
    pub held_out: Option<f64>,
    /// After each pass: of the fold held out, or where there is none, of the whole log.
    pub history: Vec<f64>,
}

impl Fitted {
    /// Prior of attractiveness, and of satisfaction; None where the model has no such shares.
    pub fn priors(&self) -> (Option<Beta>, Option<Beta>) {
        (
            self.model.has_pairs().then_some(self.learnt.attraction.prior),
            self.model.has_satisfaction().then_some(self.learnt.satisfaction.prior),
        )
    }

    /// PBM and UBM: P(examined) at a position from 1, below a click at `previous_click` (0 for none); None for other models.
    pub fn examination(&self, position: u16, previous_click: u16) -> Option<f64> {
        match self.model {
            Model::Pbm => Some(self.learnt.places.at(pbm::place(position, previous_click))),
            Model::Ubm => Some(self.learnt.places.at(ubm::place(position, previous_click))),
            _ => None,
        }
    }

    /// DBN: probability of going on, where it is one for all positions.
    pub fn gamma(&self) -> Option<f64> {
        (self.model == Model::Dbn && self.gamma != Gamma::Position).then(|| self.learnt.places.at(0))
    }
}

/// The prior that a definition lays down; None where it is fitted.
fn given_prior(definition: Definition) -> Option<Beta> {
    (definition == Definition::PyClick).then_some(prior::LAPLACE)
}
