//! Fitting: a trial on nine folds says after how many passes the tenth is explained best, then all folds are fitted.

use std::sync::Arc;

use super::log::{ClickLog, Crew, Part, added};
use super::prior::{BELOW_ONE, FLOOR};
use super::{
    ClickModelConfig, Definition, Fitted, Gamma, Learnt, Model, Passes, cascade, ctr, dbn, dcm, examine,
    identify, pbm, sdbn, trust, ubm,
};
use crate::error::{Error, Result};
use crate::job::Progress;
use crate::workers;

/// A step of the caller's own: from expected hits and trials of each pair, in canonical order, to its attractiveness.
pub type MStep<'a> = dyn FnMut(&[f64], &[f64]) -> Result<Vec<f64>> + 'a;

/// Passes without progress after which no more are made.
const PATIENCE: u32 = 5;

/// PyClick's number of passes.
const PYCLICK_PASSES: u32 = 50;

/// What the fold held out says of a model.
#[derive(Default)]
pub(super) struct Trial {
    pub(super) passes: u32,
    converged: bool,
    history: Vec<f64>,
    /// Log-likelihood and number of the results held out, by bucket; None where there are none.
    pub(super) held: Option<Vec<[f64; 2]>>,
    /// What one pass over the other folds taught.
    learnt: Option<Learnt>,
}

impl Trial {
    /// Mean log-likelihood of a result held out.
    pub(super) fn mean(&self) -> Option<f64> {
        self.held.as_ref().and_then(|held| mean(held))
    }
}

fn mean(by_bucket: &[[f64; 2]]) -> Option<f64> {
    let sums = added(by_bucket.iter().map(|b| b.to_vec()).collect(), 2);
    (sums[1] > 0.0).then(|| sums[0] / sums[1])
}

/// A model, a log, and options that fit together.
pub(super) struct Fit<'a> {
    log: &'a Arc<ClickLog>,
    model: Model,
    config: &'a ClickModelConfig,
    gamma: Gamma,
    apart: Vec<u16>,
    /// TPBM: whether there is trust.
    trusting: bool,
}

/// Threads for fitting `log`.
pub(super) fn crew<'a>(
    log: &ClickLog,
    threads: usize,
    observe: &'a mut dyn FnMut(Progress) -> Result<()>,
) -> Crew<'a> {
    let at = Progress { stage: "fitting", rows: 0, done: None };
    let work = log.buckets.iter().map(|b| b.rows.len().max(b.cells.get().map_or(0, |c| c.cells.len()))).sum();
    Crew { threads: workers::threads(threads), observe, at, work }
}

impl<'a> Fit<'a> {
    /// # Errors
    /// [`Error::usage`] for options that cannot be, [`Error::data`] where the log cannot teach the model.
    pub(super) fn new(
        log: &'a Arc<ClickLog>,
        model: Model,
        config: &'a ClickModelConfig,
        crew: &mut Crew<'_>,
    ) -> Result<Self> {
        let gamma = config.gamma()?;
        identify::check(log, model, config)?;
        // PyClick's definition is kept for comparison: what it yields there is its prior's.
        let standard = config.definition == Definition::Standard;
        let apart = if standard { identify::apart(log, model, crew)? } else { Vec::new() };
        Ok(Self { log, model, config, gamma, apart, trusting: true })
    }

    /// The same without trust: what TPBM is compared with, since it differs from PBM in more than that.
    pub(super) fn without_trust(self) -> Self {
        Self { trusting: false, ..self }
    }

    fn standard(&self) -> bool {
        self.config.definition == Definition::Standard
    }

    fn begin(&self, part: Part, crew: &mut Crew<'_>) -> Result<Box<dyn Passes + '_>> {
        let (log, definition) = (&**self.log, self.config.definition);
        Ok(match self.model {
            Model::Pbm => Box::new(examine::Examine::new(log, pbm::place, definition, part, crew)?),
            Model::Ubm => Box::new(examine::Examine::new(log, ubm::place, definition, part, crew)?),
            Model::Tpbm => Box::new(trust::Trust::new(log, part, self.trusting, crew)?),
            _ => Box::new(dbn::Dbn::new(log, definition, self.gamma, part, crew)?),
        })
    }

    /// One pass over a part of the log, on top of what was learnt from the rest.
    fn once(&self, part: Part, from: Option<Learnt>, crew: &mut Crew<'_>) -> Result<Learnt> {
        let (log, config) = (&**self.log, self.config);
        match self.model {
            Model::Gctr | Model::Rctr | Model::Dctr => ctr::fit(log, self.model, config, part, from, crew),
            Model::Cm => cascade::fit(log, config, part, from, crew),
            Model::Dcm => dcm::fit(log, config, part, from, crew),
            _ => sdbn::fit(log, config, part, from, crew),
        }
    }

    fn fitted(&self, learnt: Learnt, trial: Trial, regressed: bool) -> Fitted {
        let held_out = trial.mean();
        Fitted {
            model: self.model,
            log: self.log.clone(),
            definition: self.config.definition,
            gamma: self.gamma,
            learnt,
            regressed,
            apart: self.apart.clone(),
            iterations: trial.passes,
            converged: trial.converged,
            held_out,
            history: trial.history,
        }
    }

    /// Fits the folds that are not held out.
    pub(super) fn trial(&self, m_step: &mut Option<&mut MStep<'_>>, crew: &mut Crew<'_>) -> Result<Trial> {
        let mut out = Trial { passes: 1, converged: true, ..Trial::default() };
        let folds = self.log.known.folds;
        if !self.model.is_iterated() {
            if folds {
                let learnt = self.once(Part::Train, None, crew)?;
                let fitted = self.fitted(learnt, Trial::default(), false);
                let held = fitted.likelihood(Part::Held, crew)?;
                out.history.extend(mean(&held));
                out.held = mean(&held).map(|_| held);
                out.learnt = Some(fitted.learnt);
            }
            return Ok(out);
        }
        let most = if self.standard() { self.config.max_iterations.max(1) } else { PYCLICK_PASSES };
        out.passes = most;
        if !self.standard() {
            return Ok(out);
        }
        let (part, judge) = if folds { (Part::Train, Part::Held) } else { (Part::All, Part::All) };
        let mut passes = self.begin(part, crew)?;
        let (mut best, mut best_at) = (f64::NEG_INFINITY, 0);
        out.converged = false;
        for pass in 1..=most {
            crew.at.rows = pass.into();
            passes.pass(crew)?;
            regress(&mut *passes, m_step)?;
            let held = passes.likelihood(judge, crew)?;
            // Nothing was held out: too small a log to judge.
            let Some(now) = mean(&held) else { break };
            out.history.push(now);
            if let Some(settled) = passes.settled() {
                // Shares are summed out, so there is nothing to over-fit: passes end by their own likelihood.
                (best_at, out.held) = (pass, folds.then_some(held));
                if settled {
                    out.converged = true;
                    break;
                }
                continue;
            }
            if now > best + self.config.tolerance || best_at == 0 {
                (best, best_at) = (now, pass);
                out.held = folds.then_some(held);
            }
            if pass >= best_at + PATIENCE {
                out.converged = true;
                break;
            }
        }
        passes.identified()?;
        out.passes = if best_at == 0 { most } else { best_at };
        Ok(out)
    }

    /// Fits all folds, with as many passes as the trial found best.
    pub(super) fn finish(
        &self,
        mut trial: Trial,
        m_step: &mut Option<&mut MStep<'_>>,
        crew: &mut Crew<'_>,
    ) -> Result<Fitted> {
        if !self.model.is_iterated() {
            let (part, from) = match trial.learnt.take() {
                Some(learnt) => (Part::Held, Some(learnt)),
                None => (Part::All, None),
            };
            let learnt = self.once(part, from, crew)?;
            return Ok(self.fitted(learnt, trial, false));
        }
        let mut passes = self.begin(Part::All, crew)?;
        for pass in 1..=trial.passes {
            crew.at.rows = pass.into();
            passes.pass(crew)?;
            regress(&mut *passes, m_step)?;
        }
        passes.identified()?;
        Ok(self.fitted(passes.learnt(), trial, m_step.is_some()))
    }
}

/// Puts what the caller's step makes of each pair's expected hits and trials in the place of their own share.
fn regress(passes: &mut dyn Passes, m_step: &mut Option<&mut MStep<'_>>) -> Result<()> {
    let Some(m_step) = m_step else { return Ok(()) };
    let Some(attraction) = passes.attraction() else {
        return Err(Error::usage(
            "a regressor takes the place of shares that are estimated pair by pair: pbm, ubm, dbn",
        ));
    };
    let all = |of: fn(&super::params::Shares) -> &Vec<f64>| -> Vec<f64> {
        attraction.buckets.iter().flat_map(|b| of(b).iter().copied()).collect()
    };
    let (hits, trials) = (all(|s| &s.hits), all(|s| &s.trials));
    let made = m_step(&hits, &trials)?;
    if made.len() != hits.len() || made.iter().any(|a| !a.is_finite()) {
        return Err(Error::usage(format!(
            "the regressor must predict a finite number for each of the {} pairs of the log, in their order",
            hits.len()
        )));
    }
    let mut made = made.into_iter();
    for value in attraction.buckets.iter_mut().flat_map(|b| &mut b.value) {
        *value = made.next().unwrap_or(0.5).clamp(FLOOR, BELOW_ONE);
    }
    Ok(())
}

/// Fits `model` to `log`, by `m_step` where the caller has one for attractiveness.
///
/// The result is the same bit for bit for any order of the log's rows and any number of threads (0 for all cores), if
/// `m_step` is.
///
/// # Errors
/// [`Error::usage`] for options that cannot be, [`Error::data`] where the log lacks what the model needs; what `m_step` and
/// `observe` report, the latter of which is called about ten times a second.
pub fn fit(
    log: &Arc<ClickLog>,
    model: Model,
    config: &ClickModelConfig,
    threads: usize,
    mut m_step: Option<&mut MStep<'_>>,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Fitted> {
    let mut crew = crew(log, threads, observe);
    let fit = Fit::new(log, model, config, &mut crew)?;
    if m_step.is_some() && (!model.is_iterated() || model == Model::Tpbm || !fit.standard()) {
        return Err(Error::usage(
            "a regressor takes the place of shares that passes estimate pair by pair: models pbm, ubm, dbn in the standard \
             definition",
        ));
    }
    let trial = fit.trial(&mut m_step, &mut crew)?;
    fit.finish(trial, &mut m_step, &mut crew)
}
