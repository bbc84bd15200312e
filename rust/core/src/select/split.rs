//! Which queries are held out for validation.

use crate::alike::Alike;
use crate::seed::Seed;

/// Where the seed hash puts an intent: it is held out below some place.
pub(super) fn place(seed: Seed, intent: u64) -> u64 {
    seed.hash("split", &[&intent.to_be_bytes()])
}

/// The place below which intents are held out, so that of the queries with a satisfied click their share is nearest to the one
/// asked for; where nothing tells of intents, the share of all places.
pub(crate) fn held_out_below(alike: &Alike, share: f64, seed: Seed) -> u64 {
    let mut intents = alike.intents().to_vec();
    if intents.is_empty() || share <= 0.0 {
        return (share * 2_f64.powi(64)) as u64;
    }
    intents.sort_unstable();
    let mut placed: Vec<(u64, usize)> =
        intents.chunk_by(|a, b| a == b).map(|own| (place(seed, own[0]), own.len())).collect();
    placed.sort_unstable();
    let wanted = share * intents.len() as f64;
    let (mut below, mut held, mut off) = (placed[0].0, 0, wanted);
    for (i, (_, size)) in placed.iter().enumerate() {
        held += size;
        if (held as f64 - wanted).abs() < off {
            off = (held as f64 - wanted).abs();
            below = placed.get(i + 1).map_or(u64::MAX, |next| next.0);
        }
    }
    below
}
