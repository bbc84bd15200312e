//! How sure the examination of a PBM or UBM is, from the log that it was fitted to, in one pass over its cells.
//!
//! P(C = 1) = θ_k a. Every pair's a is profiled out, so what is known of θ is the Schur complement S = Σ_pairs (J_θθ − J_θa
//! J_aθ / J_aa) of the expected information (van der Vaart 1998, section 25.4), J_aa with the prior of a. Rows of one query are
//! no independent ones: the middle of the sandwich S⁻¹ M S⁻¹ sums the scores of whole queries (White 1982; Liang & Zeger
//! 1986). The top's θ is 1 by definition; the prior, which is fitted, is taken as known.

use super::examine::{Exposed, exposed};
use super::log::Part;
use super::prior::{BELOW_ONE, FLOOR};
use super::{Definition, Fitted, Model, pbm, ubm};

/// Fewer queries than these say nothing of how much queries differ.
const QUERIES: usize = 30;

/// Places; time grows with the cube of their number.
const PLACES: usize = 1 << 10;

/// What is known of examination.
pub struct Certainty {
    place: fn(u16, u16) -> usize,
    /// Place → row; None for the top, and for what was never seen.
    row: Vec<Option<usize>>,
    /// Cholesky factor of S, lower, row by row.
    factor: Vec<f64>,
    /// M.
    middle: Vec<f64>,
    n: usize,
}

impl Fitted {
    /// How sure examination is; None for models without, for fewer than 30 queries, and for more than 1,024 places.
    pub fn certainty(&self) -> Option<Certainty> {
        let place = match self.model {
            Model::Pbm => pbm::place,
            Model::Ubm => ubm::place,
            _ => return None,
        };
        let queries = self.log.queries();
        if self.definition != Definition::Standard || queries < QUERIES {
            return None;
        }
        let learnt = &self.learnt.places;
        let top = (1..=self.log.depth).map(|p| place(p, 0)).find(|p| learnt.trials[*p] > 0.0)?;
        let mut row = vec![None; learnt.value.len()];
        let seen = |p: &usize| *p != top && learnt.trials[*p] > 0.0;
        let n = (0..row.len()).filter(seen).zip(0..).map(|(p, i)| row[p] = Some(i)).count();
        if n == 0 || n > PLACES {
            return None;
        }
        let mut sums =
            Sums { row: &row, value: &learnt.value, known: vec![0.0; n * n], middle: vec![0.0; n * n], n };
        let prior = self.learnt.attraction.prior;
        let mut score: Vec<(usize, f64)> = Vec::new();
        for (i, (bucket, shares)) in self.log.buckets.iter().zip(&self.learnt.attraction.buckets).enumerate()
        {
            let cells = exposed(&self.log, i, place, Part::All);
            for query in 0..bucket.queries.len() {
                score.clear();
                for pair in bucket.pairs_of(query) {
                    let a = shares.value[pair].clamp(FLOOR, BELOW_ONE);
                    sums.pair(&cells, pair, a, [prior.hits, prior.misses], &mut score);
                }
                sums.query(&mut score);
            }
        }
        let all = queries as f64;
        let middle = sums.middle.into_iter().map(|m| m * all / (all - 1.0)).collect();
        let factor = factored(sums.known, n)?;
        Some(Certainty { place, row, factor, middle, n })
    }
}

struct Sums<'a> {
    row: &'a [Option<usize>],
    value: &'a [f64],
    /// S.
    known: Vec<f64>,
    /// M.
    middle: Vec<f64>,
    n: usize,
}

impl Sums<'_> {
    /// Takes in a pair of attractiveness `a`; its score goes to `score`, by row.
    fn pair(&mut self, cells: &Exposed, pair: usize, a: f64, prior: [f64; 2], score: &mut Vec<(usize, f64)>) {
        let mut known = prior[0] / (a * a) + prior[1] / ((1.0 - a) * (1.0 - a));
        let mut slope = prior[0] / a - prior[1] / (1.0 - a);
        let mut both: Vec<(usize, f64)> = Vec::new();
        let first = score.len();
        for cell in cells.of(pair) {
            let place = cells.places[cell] as usize;
            let (skips, clicks) = (f64::from(cells.skips[cell]), f64::from(cells.clicks[cell]));
            let (e, shown) = (self.value[place].max(FLOOR), skips + clicks);
            let miss = (1.0 - e * a).max(FLOOR);
            known += shown * e / (a * miss);
            slope += clicks / a - skips * e / miss;
            if let Some(row) = self.row[place] {
                self.known[row * self.n + row] += shown * a / (e * miss);
                both.push((row, shown / miss));
                score.push((row, clicks / e - skips * a / miss));
            }
        }
        for (i, (row, own)) in both.iter().enumerate() {
            score[first + i].1 -= own * slope / known;
            for (other, more) in &both {
                self.known[row * self.n + other] -= own * more / known;
            }
        }
    }

    /// Takes in the scores of a query's pairs.
    fn query(&mut self, score: &mut Vec<(usize, f64)>) {
        score.sort_by_key(|(row, _)| *row);
        score.dedup_by(|more, sum| {
            let same = more.0 == sum.0;
            sum.1 += if same { more.1 } else { 0.0 };
            same
        });
        for (row, own) in score.iter() {
            for (other, more) in score.iter() {
                self.middle[row * self.n + other] += own * more;
            }
        }
    }
}

/// Cholesky's factor of a symmetric matrix; None where it is not positive.
fn factored(mut of: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for j in 0..n {
        for i in j..n {
            let (upper, lower) = of.split_at(i * n);
            let other = if i == j { &lower[..j] } else { &upper[j * n..j * n + j] };
            let sum: f64 = lower[..j].iter().zip(other).map(|(a, b)| a * b).sum();
            let left = of[i * n + j] - sum;
            if i == j {
                // What is left of nothing is rounding.
                if left <= of[j * n + j] * 1e-12 || !left.is_finite() {
                    return None;
                }
                of[j * n + j] = left.sqrt();
            } else {
                of[i * n + j] = left / of[j * n + j];
            }
        }
    }
    Some(of)
}

impl Certainty {
    /// Standard deviation of Σ weight · P(examined at position, below a click at previous click) over (position, previous
    /// click, weight).
    pub fn deviation(&self, of: impl IntoIterator<Item = (u16, u16, f64)>) -> f64 {
        let n = self.n;
        let mut x = vec![0.0; n];
        for (position, previous_click, weight) in of {
            if let Some(row) = self.row.get((self.place)(position, previous_click)).copied().flatten() {
                x[row] += weight;
            }
        }
        // S x = weights: forwards, then backwards.
        for i in 0..n {
            let sum: f64 = (0..i).map(|j| self.factor[i * n + j] * x[j]).sum();
            x[i] = (x[i] - sum) / self.factor[i * n + i];
        }
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|j| self.factor[j * n + i] * x[j]).sum();
            x[i] = (x[i] - sum) / self.factor[i * n + i];
        }
        let middle = |i: usize| -> f64 { (0..n).map(|j| self.middle[i * n + j] * x[j]).sum() };
        (0..n).map(|i| x[i] * middle(i)).sum::<f64>().max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_solves_by_hand() {
        // [[4, 2], [2, 3]] x = (8, 7) has x = (1.25, 1.5); M = 1 everywhere makes the deviation their sum.
        let factor = factored(vec![4.0, 2.0, 2.0, 3.0], 2).unwrap();
        let row = vec![None, None, Some(0), Some(1)];
        let known = Certainty { place: pbm::place, row, factor, middle: vec![1.0; 4], n: 2 };
        assert!((known.deviation([(2, 0, 8.0), (3, 0, 7.0)]) - 2.75).abs() < 1e-12);
        assert_eq!(known.deviation([(1, 0, 1.0)]), 0.0);
        assert!(factored(vec![1.0, 1.0, 1.0, 1.0], 2).is_none());
    }
}
