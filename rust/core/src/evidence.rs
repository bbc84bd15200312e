//! What the released counts say about a document for a query, with position bias taken out of its clicks.

use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::group::Group;
use crate::release::Released;
use crate::tables::Pair;

/// Options; see docs/ARCHITECTURE.md, evidence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceConfig {
    /// Prior clicks, and prior expected clicks.
    pub shrinkage: f64,
    /// A skip at position r weighs page_depth + 1 - r.
    pub page_depth: u32,
}

/// Impressions and clicks at a position (0: none) over everything released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PositionRow {
    /// 1-based, 0 for none.
    pub position: u16,
    /// Votes.
    pub impressions: u64,
    /// Clicked ones.
    pub clicks: u64,
}

impl PositionRow {
    /// Clicks per impression.
    pub fn ctr(&self) -> f64 {
        if self.impressions == 0 { 0.0 } else { self.clicks as f64 / self.impressions as f64 }
    }
}

/// Evidence of one (query, document).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvidenceRow {
    /// Clicks that its positions alone explain: sum over positions of impressions times the CTR of the position.
    pub expected_clicks: f64,
    /// Clicks over expected clicks, shrunk.
    pub coec: f64,
    /// P(Poisson(expected clicks) <= clicks).
    pub p_zero: f64,
}

/// Evidence of everything released. Its rows are worked out where they are wanted: they follow from the released counts
/// and the few figures here, and keeping them would take more memory than the counts.
pub struct Evidence {
    /// What it is made from.
    pub released: Arc<Released>,
    /// CTR by position.
    pub positions: Vec<PositionRow>,
    /// CTR of each position, 0 first.
    ctr: Vec<f64>,
    shrinkage: f64,
    /// For `skip_weight`.
    page_depth: u32,
}

impl Evidence {
    /// (page_depth + 1) · skips − sum of the positions where it was skipped.
    pub fn skip_weight(&self, pair: &Pair) -> i64 {
        let weight = (i64::from(self.page_depth) + 1).saturating_mul(i64::from(pair.skips));
        weight.saturating_sub_unsigned(pair.skip_position_sum)
    }

    /// Evidence of pair number `i` of a released query.
    ///
    /// The sum of expected clicks runs over all positions at which the pair was shown, in ascending order: the variant
    /// that takes the best position only lets several times as many relevant documents through.
    pub fn row(&self, group: &Group, i: usize) -> EvidenceRow {
        let clicks = group.pairs[i].clicks;
        let mut expected_clicks = 0.0;
        for (position, impressions, _) in group.by_position(i) {
            expected_clicks += impressions as f64 * self.ctr[usize::from(position)];
        }
        let a = self.shrinkage;
        EvidenceRow {
            expected_clicks,
            coec: (f64::from(clicks) + a) / (expected_clicks + a),
            p_zero: poisson_cdf(clicks, expected_clicks),
        }
    }
}

/// Mean position; None where no impression had one.
pub fn mean_position(pair: &Pair) -> Option<f64> {
    (pair.positioned > 0).then(|| pair.position_sum as f64 / f64::from(pair.positioned))
}

/// Upper end of the Wilson score interval of `clicks` of `impressions` (Wilson 1927), z = 1.96.
pub fn wilson_upper(clicks: u32, impressions: u32) -> f64 {
    let (n, z2) = (f64::from(impressions), 1.96 * 1.96);
    let p = f64::from(clicks) / n;
    (p + z2 / (2.0 * n) + 1.96 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt()) / (1.0 + z2 / n)
}

/// Expected clicks (Zhang & Jones 2007), COEC and zero-click significance of everything released.
///
/// # Errors
/// [`Error::usage`] for a shrinkage that is not above 0.
pub fn evidence(released: Arc<Released>, config: &EvidenceConfig) -> Result<Evidence> {
    if config.shrinkage.is_nan() || config.shrinkage <= 0.0 {
        return Err(Error::usage("evidence.shrinkage must be above 0"));
    }
    let row = |(p, [impressions, clicks]): (usize, [u64; 2])| PositionRow {
        position: p as u16,
        impressions,
        clicks,
    };
    let mut positions: Vec<PositionRow> =
        released.tables.by_position().0.into_iter().enumerate().map(row).collect();
    let ctr = positions.iter().map(PositionRow::ctr).collect();
    positions.retain(|p| p.impressions > 0);
    Ok(Evidence { released, positions, ctr, shrinkage: config.shrinkage, page_depth: config.page_depth })
}

/// P(Poisson(mean) <= n): terms summed downwards from n, relative to the last, so that nothing under- or overflows.
pub fn poisson_cdf(n: u32, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=n).rev() {
        term *= f64::from(k) / mean;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    (f64::from(n) * mean.ln() - mean - ln_factorial(n) + f64::ln(sum)).exp().min(1.0)
}

/// ln n!: by product up to 20, by Stirling's series beyond (error below 1e-13).
fn ln_factorial(n: u32) -> f64 {
    if n <= 20 {
        return (2..=n).map(f64::from).product::<f64>().ln();
    }
    let x = f64::from(n) + 1.0;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5))
        - 1.0 / (1680.0 * x.powi(7));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}
