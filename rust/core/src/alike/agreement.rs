//! How often two alike queries mean the same by a document, estimated from a log without knowing what is relevant.
//!
//! A document that two queries were shown has two histories. Either the queries agree on its kind, and both histories come
//! from one kind, or each has a kind of its own: a mixture with one weight for each sign of alikeness, fitted by EM
//! (Dempster, Laird & Rubin 1977). Of one pair of histories only the ratio of the two likelihoods matters.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pulse::Pulse;
use crate::workers;

/// Where cosines of words are told apart.
const WORDS: [f64; 7] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8];
/// Where those of clicks are; further signs are none at all, and none to be had.
const CLICKS: [f64; 5] = [0.05, 0.1, 0.2, 0.4, 0.6];
const BY_CLICKS: usize = CLICKS.len() + 3;
const SIGNS: usize = (WORDS.len() + 1) * BY_CLICKS;

/// Ratios are gathered by logarithm, in steps of this …
const STEP: f64 = 1.0 / 64.0;
/// … up to half as many.
const STEPS: usize = 4096;
/// Pairs of histories that the mean agreement is worth in that of one sign.
const PAIRS: f64 = 20.0;
const PASSES: usize = 300;
/// Queries that a worker takes at a time.
const CHUNK: usize = 64;

/// Between which of [`WORDS`] the cosine of the words of two queries is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ByWords(u8);

impl ByWords {
    pub(super) fn of(cosine: f64) -> Self {
        Self(WORDS.iter().filter(|edge| cosine >= **edge).count() as u8)
    }

    /// As a number below 8.
    pub(super) fn number(self) -> u8 {
        self.0
    }

    /// What [`ByWords::number`] gave.
    pub(super) fn numbered(number: u8) -> Self {
        Self(number)
    }
}

/// The sign by which two queries are alike; clicks are None where there are none to compare.
#[inline]
pub(super) fn sign(words: ByWords, clicks: Option<f64>) -> usize {
    let by_clicks = match clicks {
        None => BY_CLICKS - 1,
        Some(c) if c <= 0.0 => 0,
        Some(c) => 1 + CLICKS.iter().filter(|edge| c >= **edge).count(),
    };
    usize::from(words.0) * BY_CLICKS + by_clicks
}

/// Ratios of likelihoods, together against apart, counted by sign.
pub(super) struct Ratios(Vec<u64>);

impl Ratios {
    pub(super) fn new() -> Self {
        Self(vec![0; SIGNS * STEPS])
    }

    /// Counts one.
    pub(super) fn add(&mut self, sign: usize, ratio: f64) {
        let middle = (STEPS / 2) as f64;
        let step = ((ratio.ln() / STEP).round() + middle).clamp(0.0, STEPS as f64 - 1.0);
        self.0[sign * STEPS + step as usize] += 1;
    }

    /// Ratio and number of those of one sign.
    fn of(&self, sign: usize) -> Vec<(f64, f64)> {
        let ratio = |step: usize| ((step as f64 - (STEPS / 2) as f64) * STEP).exp();
        let counts = self.0[sign * STEPS..(sign + 1) * STEPS].iter().enumerate();
        counts.filter(|(_, n)| **n > 0).map(|(step, n)| (ratio(step), *n as f64)).collect()
    }
}

/// Gathers ratios over queries, on all threads, each with a state of its own: counts add up in any order.
pub(super) fn gather<S>(
    queries: &[usize],
    threads: usize,
    pulse: &mut Pulse<'_>,
    sum: &mut Ratios,
    state: impl Fn() -> S + Sync,
    of: impl Fn(&mut S, usize, &mut Ratios) -> Result<()> + Sync,
) -> Result<()> {
    let sum = std::sync::Mutex::new(sum);
    workers::each(
        queries.len().div_ceil(CHUNK),
        threads,
        || pulse.beat(),
        || (state(), Ratios::new()),
        |(state, own), chunk| {
            let chunk = chunk * CHUNK..((chunk + 1) * CHUNK).min(queries.len());
            queries[chunk].iter().try_for_each(|query| of(state, *query, own))
        },
        |(_, own)| {
            let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sum.0.iter_mut().zip(own.0).for_each(|(to, n)| *to += n);
            Ok(())
        },
    )
}

/// Shares of agreement.
#[derive(Default, Debug, Clone, Serialize, Deserialize)]
pub(super) struct Agreement {
    by_sign: Vec<f64>,
    /// Documents that are another matter at a query than at all that are alike.
    pub(super) apart: f64,
}

impl Agreement {
    /// By sign; a sign that was not met is like the mean.
    pub(super) fn fitted(ratios: &Ratios) -> Self {
        let met: Vec<Vec<(f64, f64)>> = (0..SIGNS).map(|sign| ratios.of(sign)).collect();
        let all: f64 = met.iter().flatten().map(|(_, n)| n).sum();
        if all == 0.0 {
            return Self::default();
        }
        let mut by_sign = vec![0.3; SIGNS];
        for _ in 0..PASSES {
            let agreed: Vec<f64> = met.iter().zip(&by_sign).map(|(m, share)| together(m, *share)).collect();
            let mean = agreed.iter().sum::<f64>() / all;
            for ((share, agreed), met) in by_sign.iter_mut().zip(agreed).zip(&met) {
                let n: f64 = met.iter().map(|(_, n)| n).sum();
                *share = (agreed + PAIRS * mean) / (n + PAIRS);
            }
        }
        Self { by_sign, apart: 0.0 }
    }

    /// Fits the share of documents that are another matter, by the ratio of what all that is told makes of a history.
    pub(super) fn set_apart(&mut self, ratios: &Ratios) {
        let met = ratios.of(0);
        let all: f64 = met.iter().map(|(_, n)| n).sum();
        let mut told = if all > 0.0 { 0.9 } else { 1.0 };
        for _ in 0..if all > 0.0 { PASSES } else { 0 } {
            told = together(&met, told) / all;
        }
        self.apart = 1.0 - told;
    }

    /// P(two queries of this sign agree).
    #[inline]
    pub(super) fn of(&self, sign: usize) -> f64 {
        self.by_sign.get(sign).copied().unwrap_or_default()
    }

    /// Cosine of words from, of clicks from (NaN where there are none to compare), share of agreement.
    pub(super) fn by_sign(&self) -> Vec<(f64, f64, f64)> {
        let words = |i: usize| if i == 0 { 0.0 } else { WORDS[i - 1] };
        let clicks = |i: usize| match i {
            _ if i == BY_CLICKS - 1 => f64::NAN,
            0 | 1 => 0.0,
            _ => CLICKS[i - 2],
        };
        let rows = self.by_sign.iter().enumerate();
        rows.map(|(i, share)| (words(i / BY_CLICKS), clicks(i % BY_CLICKS), *share)).collect()
    }
}

/// Expected number that agree, of these, where `share` of all do.
fn together(met: &[(f64, f64)], share: f64) -> f64 {
    met.iter().map(|(ratio, n)| n * share * ratio / (share * ratio + 1.0 - share)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(words: f64, clicks: Option<f64>) -> usize {
        sign(ByWords::of(words), clicks)
    }

    /// Two histories of one look each, clicked with probability .8 where relevant and .1 where not, a third of documents being
    /// relevant; expected counts of what is seen where queries agree this often.
    fn seen(agree: f64, sign: usize, ratios: &mut Ratios) {
        let (prior, hit) = (1.0 / 3.0, [0.1, 0.8]);
        let chance =
            |clicked: bool, relevant: usize| if clicked { hit[relevant] } else { 1.0 - hit[relevant] };
        let all = |clicked: bool| (1.0 - prior) * chance(clicked, 0) + prior * chance(clicked, 1);
        for (here, there) in [(false, false), (false, true), (true, false), (true, true)] {
            let together = (1.0 - prior) * chance(here, 0) * chance(there, 0)
                + prior * chance(here, 1) * chance(there, 1);
            let apart = all(here) * all(there);
            for _ in 0..(1e4 * (agree * together + (1.0 - agree) * apart)).round() as u64 {
                ratios.add(sign, together / apart);
            }
        }
    }

    #[test]
    fn agreement_is_found_by_sign() {
        let mut ratios = Ratios::new();
        let signs = [(by(0.35, Some(0.0)), 0.2), (by(0.9, None), 0.9), (by(0.0, Some(0.3)), 0.5)];
        for (sign, agree) in signs {
            seen(agree, sign, &mut ratios);
        }
        let found = Agreement::fitted(&ratios);
        for (sign, agree) in signs {
            // Ratios are gathered in steps of a logarithm.
            assert!((found.of(sign) - agree).abs() < 0.03, "{agree}: {}", found.of(sign));
        }
        let mean: f64 = signs.iter().map(|(_, agree)| agree / 3.0).sum();
        assert!(
            (found.of(by(0.5, Some(0.5))) - mean).abs() < 0.03,
            "a sign that was not met is like the mean"
        );
    }

    #[test]
    fn what_is_told_may_be_another_matter() {
        let mut ratios = Ratios::new();
        seen(0.75, 0, &mut ratios);
        let mut found = Agreement::default();
        found.set_apart(&ratios);
        assert!((found.apart - 0.25).abs() < 0.03, "{}", found.apart);
    }

    #[test]
    fn nothing_to_learn_from() {
        let mut found = Agreement::fitted(&Ratios::new());
        found.set_apart(&Ratios::new());
        assert_eq!((found.of(3), found.apart, found.by_sign().len()), (0.0, 0.0, 0));
    }

    #[test]
    fn signs_have_their_places() {
        assert_eq!(by(0.0, Some(0.0)), 0);
        assert_eq!(by(0.1, Some(0.01)), BY_CLICKS + 1);
        assert_eq!(by(1.0, None), SIGNS - 1);
        assert_eq!(by(1.0, Some(1.0)), SIGNS - 2);
        let shares = Agreement { by_sign: (0..SIGNS).map(|i| i as f64).collect(), apart: 0.0 }.by_sign();
        assert_eq!(shares[0], (0.0, 0.0, 0.0));
        assert_eq!((shares[SIGNS - 2].0, shares[SIGNS - 2].1), (0.8, 0.6));
        assert!(shares[SIGNS - 1].1.is_nan());
    }
}
