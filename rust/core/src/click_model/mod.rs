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
//! | UBM | `ubm` | as PBM, by position and distance to the last click | Dupret & Piwowarski 2008 |
//!
//! Derivations are in docs/CLICK_MODELS.md. In both definitions shares are posterior means; `Standard` fits their priors to the
//! data and stops where the fold held out is explained best, `PyClick` keeps one hit in two trials and 50 passes.

mod cascade;
mod ctr;
mod dbn;
mod dcm;
mod examine;
mod group;
mod harvest;
mod log;
mod metrics;
mod params;
mod pbm;
mod predict;
mod prior;
mod read;
mod sdbn;
mod tables;
mod ubm;

use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::job::Progress;
use crate::workers;
use log::{Crew, Part};
use params::{Kind, Places};

pub use harvest::{Method, Propensity, propensities};
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
    Ubm,
}

impl Model {
    /// All, simplest first.
    pub const ALL: [Self; 9] = [
        Self::Gctr,
        Self::Rctr,
        Self::Dctr,
        Self::Cm,
        Self::Dcm,
        Self::Sdbn,
        Self::Dbn,
        Self::Pbm,
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
        matches!(self, Self::Dbn | Self::Pbm | Self::Ubm)
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

/// Passes without progress after which no more are made.
const PATIENCE: u32 = 5;

/// PyClick's number of passes.
const PYCLICK_PASSES: u32 = 50;

/// One pass of an iterated model over a part of a log.
trait Passes {
    /// Makes a pass.
    fn pass(&mut self, crew: &mut Crew<'_>) -> Result<()>;
    /// Log-likelihood, and impressions, of a part of the log under what was learnt.
    fn likelihood(&mut self, part: Part, crew: &mut Crew<'_>) -> Result<(f64, f64)>;
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

    /// DBN: probability of going on, where it is one for all positions.
    pub fn gamma(&self) -> Option<f64> {
        (self.model == Model::Dbn && self.gamma != Gamma::Position).then(|| self.learnt.places.at(0))
    }
}

/// Fits `model` to `log`.
///
/// The result is the same bit for bit for any order of the log's rows and any number of threads (0 for all cores).
///
/// # Errors
/// [`Error::usage`] for options that cannot be, [`Error::data`] where the log lacks what the model needs; what `observe`
/// reports, which is called about ten times a second.
pub fn fit(
    log: &Arc<ClickLog>,
    model: Model,
    config: &ClickModelConfig,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Fitted> {
    check(log, model, config)?;
    let gamma = config.gamma()?;
    let at = Progress { stage: "fitting", rows: 0, done: None };
    let work = log.buckets.iter().map(|b| b.rows.len().max(b.cells.get().map_or(0, |c| c.cells.len()))).sum();
    let mut crew = Crew { threads: workers::threads(threads), observe, at, work };
    let mut out = Fitted {
        model,
        log: log.clone(),
        definition: config.definition,
        gamma,
        learnt: Learnt { attraction: Kind::none(log), satisfaction: Kind::none(log), places: Places::new(1) },
        iterations: 1,
        converged: true,
        held_out: None,
        history: Vec::new(),
    };
    if !model.is_iterated() {
        if log.known.folds {
            out.learnt = one_pass(log, model, config, Part::Train, &mut crew)?;
            let (sum, n) = out.likelihood(Part::Held, &mut crew)?;
            out.held_out = (n > 0.0).then(|| sum / n);
            out.history.extend(out.held_out);
        }
        out.learnt = one_pass(log, model, config, Part::All, &mut crew)?;
        return Ok(out);
    }
    let standard = config.definition == Definition::Standard;
    let most = if standard { config.max_iterations.max(1) } else { PYCLICK_PASSES };
    let begin = |part: Part, crew: &mut Crew<'_>| -> Result<Box<dyn Passes + '_>> {
        Ok(match model {
            Model::Pbm => Box::new(examine::Examine::new(log, pbm::place, config.definition, part, crew)?),
            Model::Ubm => Box::new(examine::Examine::new(log, ubm::place, config.definition, part, crew)?),
            _ => Box::new(dbn::Dbn::new(log, config.definition, gamma, part, crew)?),
        })
    };
    let mut passes = most;
    let mut judged_by = None;
    if standard {
        // Where a fold can be held out, the others say after how many passes it is explained best.
        let (part, judge) = if log.known.folds { (Part::Train, Part::Held) } else { (Part::All, Part::All) };
        let mut trial = begin(part, &mut crew)?;
        let (mut best, mut best_at) = (f64::NEG_INFINITY, 0);
        out.converged = false;
        for pass in 1..=most {
            crew.at.rows = pass.into();
            trial.pass(&mut crew)?;
            let (sum, n) = trial.likelihood(judge, &mut crew)?;
            if n == 0.0 {
                // Nothing was held out: too small a log to judge.
                break;
            }
            let now = sum / n;
            out.history.push(now);
            if now > best + config.tolerance || best_at == 0 {
                (best, best_at) = (now, pass);
            }
            if pass >= best_at + PATIENCE {
                out.converged = true;
                break;
            }
        }
        passes = if best_at == 0 { most } else { best_at };
        judged_by = (log.known.folds && best_at > 0).then_some(best);
    }
    out.held_out = judged_by;
    let mut all = begin(Part::All, &mut crew)?;
    for pass in 1..=passes {
        crew.at.rows = pass.into();
        all.pass(&mut crew)?;
    }
    out.iterations = passes;
    out.learnt = all.learnt();
    Ok(out)
}

fn one_pass(
    log: &ClickLog,
    model: Model,
    config: &ClickModelConfig,
    part: Part,
    crew: &mut Crew<'_>,
) -> Result<Learnt> {
    match model {
        Model::Gctr | Model::Rctr | Model::Dctr => ctr::fit(log, model, config, part, crew),
        Model::Cm => cascade::fit(log, config, part, crew),
        Model::Dcm => dcm::fit(log, config, part, crew),
        _ => sdbn::fit(log, config, part, crew),
    }
}

/// The prior that a definition lays down; None where it is fitted.
fn given_prior(definition: Definition) -> Option<Beta> {
    (definition == Definition::PyClick).then_some(prior::LAPLACE)
}

fn check(log: &ClickLog, model: Model, config: &ClickModelConfig) -> Result<()> {
    if config.tolerance.is_nan() || config.tolerance < 0.0 {
        return Err(Error::usage("click_model.tolerance must be 0 or more"));
    }
    let refuse = |lacks: &str| Err(Error::data(format!("{} {lacks}", model.name())));
    if log.impressions == 0 {
        return refuse("has nothing to learn from: the log has no row that can be used");
    }
    if matches!(model, Model::Gctr | Model::Dctr) {
        return Ok(());
    }
    if !log.known.positions {
        return refuse(
            "needs positions, and the log has none (where results are shuffled or positions are not kept, use dctr)",
        );
    }
    if model.needs_pages() && !log.known.pages {
        return refuse(
            "needs whole pages: rows with a search_id, or counts with the table pages; on cells fit pbm or ubm",
        );
    }
    if model == Model::Ubm && !log.known.previous_clicks {
        return refuse(
            "needs to know the click above each result: rows with a search_id, or cells with previous_click; without it fit \
             pbm",
        );
    }
    Ok(())
}
