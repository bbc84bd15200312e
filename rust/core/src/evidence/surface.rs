//! Priors of relevance by position and exposure, held to a surface.
//!
//! What a log says of the prior at one position and exposure is little: relevance shows only where somebody clicked, so one
//! place's share is uneven with hundreds of thousands of pairs, and an uneven prior is what never clicked pairs go by. Rankers
//! put the better higher, and show it more often, so the log-odds of a prior are taken to be linear in the logarithm of the
//! position, in exposure, and in their product: four figures instead of four a position. Where a place has so many pairs that it
//! contradicts, it has its own way: the surface counts as [`PAIRS`] of them.

use super::relevance::EXPOSURES;

/// Pairs that the surface is worth at one position and exposure.
const PAIRS: f64 = 10_000.0;

/// Figures of the surface.
pub(super) const FIGURES: usize = 4;

/// Precision of a normal prior of the slopes around 0, where a log has one position, or one exposure.
const FLAT: f64 = 1.0;

/// Newton steps at most; a handful is needed.
const STEPS: usize = 50;

/// A step changes no log-odds by more: far from the top of a likelihood Newton's would leap past it.
const LEAP: f64 = 2.0;

fn features(position: usize, exposure: usize) -> [f64; FIGURES] {
    let (depth, exposure) = ((position.max(1) as f64).ln(), exposure as f64);
    [1.0, depth, exposure, depth * exposure]
}

fn share(figures: &[f64; FIGURES], at: &[f64; FIGURES]) -> f64 {
    let odds: f64 = figures.iter().zip(at).map(|(w, x)| w * x).sum();
    1.0 / (1.0 + (-odds).exp())
}

/// Shares by position and exposure of these numbers of relevant pairs among those shown.
pub(super) fn smoothed(relevant: &[[f64; EXPOSURES]], shown: &[[f64; EXPOSURES]]) -> Vec<[f64; EXPOSURES]> {
    let figures = fitted(relevant, shown);
    let of = |(position, (yes, all)): (usize, (&[f64; EXPOSURES], &[f64; EXPOSURES]))| {
        std::array::from_fn(|exposure| {
            let surface = share(&figures, &features(position, exposure));
            (yes[exposure] + PAIRS * surface) / (all[exposure] + PAIRS)
        })
    };
    relevant.iter().zip(shown).enumerate().map(of).collect()
}

/// The figures of greatest likelihood, slopes with their prior: concave, so Newton's method finds them.
fn fitted(relevant: &[[f64; EXPOSURES]], shown: &[[f64; EXPOSURES]]) -> [f64; FIGURES] {
    let sum = |of: &[[f64; EXPOSURES]]| of.as_flattened().iter().sum::<f64>();
    let overall = ((sum(relevant) + 0.5) / (sum(shown) + 1.0)).clamp(1e-6, 1.0 - 1e-6);
    let mut figures = [(overall / (1.0 - overall)).ln(), 0.0, 0.0, 0.0];
    for _ in 0..STEPS {
        let (mut slope, mut bend) = ([0.0; FIGURES], [[0.0; FIGURES]; FIGURES]);
        for i in 1..FIGURES {
            slope[i] = -FLAT * figures[i];
            bend[i][i] = FLAT;
        }
        bend[0][0] = 1e-9;
        for (position, (yes, all)) in relevant.iter().zip(shown).enumerate() {
            for exposure in 0..EXPOSURES {
                let (at, n) = (features(position, exposure), all[exposure]);
                let p = share(&figures, &at);
                for i in 0..FIGURES {
                    slope[i] += at[i] * (yes[exposure] - n * p);
                    for j in 0..FIGURES {
                        bend[i][j] += at[i] * at[j] * n * p * (1.0 - p);
                    }
                }
            }
        }
        let step = solved(bend, slope);
        let far = step.iter().fold(0.0_f64, |far, s| far.max(s.abs()));
        let part = if far > LEAP { LEAP / far } else { 1.0 };
        figures.iter_mut().zip(step).for_each(|(w, s)| *w += part * s);
        if far < 1e-10 {
            break;
        }
    }
    figures
}

/// Solves a positive definite system by elimination.
fn solved(mut a: [[f64; FIGURES]; FIGURES], mut b: [f64; FIGURES]) -> [f64; FIGURES] {
    for i in 0..FIGURES {
        let (row, right) = (a[i], b[i]);
        for (below, value) in a.iter_mut().zip(&mut b).skip(i + 1) {
            let times = below[i] / row[i];
            below.iter_mut().zip(row).for_each(|(x, y)| *x -= times * y);
            *value -= times * right;
        }
    }
    for i in (0..FIGURES).rev() {
        let known: f64 = (i + 1..FIGURES).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b
}
