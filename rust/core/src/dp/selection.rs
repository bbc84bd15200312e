//! Partition selection: the items that may be named, by a noisy weighted count against a threshold.
//!
//! One round is the weighted Gaussian of Gopi et al., "Differentially Private Set Union", ICML 2020: a user with d items
//! gives each 1/√d. More rounds are the pooled adaptive Gaussian: scores of all rounds are added up, and each round aims the
//! users' weights at items whose score so far is promising and not yet enough. docs/PRIVACY.md has statements and proofs.

use std::sync::atomic::{AtomicI64, Ordering};

use std::collections::HashMap;

use super::unit::Scale;
use super::universe::Universe;
use crate::contributions::Contributions;
use crate::error::{Error, Result};
use crate::intern::{code, gathered, spread};
use crate::noise::{Random, RoundedGaussian};
use crate::pulse::Pulse;
use crate::workers::each;

/// Items whose noise one worker draws at a time.
const CHUNK: usize = 1 << 14;

/// Weight of an item that nothing is known of, and the greatest.
const FULL: u16 = 1 << 15;

/// Steps of a score in standard deviations to one: the index of [`Round::bias`].
pub const STEPS: i64 = 256;

/// Public constants of a selection. The caller calibrates them; see docs/PRIVACY.md.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Items a user contributes at most: those first in the run's keyed order.
    pub max_items: usize,
    /// Standard deviation of each round's noise, on the grid.
    pub sigma: u64,
    /// The rounds.
    pub rounds: Vec<Round>,
}

/// One round.
#[derive(Debug, Clone)]
pub struct Round {
    /// An item is released once its pooled score is at least this.
    pub threshold: i64,
    /// Weight in the next round, at most 2^15, of an item not released yet, by its pooled score in steps of 1/256 standard
    /// deviation from 0; scores beyond the table take its ends. Of an item's own score only: anything that looks at other
    /// items would break the proof. Empty after the last round.
    pub bias: Vec<u16>,
}

/// A released query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its code; 0 for a public one that nobody asked.
    pub code: u64,
    /// Its pooled score when it was released, on the grid; noise included.
    pub score: i64,
    /// How many rounds that took.
    pub rounds: u32,
}

/// A released (query, document).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Number of its query among those released.
    pub query: u32,
    /// Code of its document.
    pub doc: u64,
    /// Its pooled score, as a [`Key`]'s.
    pub score: i64,
    /// How many rounds that took.
    pub rounds: u32,
}

/// Releases queries, in canonical order: items are what each user asked.
///
/// # Errors
/// [`Error::usage`] for constants that cannot be; where the spill cannot be read or no randomness is to be had; what `pulse`
/// reports.
pub fn queries(
    contributions: &Contributions,
    selection: &Selection,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<Key>> {
    check(selection)?;
    let most = selection.max_items;
    let universe = Universe::new(contributions, threads, pulse, |user, items| {
        items.extend(user.queries.iter().take(most).map(|(query, _)| *query));
    })?;
    let mut keys = released(&universe, selection, threads, pulse)?;
    // Codes tell in which order queries were met; the order of what leaves may not.
    keys.sort_by_cached_key(|key| canonical(contributions.query_strings.get(key.code)));
    Ok(keys)
}

/// Releases (query, document)s of released `queries`, in canonical order: items are the pairs that each user clicked, or
/// with `shown` was shown.
///
/// **Statement.** If [`queries`] with its constants is dominated by (delta_1, mu_1), and the same with the constants given here
/// by (delta_2, mu_2), both together are dominated by delta_t = 1 − (1 − delta_1)(1 − delta_2) and mu = √(mu_1² + mu_2²), where
/// "dominated by (delta_t, mu)" is: delta(epsilon) <= delta_t + (1 − delta_t) delta_G(epsilon; mu) for every epsilon, both ways.
///
/// *Proof.* Fix an output of the first. The pairs that a user contributes are then a function of the user's own rows, that
/// output and a key of the run, at most `max_items` of them, each once, so this is the same mechanism with pairs for items, and
/// what is proved of it holds: in round 1 a pair that only one user has gets at most 1/√t of theirs. Being so dominated for
/// every epsilon is having a trade-off function of at least f_(0, delta_t) ⊗ G_mu; these compose adaptively (Dong, Roth & Su
/// 2022, section 3), and the product is commutative.
///
/// # Errors
/// As [`queries`].
pub fn pairs(
    contributions: &Contributions,
    queries: &[Key],
    shown: bool,
    selection: &Selection,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<Pair>> {
    check(selection)?;
    let most = selection.max_items;
    let (query_strings, doc_strings) = (&contributions.query_strings, &contributions.doc_strings);
    if u32::try_from(queries.len().max(doc_strings.len())).is_err() {
        return Err(Error::data("more than 4 billion documents; release the log in windows"));
    }
    let numbers: HashMap<u64, u32> = queries.iter().zip(0..).map(|(key, i)| (key.code, i)).collect();
    let universe = Universe::new(contributions, threads, pulse, |user, items| {
        let pairs = user.iter().flat_map(|(query, docs)| {
            let number = numbers.get(&query).copied();
            docs.iter().filter(|d| shown || d.clicked).filter_map(move |d| Some((number?, d.doc)))
        });
        // Numbers of the two make a number of the pair that no other has.
        let item = |(query, doc)| Some(spread(u64::from(query) << 32 | doc_strings.find(doc)? as u64));
        items.extend(pairs.filter_map(item).take(most));
    })?;
    let doc_codes: Vec<u64> = doc_strings.codes().collect();
    let pair = |key: Key| {
        let item = gathered(key.code);
        let doc = doc_codes[(item & u64::from(u32::MAX)) as usize];
        Pair { query: (item >> 32) as u32, doc, score: key.score, rounds: key.rounds }
    };
    let mut out: Vec<Pair> = released(&universe, selection, threads, pulse)?.into_iter().map(pair).collect();
    let name = |pair: &Pair| canonical(query_strings.get(queries[pair.query as usize].code));
    out.sort_by_cached_key(|pair| (name(pair), canonical(doc_strings.get(pair.doc))));
    Ok(out)
}

/// Sorts strings as the rest of the program does: by the head of their SHA-256.
fn canonical(text: &str) -> (u64, String) {
    (code(text.as_bytes()), text.to_owned())
}

fn check(selection: &Selection) -> Result<()> {
    if selection.max_items == 0 || selection.max_items > 1 << 20 {
        return Err(Error::usage("a user contributes between 1 and 2^20 items"));
    }
    let last = selection.rounds.len().checked_sub(1);
    let Some(last) = last.filter(|last| *last < 1 << 10) else {
        return Err(Error::usage("a selection has between 1 and 1,024 rounds"));
    };
    let fine =
        |(i, r): (usize, &Round)| (i == last || !r.bias.is_empty()) && r.bias.iter().all(|b| *b <= FULL);
    if !selection.rounds.iter().enumerate().all(fine) {
        return Err(Error::usage("each round but the last needs weights for the next, of at most 2^15"));
    }
    Ok(())
}

fn released(
    universe: &Universe,
    selection: &Selection,
    threads: usize,
    pulse: &mut Pulse<'_>,
) -> Result<Vec<Key>> {
    let noise = RoundedGaussian::new(selection.sigma)?;
    let n = universe.codes.len();
    let scores: Vec<AtomicI64> = (0..n).map(|_| AtomicI64::new(0)).collect();
    let mut weights = vec![FULL; n];
    let mut keys: Vec<Key> = Vec::new();
    for (i, round) in selection.rounds.iter().enumerate() {
        universe.each_user(threads, pulse, |items| add(items, &weights, &scores))?;
        let chunks = n.div_ceil(CHUNK);
        each(
            chunks,
            threads,
            || pulse.beat(),
            || None,
            |own: &mut Option<Random>, chunk| {
                let random = match own {
                    Some(random) => random,
                    None => own.insert(Random::fresh()?),
                };
                // Every item of the domain gets noise, released or not: what is drawn then hangs on nothing.
                for score in &scores[chunk * CHUNK..n.min((chunk + 1) * CHUNK)] {
                    score.fetch_add(noise.sample(random), Ordering::Relaxed);
                }
                Ok(())
            },
            |_| Ok(()),
        )?;
        let pooled = (i as u128 + 1) * u128::from(selection.sigma) * u128::from(selection.sigma);
        let deviation = (pooled.isqrt() as i64).max(1);
        for (item, score) in scores.iter().enumerate() {
            let score = score.load(Ordering::Relaxed);
            if weights[item] == RELEASED {
                continue;
            }
            if score >= round.threshold {
                weights[item] = RELEASED;
                keys.push(Key { code: universe.codes[item], score, rounds: i as u32 + 1 });
            } else if let Some(last) = round.bias.len().checked_sub(1) {
                let step = (i128::from(score) * i128::from(STEPS) / i128::from(deviation)).max(0);
                weights[item] = round.bias[usize::try_from(step).unwrap_or(last).min(last)];
            }
        }
    }
    Ok(keys)
}

/// Stands among the weights for an item that is released already and weighs nothing.
const RELEASED: u16 = u16::MAX;

/// Adds one user's vector: weights scaled to unit length.
fn add(items: &[u32], weights: &[u16], scores: &[AtomicI64]) {
    let weight = |item: &u32| match weights[*item as usize] {
        RELEASED => 0,
        weight => u64::from(weight),
    };
    let squares = items.iter().map(weight).map(|w| u128::from(w * w)).sum();
    let Some(scale) = Scale::to_unit(squares) else { return };
    for item in items {
        scores[*item as usize].fetch_add(scale.of(weight(item)), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector(items: &[u32], weights: &[u16]) -> Vec<i64> {
        let scores: Vec<AtomicI64> = weights.iter().map(|_| AtomicI64::new(0)).collect();
        add(items, weights, &scores);
        scores.into_iter().map(AtomicI64::into_inner).collect()
    }

    proptest! {
        /// A new user changes how everybody's items are numbered. Sums of floats in that order would move others' vectors: of
        /// .05, 1, .4, .25, .75, .55, .4 scaled to unit length some permutations round to another grid point.
        #[test]
        fn a_vector_does_not_depend_on_how_items_are_numbered(
            (weights, order) in proptest::collection::vec(0..=FULL, 1..40)
                .prop_flat_map(|w| { let n = w.len() as u32; (Just(w), Just((0..n).collect::<Vec<_>>()).prop_shuffle()) }),
        ) {
            let plain: Vec<u32> = (0..weights.len() as u32).collect();
            let expected = vector(&plain, &weights);
            let mut renumbered = vec![0; weights.len()];
            plain.iter().for_each(|i| renumbered[order[*i as usize] as usize] = weights[*i as usize]);
            let got = vector(&order, &renumbered);
            for i in 0..weights.len() {
                prop_assert_eq!(expected[i], got[order[i] as usize]);
            }
        }
    }

    #[test]
    fn released_items_weigh_nothing() {
        assert_eq!(vector(&[0, 1], &[RELEASED, FULL]), [0, 1 << 20]);
        assert_eq!(vector(&[0, 1], &[RELEASED, RELEASED]), [0, 0]);
    }
}
