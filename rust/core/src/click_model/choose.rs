//! Choice of a model: of those that the log supports, the simplest that explains results held out as well as the best.
//!
//! All are fitted to folds 0 to 8 and judged by the same results of fold 9. How far a model is behind the best has a standard
//! error, from the differences by bucket of queries; what is within one of it counts as good as the best, and of those the
//! one with the fewest parameters is taken (the one-standard-error rule: Breiman, Friedman, Olshen & Stone, Classification and
//! regression trees, 1984, section 3.4.3). TPBM sums shares of pairs out, which alone explains more than PBM's do; it is
//! considered where trust explains more, by two standard errors, than the same model without it.

use std::sync::Arc;

use super::fit::{Fit, Trial, crew};
use super::log::ClickLog;
use super::{ClickModelConfig, Definition, Fitted, Gamma, Model};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Progress;

/// Trust must explain more by as many standard errors.
const SURE: f64 = 2.0;

/// A model, and what was found of it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which.
    pub model: Model,
    /// Free parameters on this log.
    pub parameters: u64,
    /// Mean log-likelihood of a result held out; None where the model was not fitted.
    pub held_out: Option<f64>,
    /// How far behind the best that is.
    pub behind: Option<f64>,
    /// The standard error of this.
    pub error: Option<f64>,
    /// Passes over the data.
    pub passes: Option<u32>,
    /// Whether it was chosen, or why not.
    pub verdict: String,
}

/// What was chosen, and why.
#[derive(Debug, Clone)]
pub struct Choice {
    /// All models, simplest first.
    pub candidates: Vec<Candidate>,
    /// In a sentence.
    pub reason: String,
}

/// Fits the model that explains held-out results of `log` best.
///
/// # Errors
/// [`Error::data`] where the log has no folds to hold out or supports no model; as [`super::fit`].
pub fn choose(
    log: &Arc<ClickLog>,
    config: &ClickModelConfig,
    threads: usize,
    observe: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<(Fitted, Choice)> {
    if config.definition == Definition::PyClick {
        return Err(Error::usage(
            "auto compares models of the standard definition; name a model for PyClick's",
        ));
    }
    if !log.known.folds {
        return Err(Error::data(
            "auto compares models by a fold held out, and these cells have no column fold: add it (0 to 9), pass rows, or name \
             a model",
        ));
    }
    // Cells and pages of counts are held out apart; models are compared by the pages, of which cells can be counted.
    let compared = if log.counted && log.known.pages { Arc::new(log.recounted()) } else { log.clone() };
    let mut crew = crew(&compared, threads, observe);
    let mut rows: Vec<(Candidate, Option<Trial>)> = Vec::new();
    for model in Model::ALL {
        let tried =
            Fit::new(&compared, model, config, &mut crew).and_then(|fit| fit.trial(&mut None, &mut crew));
        let mut row = Candidate {
            model,
            parameters: parameters(&compared, model, config)?,
            held_out: None,
            behind: None,
            error: None,
            passes: None,
            verdict: String::new(),
        };
        let trial = match tried {
            Ok(trial) => {
                (row.held_out, row.passes) = (trial.mean(), Some(trial.passes));
                Some(trial).filter(|t| t.held.is_some())
            }
            Err(e) if e.kind() == ErrorKind::Data => {
                row.verdict = format!("refused: {e}");
                None
            }
            Err(e) => return Err(e),
        };
        rows.push((row, trial));
    }
    rows.sort_by_key(|(row, _)| row.parameters);
    for (row, trial) in &mut rows {
        if let (Model::Tpbm, Some(held)) = (row.model, trial.as_ref().and_then(|t| t.held.as_ref())) {
            let fit = Fit::new(&compared, row.model, config, &mut crew)?.without_trust();
            let plain = fit.trial(&mut None, &mut crew)?;
            let gain = plain.held.as_ref().map(|plain| behind(plain, held));
            if let Some((gain, error)) = gain.filter(|(gain, error)| *gain <= SURE * error) {
                row.verdict = format!(
                    "trust explains no more that shows: {gain:.6} ± {error:.6} beside the same model without it"
                );
            }
        }
    }
    let best = rows
        .iter()
        .enumerate()
        .filter(|(_, (row, _))| row.verdict.is_empty())
        .filter_map(|(i, (row, _))| Some((i, row.held_out?)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    let Some((best, _)) = best else {
        return Err(Error::data(
            "auto found nothing to compare models by: the log is too small for a fold held out, or supports no model",
        ));
    };
    let best_model = rows[best].0.model;
    let differences: Vec<Option<(f64, f64)>> = rows
        .iter()
        .map(|(_, trial)| Some(behind(trial.as_ref()?.held.as_ref()?, rows[best].1.as_ref()?.held.as_ref()?)))
        .collect();
    let mut chosen = None;
    for (i, ((row, _), difference)) in rows.iter_mut().zip(differences).enumerate() {
        let Some((behind, error)) = difference else {
            if row.verdict.is_empty() {
                row.verdict = "nothing was held out to judge it by".into();
            }
            continue;
        };
        (row.behind, row.error) = (Some(behind), Some(error));
        if !row.verdict.is_empty() {
            continue;
        }
        let good = behind <= error || row.model == best_model;
        row.verdict = match (good, chosen) {
            (false, _) => "explains less".into(),
            (true, None) => "chosen".into(),
            (true, Some(_)) => "explains as much, with more parameters".into(),
        };
        if good && chosen.is_none() {
            chosen = Some(i);
        }
    }
    let chosen = chosen.unwrap_or(best);
    let reason = reason(&rows, chosen, best);
    let (row, trial) = &mut rows[chosen];
    let model = row.model;
    let trial = trial.take().ok_or_else(|| Error::internal("a chosen model that was not tried"))?;
    let fitted = Fit::new(log, model, config, &mut crew)?.finish(trial, &mut None, &mut crew)?;
    Ok((fitted, Choice { candidates: rows.into_iter().map(|(row, _)| row).collect(), reason }))
}

/// How far the mean of one model is behind that of another on the same results, and the standard error of that.
fn behind(of: &[[f64; 2]], best: &[[f64; 2]]) -> (f64, f64) {
    let (mut sum, mut n, mut buckets) = (0.0, 0.0, 0.0);
    for (a, b) in of.iter().zip(best) {
        if a[1] > 0.0 {
            (sum, n, buckets) = (sum + b[0] - a[0], n + a[1], buckets + 1.0);
        }
    }
    let mean = sum / n;
    let squares: f64 = of.iter().zip(best).map(|(a, b)| (b[0] - a[0] - mean * a[1]).powi(2)).sum();
    let error = if buckets > 1.0 { (squares * buckets / (buckets - 1.0)).sqrt() / n } else { 0.0 };
    (mean, error)
}

fn reason(rows: &[(Candidate, Option<Trial>)], chosen: usize, best: usize) -> String {
    let name = |i: usize| rows[i].0.model.name();
    let mut out = if chosen == best {
        let next = rows
            .iter()
            .enumerate()
            .filter(|(i, (row, _))| *i != best && row.behind.is_some_and(|b| b >= 0.0))
            .filter_map(|(i, (row, _))| Some((i, row.behind?)))
            .reduce(|best, next| if next.1 < best.1 { next } else { best });
        match next {
            Some((i, behind)) => format!(
                "{} explains held-out results best; the next, {}, is {behind:.6} behind in log-likelihood an impression",
                name(chosen),
                name(i)
            ),
            None => format!("{} is the only model that this log supports", name(chosen)),
        }
    } else {
        format!(
            "{} is the simplest of those that explain held-out results as well as the best, {} (within one standard error)",
            name(chosen),
            name(best)
        )
    };
    let by_position = rows.iter().any(|(row, _)| row.model.splits() && row.held_out.is_some());
    if by_position && matches!(rows[chosen].0.model, Model::Gctr | Model::Dctr) {
        out.push_str(
            "; positions explain nothing of the clicks: they may be shuffled, or not those that users saw, and no examination \
             can be learnt from them",
        );
    }
    out
}

fn parameters(log: &ClickLog, model: Model, config: &ClickModelConfig) -> Result<u64> {
    let (pairs, depth) = (log.pairs() as u64, u64::from(log.depth));
    Ok(match model {
        Model::Gctr => 1,
        Model::Rctr => depth.max(1),
        Model::Dctr | Model::Cm => pairs,
        Model::Dcm => pairs + depth,
        Model::Sdbn => 2 * pairs,
        Model::Dbn => {
            2 * pairs
                + match config.gamma()? {
                    Gamma::Fixed(_) => 0,
                    Gamma::Free => 1,
                    Gamma::Position => depth,
                }
        }
        Model::Pbm => pairs + depth.saturating_sub(1),
        Model::Tpbm => pairs + (2 * depth).saturating_sub(2),
        Model::Ubm => pairs + (depth * (depth + 1) / 2).saturating_sub(1),
    })
}
