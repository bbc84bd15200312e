//! What was seen of each document of the queries that are alike, at rest; and what of it is looked up at a time.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::budget::{Budget, Held};
use crate::error::Result;
use crate::evidence::Evidence;
use crate::pulse::Pulse;
use crate::workers::collect;

use super::docs::Docs;
use super::near::NearQueries;
use super::piece::{Packing, Piece, Seen, View};

/// A range of queries, packed.
struct Packed {
    blob: Blob,
    /// Numbers of its queries: how many, the first and the last.
    queries: usize,
    first: u32,
    last: u32,
    bytes: usize,
}

impl Packed {
    fn new(packing: Packing, budget: &Arc<Budget>) -> Result<Option<Self>> {
        let numbers = packing.numbers.clone();
        Self::of(&numbers, packing.bytes(), budget)
    }

    /// None where there are no queries.
    fn of(numbers: &[u32], packed: Vec<u8>, budget: &Arc<Budget>) -> Result<Option<Self>> {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(None) };
        let bytes = packed.len();
        let blob = Blob::new(packed, Some(budget))?;
        Ok(Some(Self { blob, queries: numbers.len(), first: *first, last: *last, bytes }))
    }

    fn in_memory(&self) -> Option<View<'_>> {
        self.blob.in_memory().map(|bytes| View::new(bytes, self.queries))
    }
}

/// Documents of all queries that are alike, in canonical order.
#[derive(Default)]
pub(super) struct Rows {
    packed: Vec<Packed>,
    /// P(attractive), of documents not relevant and relevant.
    pub(super) attractive: [f64; 2],
    /// By number of the query, where all of them are in memory.
    places: Vec<Place>,
    held: Option<Held>,
}

/// Where the documents of a query stand: in one place, so that finding them waits for memory once.
#[derive(Clone)]
struct Place {
    piece: u32,
    query: u32,
    rows: Range<u32>,
}

/// Of a query that has no documents here.
const NOWHERE: Place = Place { piece: u32::MAX, query: 0, rows: 0..0 };

impl Rows {
    /// Of a release: of queries that are `wanted` (by number); `shown`: by figures that may be shown.
    pub(super) fn of(
        evidence: &Evidence,
        near: &NearQueries,
        wanted: &[bool],
        shown: bool,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self> {
        let released = &*evidence.released;
        let (budget, docs) = (released.tables.budget(), Docs::Strings(released.doc_strings.clone()));
        // Where nothing is asked about, nothing is read.
        let parts = if wanted.is_empty() { 0 } else { released.tables.len() };
        let packed = collect(
            parts,
            threads,
            || pulse.beat(),
            |part| {
                let number = |query: u64| near.index(query).filter(|i| wanted[*i]);
                let piece = Piece::of(evidence, part, |query| number(query).is_some(), shown)?;
                Packed::new(piece.packed(number, &docs), budget)
            },
        )?;
        Ok(Self::new(packed, evidence.attractive(), near.len(), budget))
    }

    /// Of pieces in canonical order.
    pub(super) fn joined(
        pieces: impl IntoIterator<Item = Piece>,
        near: &NearQueries,
        attractive: [f64; 2],
        budget: &Arc<Budget>,
    ) -> Result<Self> {
        let pieces: Vec<Piece> = pieces.into_iter().collect();
        let docs = Docs::of(pieces.iter().flat_map(Piece::docs).copied());
        let packed = |piece: Piece| Packed::new(piece.packed(|query| near.index(query), &docs), budget);
        let packed = pieces.into_iter().map(packed).collect::<Result<Vec<_>>>()?;
        Ok(Self::new(packed, attractive, near.len(), budget))
    }

    fn new(packed: Vec<Option<Packed>>, attractive: [f64; 2], queries: usize, budget: &Arc<Budget>) -> Self {
        let mut out = Self { packed: packed.into_iter().flatten().collect(), attractive, ..Self::default() };
        if let Some(views) = out.packed.iter().map(Packed::in_memory).collect::<Option<Vec<_>>>() {
            out.places = places(&views, 0..queries);
            out.held = Some(budget.holding(size_of_val(&out.places[..])));
        }
        out
    }

    /// Rows of some queries, by number, as blocks of these alone, for [`Rows::read`].
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(super) fn excerpt(&self, queries: &[usize]) -> Result<RowsExcerpt> {
        let mut own = self.own();
        let (mut number, mut blocks) = (0, Vec::new());
        for some in queries.chunks(EXCERPT) {
            let mut packing = Packing::default();
            for query in some {
                if let Some(seen) = own.seen(*query)? {
                    packing.push(number, &seen);
                }
                number += 1;
            }
            let numbers = packing.numbers.clone();
            blocks.push((numbers, packing.bytes()));
        }
        Ok(RowsExcerpt { blocks, attractive: self.attractive, queries: queries.len() })
    }

    /// What [`Rows::excerpt`] made.
    ///
    /// # Errors
    /// Where the spill cannot be written.
    pub(super) fn read(excerpt: RowsExcerpt, budget: &Arc<Budget>) -> Result<Self> {
        let RowsExcerpt { blocks, attractive, queries } = excerpt;
        let packed = blocks.into_iter().map(|(numbers, bytes)| Packed::of(&numbers, bytes, budget));
        Ok(Self::new(packed.collect::<Result<_>>()?, attractive, queries, budget))
    }

    /// Looks at the documents of one query after the other, best in order.
    pub(super) fn own(&self) -> Own<'_> {
        Own { rows: self, piece: usize::MAX, scratch: Vec::new() }
    }

    /// How many pieces there are.
    pub(super) fn pieces(&self) -> usize {
        self.packed.len()
    }

    /// In which piece a query is, if any.
    pub(super) fn piece(&self, query: usize) -> Option<usize> {
        let piece = self.packed.partition_point(|p| (p.last as usize) < query);
        self.packed.get(piece).filter(|p| p.first as usize <= query).map(|_| piece)
    }

    /// Numbers of the queries of a piece.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(super) fn queries(&self, piece: usize) -> Result<Vec<usize>> {
        let (packed, mut scratch) = (&self.packed[piece], Vec::new());
        let view = View::new(packed.blob.bytes(&mut scratch)?, packed.queries);
        Ok(view.numbers.iter().map(|n| u32::from_le_bytes(*n) as usize).collect())
    }

    /// Whether all can be looked up at once.
    pub(super) fn at_once(&self) -> bool {
        !self.places.is_empty() || self.packed.is_empty()
    }

    /// Ranges of pieces that can be looked up at a time within `bytes`: one, where all are in memory.
    pub(super) fn ranges(&self, bytes: usize) -> Vec<Range<usize>> {
        if self.at_once() {
            return std::iter::once(0..self.packed.len()).collect();
        }
        let (mut out, mut start, mut taken): (Vec<Range<usize>>, _, _) = (Vec::new(), 0, 0);
        for (i, piece) in self.packed.iter().enumerate() {
            let more = piece.bytes + size_of::<Place>() * (piece.last - piece.first + 1) as usize;
            if taken + more > bytes && i > start {
                out.push(start..i);
                (start, taken) = (i, 0);
            }
            taken += more;
        }
        out.push(start..self.packed.len());
        out
    }

    /// Makes some pieces ready to be looked up.
    ///
    /// # Errors
    /// Where the spill cannot be read; what `pulse` reports.
    pub(super) fn load(
        &self,
        pieces: Range<usize>,
        budget: &Arc<Budget>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Loaded<'_>> {
        if self.at_once() {
            let places = Cow::Borrowed(&self.places[..]);
            let bytes = self.packed.iter().filter_map(|p| p.blob.in_memory()).map(Cow::Borrowed).collect();
            return Ok(Loaded { rows: self, pieces, bytes, first: 0, places, _held: None });
        }
        let first = self.packed[pieces.start].first as usize;
        let last = self.packed[pieces.end - 1].last as usize;
        let read = |i: usize| {
            let mut scratch = Vec::new();
            let blob = &self.packed[pieces.start + i].blob;
            if let Some(bytes) = blob.in_memory() {
                return Ok(Cow::Borrowed(bytes));
            }
            blob.bytes(&mut scratch)?;
            Ok(Cow::Owned(scratch))
        };
        let bytes = collect(pieces.len(), threads, || pulse.beat(), read)?;
        let owned = |b: &Cow<'_, [u8]>| if matches!(b, Cow::Owned(_)) { b.len() } else { 0 };
        let held = bytes.iter().map(owned).sum::<usize>() + size_of::<Place>() * (last + 1 - first);
        let held = Some(budget.holding(held));
        let mut out = Loaded { rows: self, pieces, bytes, first, places: Cow::default(), _held: held };
        out.places = Cow::Owned(places(&out.views(), first..last + 1));
        Ok(out)
    }

    /// Looks everything up, where that is in memory.
    pub(super) fn look(&self) -> Look<'_> {
        let views = self.packed.iter().filter_map(Packed::in_memory).collect();
        Look { views, places: &self.places, first: 0 }
    }
}

/// Queries of a block of an excerpt.
const EXCERPT: usize = 1 << 12;

/// Rows of some queries, to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RowsExcerpt {
    /// Numbers of queries, and their documents.
    blocks: Vec<(Vec<u32>, Vec<u8>)>,
    attractive: [f64; 2],
    queries: usize,
}

fn places(views: &[View<'_>], numbers: Range<usize>) -> Vec<Place> {
    let mut out = vec![NOWHERE; numbers.len()];
    for (piece, view) in views.iter().enumerate() {
        for (query, number) in view.numbers.iter().enumerate() {
            let place = Place { piece: piece as u32, query: query as u32, rows: view.rows(query) };
            out[u32::from_le_bytes(*number) as usize - numbers.start] = place;
        }
    }
    out
}

/// Pieces that can be looked up.
pub(super) struct Loaded<'a> {
    rows: &'a Rows,
    pieces: Range<usize>,
    bytes: Vec<Cow<'a, [u8]>>,
    /// Number of the first query.
    first: usize,
    places: Cow<'a, [Place]>,
    _held: Option<Held>,
}

impl Loaded<'_> {
    fn views(&self) -> Vec<View<'_>> {
        let packed = &self.rows.packed[self.pieces.clone()];
        self.bytes.iter().zip(packed).map(|(bytes, packed)| View::new(bytes, packed.queries)).collect()
    }

    /// A worker's view of them.
    pub(super) fn look(&self) -> Look<'_> {
        Look { views: self.views(), places: &self.places, first: self.first }
    }
}

/// Looks up the documents of queries.
pub(super) struct Look<'a> {
    views: Vec<View<'a>>,
    places: &'a [Place],
    first: usize,
}

impl<'a> Look<'a> {
    /// Numbers of the queries that can be found.
    pub(super) fn numbers(&self) -> Range<usize> {
        self.first..self.first + self.places.len()
    }

    /// Documents of a query.
    #[inline]
    pub(super) fn seen(&self, query: usize) -> Option<Seen<'a>> {
        let place = &self.places[query - self.first];
        Some(self.views.get(place.piece as usize)?.seen(place.query as usize, &place.rows))
    }
}

/// Documents of one query after the other.
pub(super) struct Own<'a> {
    rows: &'a Rows,
    piece: usize,
    scratch: Vec<u8>,
}

impl Own<'_> {
    /// Of a query; None where it has no rows.
    ///
    /// # Errors
    /// Where the spill cannot be read.
    pub(super) fn seen(&mut self, query: usize) -> Result<Option<Seen<'_>>> {
        let rows = self.rows;
        if let Some(place) = rows.places.get(query) {
            let piece = rows.packed.get(place.piece as usize);
            return Ok(piece
                .and_then(Packed::in_memory)
                .map(|view| view.seen(place.query as usize, &place.rows)));
        }
        let Some(piece) = rows.piece(query) else { return Ok(None) };
        let packed = &rows.packed[piece];
        let bytes = match packed.blob.in_memory() {
            Some(bytes) => bytes,
            None => {
                if self.piece != piece {
                    self.piece = usize::MAX;
                    packed.blob.bytes(&mut self.scratch)?;
                    self.piece = piece;
                }
                &self.scratch
            }
        };
        let view = View::new(bytes, packed.queries);
        Ok(view.find(query).map(|i| view.seen(i, &view.rows(i))))
    }
}
