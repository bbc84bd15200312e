//! Queries of alike words, by prefix filtering: without a look at pairs that cannot be.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use crate::error::Result;
use crate::pulse::Pulse;
use crate::workers;

/// Texts that a worker takes at a time.
const CHUNK: usize = 256;
/// Weights are whole numbers of this fraction, so that sums are exact in any order.
const WEIGHT_UNIT: f64 = 1.0 / 1024.0;

/// Texts as words, each once, rarest first.
pub(super) struct Words {
    /// By text: numbers of its words, ascending; rarer words have lower numbers.
    of: Vec<Vec<u32>>,
    /// By word: ln((texts + 1) / texts with it).
    weights: Vec<u64>,
    /// By text: sum of the squares of its words' weights.
    squares: Vec<u64>,
}

impl Words {
    /// Words are runs of letters and digits.
    pub(super) fn new(texts: &[&str]) -> Self {
        let mut number: HashMap<&str, u32> = HashMap::new();
        let mut of: Vec<Vec<u32>> = Vec::with_capacity(texts.len());
        let (mut names, mut degrees): (Vec<&str>, Vec<usize>) = Default::default();
        for text in texts {
            let said = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let mut words: Vec<u32> = said
                .map(|word| {
                    *number.entry(word).or_insert_with(|| {
                        names.push(word);
                        degrees.push(0);
                        degrees.len() as u32 - 1
                    })
                })
                .collect();
            words.sort_unstable();
            words.dedup();
            words.iter().for_each(|w| degrees[*w as usize] += 1);
            of.push(words);
        }
        let mut order: Vec<usize> = (0..degrees.len()).collect();
        order.sort_unstable_by_key(|i| (degrees[*i], names[*i]));
        let mut rank = vec![0_u32; order.len()];
        order.iter().enumerate().for_each(|(place, i)| rank[*i] = place as u32);
        for words in &mut of {
            words.iter_mut().for_each(|word| *word = rank[*word as usize]);
            words.sort_unstable();
        }
        let all = texts.len() as f64 + 1.0;
        let weight = |i: &usize| ((all / degrees[*i] as f64).ln() / WEIGHT_UNIT).round() as u64;
        let weights: Vec<u64> = order.iter().map(weight).collect();
        let squares =
            of.iter().map(|words| words.iter().map(|w| weights[*w as usize].pow(2)).sum()).collect();
        Self { of, weights, squares }
    }

    /// How many of its rarest words a text must share one of with any text whose cosine is above `least`: what they share
    /// among the others has at most the others' norm (Chaudhuri, Ganti & Kaushik 2006; Bayardo, Ma & Srikant 2007).
    fn prefix(&self, text: usize, least: f64) -> &[u32] {
        let words = &self.of[text];
        let bound = self.squares[text] as f64 * least * least;
        let mut left = self.squares[text];
        let mut n = 0;
        while n < words.len() && left as f64 > bound {
            left -= self.weights[words[n] as usize].pow(2);
            n += 1;
        }
        &words[..n]
    }

    /// Cosine of two texts; 0 where one has no words.
    pub(super) fn cosine(&self, a: usize, b: usize) -> f64 {
        let (one, other) = (&self.of[a], &self.of[b]);
        let (mut i, mut j, mut dot) = (0, 0, 0);
        while i < one.len() && j < other.len() {
            match one[i].cmp(&other[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    dot += self.weights[one[i] as usize].pow(2);
                    (i, j) = (i + 1, j + 1);
                }
            }
        }
        let norms = self.squares[a] as f64 * self.squares[b] as f64;
        if norms > 0.0 { dot as f64 / norms.sqrt() } else { 0.0 }
    }

    /// Texts by the words of their prefixes; none for words in more than `most` of these.
    fn listed(&self, least: f64, most: usize) -> Vec<Vec<u32>> {
        let mut listed: Vec<Vec<u32>> = vec![Vec::new(); self.weights.len()];
        for text in 0..self.of.len() {
            self.prefix(text, least).iter().for_each(|w| listed[*w as usize].push(text as u32));
        }
        listed.iter_mut().filter(|texts| texts.len() > most).for_each(Vec::clear);
        listed
    }

    /// (text, other text, cosine) where that is above `least`, of each text the `nearest`: all of them but for those that
    /// share no word of their prefixes that is in at most `most` prefixes, which bounds the work to `most` pairs a word of a
    /// text.
    pub(super) fn alike(
        &self,
        least: f64,
        most: usize,
        nearest: usize,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Vec<(u32, u32, f64)>> {
        let listed = self.listed(least, most);
        let parts = workers::collect(
            self.of.len().div_ceil(CHUNK),
            workers::threads(threads),
            || pulse.beat(),
            |chunk| {
                let (mut seen, mut own, mut near) =
                    (HashSet::with_hasher(RandomState::default()), Vec::new(), Vec::new());
                for text in chunk * CHUNK..((chunk + 1) * CHUNK).min(self.of.len()) {
                    seen.clear();
                    own.clear();
                    for word in self.prefix(text, least) {
                        for other in &listed[*word as usize] {
                            if *other as usize != text && seen.insert(*other) {
                                let cosine = self.cosine(text, *other as usize);
                                own.extend((cosine > least).then_some((text as u32, *other, cosine)));
                            }
                        }
                    }
                    own.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
                    near.extend(own.iter().take(nearest));
                }
                Ok(near)
            },
        )?;
        Ok(parts.concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Prefix filtering finds what comparing all with all finds, on one thread or two.
        #[test]
        fn nothing_alike_is_missed(
            texts in prop::collection::vec("[a-e]{0,2}( [a-h]){0,4}", 0..40),
            least in prop::sample::select(vec![0.05, 0.3, 0.4, 0.6, 0.9]),
            most in prop::sample::select(vec![1, 3, 40]),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let words = Words::new(&texts);
            let prefix = |text: usize| words.prefix(text, least);
            let in_prefixes = |w: &u32| (0..texts.len()).filter(|t| prefix(*t).contains(w)).count();
            let mut all = Vec::new();
            for a in 0..texts.len() {
                for b in (0..texts.len()).filter(|b| a != *b && words.cosine(a, *b) > least) {
                    let shared: Vec<&u32> = prefix(a).iter().filter(|w| prefix(b).contains(w)).collect();
                    prop_assert!(!shared.is_empty());
                    if shared.iter().any(|w| in_prefixes(w) <= most) {
                        all.push((a as u32, b as u32, words.cosine(a, b)));
                    }
                }
            }
            all.sort_by(|a, b| a.0.cmp(&b.0).then(b.2.total_cmp(&a.2)).then(a.1.cmp(&b.1)));
            for (threads, nearest) in [(1, 100), (2, 100), (2, 3)] {
                let found = words.alike(least, most, nearest, threads, &mut Pulse::new(|| Ok(()))).unwrap();
                let near = all.chunk_by(|a, b| a.0 == b.0).flat_map(|own| &own[..own.len().min(nearest)]);
                prop_assert_eq!(found, near.copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn cosines_by_hand() {
        let words = Words::new(&["red shoes", "shoes, red!", "red", "blue hat", ""]);
        assert_eq!(words.cosine(0, 1), 1.0);
        assert_eq!(words.cosine(0, 3), 0.0);
        assert_eq!(words.cosine(0, 4), 0.0);
        // red is in three of five texts, shoes in two: ln(6/3), ln(6/2).
        let (red, shoes) = (2.0_f64.ln(), 3.0_f64.ln());
        assert!((words.cosine(0, 2) - red / red.hypot(shoes)).abs() < 1e-3);
    }
}
