//! Queries of alike words, by prefix filtering: without a look at pairs that cannot be; and by bits of words, without reading
//! the words of texts that share no more than the one they are found by (Sandes, Teodoro & de Melo 2020, bitmap filter).

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::error::{Error, Result};

/// Weights are whole numbers of this fraction, so that sums are exact in any order.
const WEIGHT_UNIT: f64 = 1.0 / 1024.0;
/// Words of a text are looked up so many at a time.
const LANES: usize = 4;
/// What stands before the words of a text: the sum of its squared weights in two halves, and how often [`LANES`] words follow.
const HEAD: usize = 3;

/// Texts as words, each once, rarest first.
pub(super) struct Words {
    /// All that comparing with a text takes, in one place: [`HEAD`], then numbers of its words, ascending, filled up with the
    /// number of no word. Rarer words have lower numbers.
    records: Vec<u32>,
    /// By text: where its record begins; then the end of all.
    starts: Vec<u32>,
    /// By word: the square of ln((texts + 1) / texts with it); 0 for no word.
    squared: Vec<u32>,
}

impl Words {
    /// Words are runs of letters and digits.
    ///
    /// # Errors
    /// [`Error::data`] for more than fit in 32 bits.
    pub(super) fn new<'t>(texts: impl ExactSizeIterator<Item = &'t str>) -> Result<Self> {
        let count = texts.len();
        let mut number: HashMap<&str, u32, RandomState> = HashMap::default();
        let (mut names, mut degrees): (Vec<&str>, Vec<usize>) = Default::default();
        let (mut records, mut starts) = (Vec::new(), Vec::with_capacity(count + 1));
        let mut words: Vec<u32> = Vec::new();
        let place = |records: &Vec<u32>| {
            u32::try_from(records.len())
                .map_err(|_| Error::data("more words of queries than this version can hold (about 4e9)"))
        };
        for said in texts {
            let said = said.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.clear();
            words.extend(said.map(|word| {
                *number.entry(word).or_insert_with(|| {
                    names.push(word);
                    degrees.push(0);
                    degrees.len() as u32 - 1
                })
            }));
            words.sort_unstable();
            words.dedup();
            words.iter().for_each(|w| degrees[*w as usize] += 1);
            starts.push(place(&records)?);
            records.extend([0, 0, words.len().div_ceil(LANES) as u32]);
            records.extend(&words);
            let filled = words.len().next_multiple_of(LANES) - words.len();
            records.extend(std::iter::repeat_n(u32::MAX, filled));
        }
        starts.push(place(&records)?);
        let mut order: Vec<usize> = (0..degrees.len()).collect();
        order.sort_unstable_by_key(|i| (degrees[*i], names[*i]));
        let mut rank = vec![0_u32; order.len()];
        order.iter().enumerate().for_each(|(place, i)| rank[*i] = place as u32);
        let all = count as f64 + 1.0;
        // No more than the square of 23 · 1024, for as many texts as have numbers.
        let square = |i: &usize| (((all / degrees[*i] as f64).ln() / WEIGHT_UNIT).round() as u32).pow(2);
        let squared: Vec<u32> = order.iter().map(square).chain([0]).collect();
        for text in starts.windows(2) {
            let (head, words) = records[text[0] as usize..text[1] as usize].split_at_mut(HEAD);
            for word in words.iter_mut() {
                *word = rank.get(*word as usize).copied().unwrap_or(rank.len() as u32);
            }
            words.sort_unstable();
            let sum: u64 = words.iter().map(|w| u64::from(squared[*w as usize])).sum();
            (head[0], head[1]) = (sum as u32, (sum >> 32) as u32);
        }
        Ok(Self { records, starts, squared })
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        4 * (self.records.capacity() + self.starts.capacity() + self.squared.capacity())
    }

    /// Bytes of a search.
    pub(super) fn scratch(&self) -> usize {
        4 * (self.squared.len() + self.len()) + size_of::<Bits>()
    }

    /// Words of a text, and of none to fill up.
    fn of(&self, text: usize) -> &[u32] {
        &self.records[self.starts[text] as usize + HEAD..self.starts[text + 1] as usize]
    }

    /// Sum of the squared weights of the text whose record begins there.
    #[inline]
    fn square(&self, start: u32) -> u64 {
        let start = start as usize;
        u64::from(self.records[start]) | u64::from(self.records[start + 1]) << 32
    }

    /// A bit for each word of a text but one: texts without a common bit have no other word in common.
    fn others(&self, text: usize, but: u32) -> u64 {
        let none = self.squared.len() as u32 - 1;
        let others = self.of(text).iter().filter(|word| ![but, none].contains(word));
        others.fold(0, |bits, word| bits | 1 << (word % u64::BITS))
    }

    /// The rarest words of a text, of which it must share one with any text whose cosine is above `least`: what they share among
    /// the others has at most the others' norm (Chaudhuri, Ganti & Kaushik 2006; Bayardo, Ma & Srikant 2007).
    fn prefix(&self, text: usize, least: f64) -> &[u32] {
        let all = self.square(self.starts[text]);
        let (bound, mut left) = (all as f64 * least * least, all);
        let words = self.of(text);
        let before = |word: &&u32| {
            let more = left as f64 > bound;
            left -= u64::from(self.squared[**word as usize]);
            more
        };
        &words[..words.iter().take_while(before).count()]
    }

    /// What a search for alike texts looks up: those whose cosine is above `least` are found, but for those that share no word
    /// of their prefixes that is in at most `most` prefixes, which bounds the work to `most` texts a word of a text. A `least`
    /// of 1 finds none.
    pub(super) fn index(&self, least: f64, most: usize) -> Index<'_> {
        let listed = |text| self.prefix(text, least).iter().map(move |word| (*word as usize, text));
        let words = || (0..self.len()).flat_map(listed);
        let mut lengths = vec![0_usize; self.squared.len()];
        words().for_each(|(word, _)| lengths[word] += 1);
        let mut ends = Vec::with_capacity(lengths.len());
        let mut next = Vec::with_capacity(lengths.len());
        for length in &mut lengths {
            *length = if *length > most { 0 } else { *length };
            next.push(ends.last().copied().unwrap_or_default());
            ends.push(next[next.len() - 1] + *length);
        }
        let mut listed = vec![Listed::default(); ends.last().copied().unwrap_or_default()];
        for (word, text) in words().filter(|(word, _)| lengths[*word] > 0) {
            let (start, others) = (self.starts[text], self.others(text, word as u32));
            listed[next[word]] = Listed { text: text as u32, start, others, square: self.square(start) };
            next[word] += 1;
        }
        Index { words: self, least, ends, listed }
    }
}

/// Texts by the words of their prefixes.
pub(super) struct Index<'a> {
    words: &'a Words,
    least: f64,
    /// By word: where its texts end.
    ends: Vec<usize>,
    listed: Vec<Listed>,
}

/// A text by a word: what comparing takes where it is the only one in common.
#[derive(Debug, Default, Clone, Copy)]
struct Listed {
    text: u32,
    /// Where its record begins.
    start: u32,
    /// [`Words::others`].
    others: u64,
    /// Sum of its squared weights.
    square: u64,
}

impl Index<'_> {
    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        8 * self.ends.capacity() + size_of::<Listed>() * self.listed.capacity()
    }

    fn of(&self, word: u32) -> &[Listed] {
        let start = if word == 0 { 0 } else { self.ends[word as usize - 1] };
        &self.listed[start..self.ends[word as usize]]
    }

    /// A search of one worker.
    pub(super) fn search(&self) -> Search<'_> {
        let (here, met) = (vec![0; self.words.squared.len()], Met::new(self.words.len()));
        Search { index: self, here, met, text: None, square: 0.0, prefix: Vec::new() }
    }
}

/// Bits by the last digits of a number: which word, and which bit of it.
type Bits = [u64; 64];

/// Texts that were met since one text began.
struct Met {
    /// By text: for which one it was last met.
    of: Vec<u32>,
    /// Which of them may have been: most questions are answered here, without waiting for memory.
    maybe: Bits,
}

impl Met {
    fn new(texts: usize) -> Self {
        Self { of: vec![u32::MAX; texts], maybe: [0; _] }
    }

    fn begin(&mut self, text: u32) {
        self.maybe = [0; _];
        self.insert(text, text);
    }

    fn insert(&mut self, other: u32, text: u32) {
        self.of[other as usize] = text;
        let (word, bit) = Self::bit(other);
        self.maybe[word] |= bit;
    }

    #[inline]
    fn contains(&self, other: u32, text: u32) -> bool {
        let (word, bit) = Self::bit(other);
        self.maybe[word] & bit != 0 && self.of[other as usize] == text
    }

    #[inline]
    fn bit(other: u32) -> (usize, u64) {
        ((other / u64::BITS % 64) as usize, 1 << (other % u64::BITS))
    }
}

/// Compares one text with others: the words of the one are spread out, those of the others looked up.
pub(super) struct Search<'a> {
    index: &'a Index<'a>,
    /// By word: its squared weight where the text has it, else 0.
    here: Vec<u32>,
    /// Texts that are not found any more.
    met: Met,
    text: Option<usize>,
    /// Sum of the squared weights of the text.
    square: f64,
    /// Words by which texts are found, each with the most that the cosine can be of one that no word before it finds.
    prefix: Vec<(u32, f64)>,
}

impl Search<'_> {
    /// Which text is compared from here on.
    pub(super) fn begin(&mut self, text: usize) {
        let words = self.index.words;
        if let Some(before) = self.text.replace(text) {
            words.of(before).iter().for_each(|w| self.here[*w as usize] = 0);
        }
        words.of(text).iter().for_each(|w| self.here[*w as usize] = words.squared[*w as usize]);
        self.square = words.square(words.starts[text]) as f64;
        self.met.begin(text as u32);
        self.prefix.clear();
        let mut left = self.square;
        for word in words.prefix(text, self.index.least) {
            // A word that lists no text finds none: texts that share it are found by others.
            if !self.index.of(*word).is_empty() {
                self.prefix.push((*word, (left / self.square).sqrt()));
                left -= f64::from(words.squared[*word as usize]);
            }
        }
    }

    /// Cosine with another text, which is not found any more; 0 where one has no words.
    pub(super) fn compare(&mut self, other: usize) -> f64 {
        if let Some(text) = self.text {
            self.met.insert(other as u32, text as u32);
        }
        let start = self.index.words.starts[other];
        self.cosine(self.dot(start), self.index.words.square(start))
    }

    /// Words by which alike texts are found, rarest first.
    pub(super) fn steps(&self) -> usize {
        self.prefix.len()
    }

    /// The most that the cosine can be of a text that is found by a step and by none before it.
    pub(super) fn most(&self, step: usize) -> f64 {
        self.prefix[step].1
    }

    /// Calls `found` with every text that is alike, at least by `floor`, has a word, and was neither found nor compared since it
    /// began; in no order. A floor that only rises leaves none out that it does not reach.
    pub(super) fn step(&mut self, step: usize, floor: f64, mut found: impl FnMut(u32, f64)) {
        let Some(text) = self.text else { return };
        let Index { words, least, .. } = self.index;
        let (word, _) = self.prefix[step];
        let (alone, others) = (u64::from(words.squared[word as usize]), words.others(text, word));
        // Cosines are worked out for those that come near: a root and a division cost as much as the words.
        let near = self.square * floor.max(*least).powi(2) * (1.0 - 1e-12);
        for listed in self.index.of(word) {
            // No other step finds it, where it shares no other word.
            let once = listed.others & others == 0;
            let dot = if once { alone } else { self.dot(listed.start) };
            let comes_near = (dot as f64) * (dot as f64) > near * listed.square as f64;
            if comes_near && !self.met.contains(listed.text, text as u32) {
                if !once {
                    self.met.insert(listed.text, text as u32);
                }
                let cosine = self.cosine(dot, listed.square);
                if cosine > *least {
                    found(listed.text, cosine);
                }
            }
        }
    }

    /// Dot product with the text whose record begins there.
    #[inline]
    fn dot(&self, start: u32) -> u64 {
        let record = &self.index.words.records[start as usize..];
        let (lanes, _) = record[HEAD..][..record[HEAD - 1] as usize * LANES].as_chunks::<LANES>();
        lanes.iter().map(|lane| lane.iter().map(|w| u64::from(self.here[*w as usize])).sum::<u64>()).sum()
    }

    #[inline]
    fn cosine(&self, dot: u64, square: u64) -> f64 {
        let norms = self.square * square as f64;
        if norms > 0.0 { dot as f64 / norms.sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cosine(words: &Words, a: usize, b: usize) -> f64 {
        let index = words.index(1.0, 0);
        let mut search = index.search();
        search.begin(a);
        search.compare(b)
    }

    proptest! {
        /// Prefix filtering finds what comparing all with all finds.
        #[test]
        fn nothing_alike_is_missed(
            texts in prop::collection::vec("[a-e]{0,2}( [a-h]){0,4}", 0..40),
            least in prop::sample::select(vec![0.05, 0.3, 0.4, 0.6, 0.9, 1.0]),
            most in prop::sample::select(vec![1, 3, 40]),
            floor in prop::sample::select(vec![0.0, 0.2, 0.5, 0.95]),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let words = Words::new(texts.iter().copied()).unwrap();
            let index = words.index(least, most);
            let mut search = index.search();
            let prefix = |text: usize| words.prefix(text, least);
            let in_prefixes = |w: &u32| (0..texts.len()).filter(|t| prefix(*t).contains(w)).count();
            for a in 0..texts.len() {
                let mut all = Vec::new();
                let alike = |b: usize| cosine(&words, a, b) > least && cosine(&words, a, b) >= floor;
                for b in (0..texts.len()).filter(|b| a != *b && alike(*b)) {
                    let shared: Vec<&u32> = prefix(a).iter().filter(|w| prefix(b).contains(w)).collect();
                    prop_assert!(least >= 1.0 || !shared.is_empty());
                    if shared.iter().any(|w| in_prefixes(w) <= most) {
                        all.push((b as u32, cosine(&words, a, b)));
                    }
                }
                let mut found = Vec::new();
                search.begin(a);
                for step in 0..search.steps() {
                    let most = search.most(step);
                    search.step(step, floor, |other, cosine| found.push((other, cosine, most)));
                }
                prop_assert!(found.iter().all(|(_, cosine, most)| *cosine <= most * (1.0 + 1e-12)));
                let mut found: Vec<(u32, f64)> = found.iter().map(|(other, cosine, _)| (*other, *cosine)).collect();
                found.sort_unstable_by_key(|(other, _)| *other);
                prop_assert_eq!(found, all);
            }
        }
    }

    #[test]
    fn cosines_by_hand() {
        let words = Words::new(["red shoes", "shoes, red!", "red", "blue hat", ""].into_iter()).unwrap();
        assert_eq!(cosine(&words, 0, 1), 1.0);
        assert_eq!(cosine(&words, 0, 3), 0.0);
        assert_eq!(cosine(&words, 0, 4), 0.0);
        assert_eq!(cosine(&words, 4, 0), 0.0);
        // red is in three of five texts, shoes in two: ln(6/3), ln(6/2).
        let (red, shoes) = (2.0_f64.ln(), 3.0_f64.ln());
        assert!((cosine(&words, 0, 2) - red / red.hypot(shoes)).abs() < 1e-3);
    }
}
