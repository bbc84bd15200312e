//! What a user's own code finds in texts, such as names; asked for many texts at once.

use std::ops::Range;

use crate::error::{Error, Result};

/// What places in a text are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// Unicode scalar values.
    Characters,
    /// Bytes of UTF-8.
    Bytes,
}

/// A recogniser of a user's own. Called from several threads at once; the same text should always come to the same.
pub trait Detector: Send + Sync {
    /// Tells detectors apart; in reports and saved counts.
    fn name(&self) -> &str;

    /// What its places are counted in.
    fn offsets(&self) -> Offsets;

    /// For each text what is to be replaced, none of it empty, none overlapping, in any order.
    ///
    /// # Errors
    /// [`Error::detector`] where it fails, in words without anything of the texts.
    fn find(&self, texts: &[&str]) -> Result<Vec<Vec<Range<usize>>>>;
}

/// What `detector` finds in `texts`: bytes of each, in order.
///
/// # Errors
/// What it reports; [`Error::detector`] for answers that cannot be.
pub(crate) fn found(detector: &dyn Detector, texts: &[&str]) -> Result<Vec<Vec<Range<usize>>>> {
    let mut found = detector.find(texts)?;
    if found.len() != texts.len() {
        let (answers, asked) = (found.len(), texts.len());
        return Err(wrong(
            detector,
            &format!("gave {answers} answers for {asked} texts; one for each is needed"),
        ));
    }
    for (text, spans) in texts.iter().zip(&mut found) {
        if !spans.is_empty() {
            settle(detector, text, spans)?;
        }
    }
    Ok(found)
}

fn settle(detector: &dyn Detector, text: &str, spans: &mut [Range<usize>]) -> Result<()> {
    spans.sort_unstable_by_key(|s| (s.start, s.end));
    // Places of all characters and of the end; in ASCII each is its own.
    let places: Option<Vec<usize>> = (detector.offsets() == Offsets::Characters && !text.is_ascii())
        .then(|| text.char_indices().map(|(at, _)| at).chain([text.len()]).collect());
    let (length, unit) = match detector.offsets() {
        Offsets::Characters => (places.as_ref().map_or(text.len(), |p| p.len() - 1), "characters"),
        Offsets::Bytes => (text.len(), "bytes"),
    };
    let mut last = 0;
    for span in spans {
        let Range { start, end } = *span;
        if start >= end || end > length {
            return Err(wrong(detector, &format!("found {start} to {end} in a text of {length} {unit}")));
        }
        if start < last {
            return Err(wrong(detector, &format!("found things that overlap, one from {start} to {end}")));
        }
        last = end;
        if let Some(places) = &places {
            *span = places[start]..places[end];
        }
        if !text.is_char_boundary(span.start) || !text.is_char_boundary(span.end) {
            return Err(wrong(
                detector,
                &format!(
                    "found {start} to {end}, which begins or ends inside a character; it may mean offsets=\"characters\""
                ),
            ));
        }
    }
    Ok(())
}

fn wrong(detector: &dyn Detector, what: &str) -> Error {
    Error::detector(format!("detector {:?} {what}", detector.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Offsets, Vec<Vec<Range<usize>>>);

    impl Detector for Fixed {
        fn name(&self) -> &str {
            "fixed"
        }

        fn offsets(&self) -> Offsets {
            self.0
        }

        fn find(&self, _: &[&str]) -> Result<Vec<Vec<Range<usize>>>> {
            Ok(self.1.clone())
        }
    }

    fn one(offsets: Offsets, spans: &[Range<usize>]) -> std::result::Result<Vec<Range<usize>>, String> {
        let found = found(&Fixed(offsets, vec![spans.to_vec()]), &["a\u{e4}\u{4e00}b"]);
        found.map(|mut f| f.remove(0)).map_err(|e| e.to_string())
    }

    #[test]
    fn places_become_bytes_and_are_checked() {
        use Offsets::{Bytes, Characters};
        assert_eq!(one(Characters, &[3..4, 1..2]), Ok(vec![1..3, 6..7]));
        assert_eq!(one(Bytes, &[1..3, 3..6]), Ok(vec![1..3, 3..6]));
        for (offsets, spans, says) in [
            (Characters, &[(0, 5)][..], "0 to 5 in a text of 4 characters"),
            (Bytes, &[(0, 8)], "in a text of 7 bytes"),
            (Bytes, &[(2, 3)], "inside a character"),
            (Bytes, &[(1, 4)], "inside a character"),
            (Characters, &[(0, 2), (1, 3)], "overlap"),
            (Characters, &[(2, 2)], "2 to 2"),
        ] {
            let spans: Vec<Range<usize>> = spans.iter().map(|(start, end)| *start..*end).collect();
            let error = one(offsets, &spans).expect_err("refused");
            assert!(error.contains(says) && error.contains("fixed"), "{error}");
        }
        assert!(found(&Fixed(Bytes, vec![]), &["a"]).is_err());
    }
}
