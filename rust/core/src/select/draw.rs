//! Documents to draw from.

use crate::error::Result;
use crate::pulse::Pulse;
use crate::release::Released;

use super::{Draw, SelectConfig};

/// Released documents, each with its share of the draws.
#[derive(Debug, Default)]
pub struct Documents {
    /// In canonical order; empty where none are drawn.
    codes: Vec<u64>,
    /// Sums of weights up to each document; empty where all weigh the same.
    sums: Vec<f64>,
}

/// Between every document alike (0) and as often as it is shown (1): that of word2vec (Mikolov et al. 2013, section 2.2).
const EXPONENT: f64 = 0.75;

impl Documents {
    /// Those of a release, as far as `config` draws any.
    ///
    /// # Errors
    /// Where the spill cannot be read; what `pulse` reports.
    pub fn of(released: &Released, config: &SelectConfig, pulse: &mut Pulse<'_>) -> Result<Self> {
        if !config.draws() {
            return Ok(Self::default());
        }
        let codes = released.documents(pulse)?;
        let shown =
            if config.draw == Draw::Uniform { Vec::new() } else { Self::shown(released, &codes, pulse)? };
        Ok(Self::weighed(codes, &shown))
    }

    /// How often each of some documents of a release was shown.
    ///
    /// # Errors
    /// As [`Documents::of`].
    pub(crate) fn shown(released: &Released, codes: &[u64], pulse: &mut Pulse<'_>) -> Result<Vec<u64>> {
        let mut shown = vec![0_u64; codes.len()];
        for part in 0..released.tables.len() {
            pulse.beat()?;
            released.tables.part(part, |group| {
                for pair in &group.pairs {
                    if let Ok(i) = codes.binary_search(&pair.doc) {
                        // As it may be shown: what is drawn leaves.
                        shown[i] += released.shown(pair.impressions.into());
                    }
                }
                Ok(())
            })?;
        }
        Ok(shown)
    }

    /// Documents in canonical order, weighed by how often they were shown; with nothing said of that, all alike.
    pub(crate) fn weighed(codes: Vec<u64>, shown: &[u64]) -> Self {
        let mut sum = 0.0;
        let weigh = |n: &u64| {
            sum += (*n as f64).powf(EXPONENT);
            sum
        };
        let sums = shown.iter().map(weigh).collect();
        Self { codes, sums }
    }

    /// All of them.
    pub(crate) fn codes(&self) -> &[u64] {
        &self.codes
    }

    /// The document that a hash draws.
    pub(super) fn draw(&self, hash: u64) -> Option<u64> {
        let n = self.codes.len();
        let i = match self.sums.last() {
            None if n == 0 => return None,
            None => (hash % n as u64) as usize,
            Some(all) => {
                let at = hash as f64 / 2_f64.powi(64) * all;
                self.sums.partition_point(|sum| *sum <= at).min(n - 1)
            }
        };
        Some(self.codes[i])
    }
}
