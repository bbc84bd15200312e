//! Counts that last: saved to a file, loaded again. The file is exact and private, like the counts.
//!
//! ```text
//! file     "HNCOUNTS" version (4 bytes) section… , and nothing behind the last
//! section  kind (1 byte) length (8 bytes) content checksum (32 bytes)
//! kinds    1 facts, as JSON                                 one
//!          2 strings of queries, 3 of documents             any number, ascending: code (8) length (4) text, …
//!          4 part of the tables: sizes (8 × 8), number of positions (4), impressions and clicks at each (2 × 8),
//!            groups as in [`crate::group`]                  any number, in canonical order
//!          5 end, empty                                     one
//! ```
//!
//! Numbers are little-endian, kinds ascend. A checksum is the SHA-256 of everything before it, so a file that is cut,
//! changed, or put together from others is refused before what is in it is looked at. Against whoever can write a file
//! with checksums of its own they protect nothing: such a file can make wrong counts, as a changed log can. It cannot do
//! more: its form is checked all the same.
//!
//! Sections are written and read one at a time. What a section claims to hold is compared with what the file has before
//! memory is taken for it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::budget::Budget;
use crate::counts::Counts;
use crate::error::{Error, Result};
use crate::impressions::ReadStats;
use crate::packed::{ByPosition, Part, Sizes, Tables};
use crate::parts::{Nth, Parts};
use crate::pulse::Pulse;
use crate::release::{Passed, Released};
use crate::strings::Strings;

mod check;
mod facts;
mod sections;

use facts::{Facts, Gate};
use sections::{Fault, Reader, Writer, kind, take};

/// Bytes of strings in a section, about.
const STRINGS: usize = 1 << 20;

/// Saves counts to `path`, readable by its owner alone. What stands there is overwritten in place: give a path beside the
/// one that is meant, whose name for errors is `called`, and rename.
///
/// # Errors
/// [`Error::io`] where the file cannot be made or written; whatever reading the spill reports.
pub fn save(counts: &Counts, path: &Path, called: &Path, pulse: &mut Pulse<'_>) -> Result<()> {
    let refused =
        |e: io::Error| Error::io(format!("counts cannot be saved to {}: {}", name(called), why(&e)));
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(refused)?;
    let mut out = BufWriter::new(file);
    write(counts, None, &mut out, refused, pulse)?;
    out.flush().map_err(refused)
}

/// Counts as bytes, those of the file that [`save`] makes: to be sealed and sent.
///
/// # Errors
/// Whatever reading the spill reports.
pub fn pack(counts: &Counts, pulse: &mut Pulse<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write(counts, None, &mut out, too_large, pulse)?;
    Ok(out)
}

/// A release as bytes of the same format, which are no counts: they do not load as such.
///
/// # Errors
/// Whatever reading the spill reports.
pub fn pack_released(released: &Released, pulse: &mut Pulse<'_>) -> Result<Vec<u8>> {
    let gate = Gate {
        k: released.k,
        before: released.passed.before.to_array(),
        part: released.part.map(|p| (p.number(), p.of())),
    };
    // Nothing of what the gate held back is here.
    let shell = Counts {
        query_strings: released.query_strings.clone(),
        doc_strings: released.doc_strings.clone(),
        tables: released.tables.clone(),
        has: released.has,
        options: BTreeMap::new(),
        read: ReadStats { logged: released.logged.clone(), ..ReadStats::default() },
        dropped: BTreeMap::new(),
        users: 0,
        position_users: released.position_users.clone(),
        disjoint: true,
        parts: None,
    };
    let mut out = Vec::new();
    write(&shell, Some(gate), &mut out, too_large, pulse)?;
    Ok(out)
}

fn too_large(e: io::Error) -> Error {
    Error::io(format!("a part of counts cannot be packed: {}", why(&e)))
}

fn write(
    counts: &Counts,
    gate: Option<Gate>,
    out: &mut impl Write,
    refused: impl Fn(io::Error) -> Error,
    pulse: &mut Pulse<'_>,
) -> Result<()> {
    let mut out = Writer::new(out).map_err(&refused)?;
    let mut facts = Facts::of(counts)?;
    facts.gate = gate;
    out.section(kind::FACTS, &[&facts.to_json()?]).map_err(&refused)?;
    write_strings(&counts.query_strings, kind::QUERIES, &mut out).map_err(&refused)?;
    write_strings(&counts.doc_strings, kind::DOCS, &mut out).map_err(&refused)?;
    let (mut head, mut scratch) = (Vec::new(), Vec::new());
    // Small logs leave most parts empty.
    for i in (0..counts.tables.len()).filter(|i| counts.tables.sizes_of(*i) != Sizes::default()) {
        pulse.beat()?;
        head.clear();
        for n in counts.tables.sizes_of(i).to_array() {
            head.extend_from_slice(&n.to_le_bytes());
        }
        let by_position = &counts.tables.by_position_of(i).0;
        head.extend_from_slice(&(by_position.len() as u32).to_le_bytes());
        for n in by_position.as_flattened() {
            head.extend_from_slice(&n.to_le_bytes());
        }
        let groups = counts.tables.bytes(i, &mut scratch)?;
        out.section(kind::PART, &[&head, groups]).map_err(&refused)?;
    }
    out.section(kind::END, &[]).map_err(&refused)
}

fn write_strings<W: Write>(strings: &Strings, kind: u8, out: &mut Writer<W>) -> io::Result<()> {
    let mut block = Vec::new();
    for (code, value) in strings.iter() {
        block.extend_from_slice(&code.to_le_bytes());
        // Strings come out of Arrow batches, whose longest are shorter.
        block.extend_from_slice(&u32::try_from(value.len()).map_err(io::Error::other)?.to_le_bytes());
        block.extend_from_slice(value.as_bytes());
        if block.len() >= STRINGS {
            out.section(kind, &[&block])?;
            block.clear();
        }
    }
    if block.is_empty() { Ok(()) } else { out.section(kind, &[&block]) }
}

/// Loads saved counts. Strings stay in memory, tables go to the spill where the budget is used up.
///
/// # Errors
/// [`Error::io`] where the file cannot be read, or spilling fails; [`Error::data`] where it holds no counts, those of
/// another version, or is cut short or damaged. They name the file without its folder.
pub fn load(path: &Path, budget: &Arc<Budget>, pulse: &mut Pulse<'_>) -> Result<Counts> {
    let refused = |e: &io::Error| Error::io(format!("counts {} cannot be read: {}", name(path), why(e)));
    // Asked before it is opened: opening a pipe waits for its other end.
    let about = std::fs::metadata(path).map_err(|e| refused(&e))?;
    if !about.is_file() {
        return Err(Error::io(format!("counts {} cannot be read: it is no file", name(path))));
    }
    let file = File::open(path).map_err(|e| refused(&e))?;
    let read = read(BufReader::new(file), about.len(), budget, pulse);
    counts_of(read).map_err(|fault| match fault {
        Fault::Io(e) if e.kind() != io::ErrorKind::UnexpectedEof => refused(&e),
        other => named(other, &name(path)),
    })
}

/// Counts out of what [`pack`] made.
///
/// # Errors
/// As [`load`].
pub fn unpack(bytes: &[u8], budget: &Arc<Budget>, pulse: &mut Pulse<'_>) -> Result<Counts> {
    counts_of(read(bytes, bytes.len() as u64, budget, pulse)).map_err(|fault| named(fault, PACKED))
}

/// A release out of what [`pack_released`] made.
///
/// # Errors
/// [`Error::usage`] where it is of counts that are not released; else as [`load`].
pub fn unpack_released(bytes: &[u8], budget: &Arc<Budget>, pulse: &mut Pulse<'_>) -> Result<Released> {
    let (counts, gate) =
        read(bytes, bytes.len() as u64, budget, pulse).map_err(|fault| named(fault, PACKED))?;
    let Some(gate) = gate else {
        return Err(Error::usage("these are counts that are not released: release them first"));
    };
    Ok(Released {
        passed: Passed { before: Sizes::from_array(gate.before), after: counts.sizes() },
        query_strings: counts.query_strings,
        doc_strings: counts.doc_strings,
        tables: counts.tables,
        position_users: counts.position_users,
        logged: counts.read.logged,
        has: counts.has,
        k: gate.k,
        part: gate.part.map(|(number, of)| Nth::new(number, of)).transpose()?,
    })
}

/// What packed counts are called in errors.
const PACKED: &str = "of a part";

fn counts_of(read: std::result::Result<(Counts, Option<Gate>), Fault>) -> std::result::Result<Counts, Fault> {
    match read? {
        (counts, None) => Ok(counts),
        (_, Some(_)) => Err(Fault::Core(Error::usage(
            "these tables are released already: there is nothing to merge or release; go on with evidence",
        ))),
    }
}

/// What is wrong, of counts that are called so.
fn named(fault: Fault, called: &str) -> Error {
    match fault {
        Fault::Core(e) => e,
        Fault::Foreign => Error::data(format!(
            "{called} holds no saved counts; give a file that `hardneg-fast count LOG -o FILE` wrote"
        )),
        Fault::Version(n) => Error::data(format!(
            "{called} holds counts of format {n}, this version reads {}; use the version that wrote it, or count again",
            sections::VERSION
        )),
        Fault::Io(_) | Fault::Short => {
            Error::data(format!("counts {called} are cut short; copy the file again, or count again"))
        }
        Fault::Damaged => Error::data(format!(
            "counts {called} are damaged: what is read is not what was saved; copy the file again, or count again"
        )),
    }
}

fn read(
    file: impl Read,
    len: u64,
    budget: &Arc<Budget>,
    pulse: &mut Pulse<'_>,
) -> std::result::Result<(Counts, Option<Gate>), Fault> {
    let mut file = Reader::new(file, len)?;
    let mut content = Vec::new();
    if file.section(&mut content)? != kind::FACTS {
        return Err(Fault::Damaged);
    }
    let facts = Facts::from_json(&content).ok_or(Fault::Damaged)?;
    let mut strings = [Strings::default(), Strings::default()];
    let mut parts = Vec::new();
    let mut query = None;
    let mut last = kind::QUERIES;
    loop {
        pulse.beat()?;
        let kind = file.section(&mut content)?;
        if kind < last {
            return Err(Fault::Damaged);
        }
        last = kind;
        match kind {
            kind::QUERIES => read_strings(&content, &mut strings[0]).ok_or(Fault::Damaged)?,
            kind::DOCS => read_strings(&content, &mut strings[1]).ok_or(Fault::Damaged)?,
            kind::PART => {
                if parts.is_empty() {
                    strings.iter_mut().for_each(|strings| strings.hold(budget));
                }
                parts.push(read_part(&content, facts.has.cell_detail, &mut query, budget)?);
            }
            kind::END if content.is_empty() && file.is_at_end() => break,
            _ => return Err(Fault::Damaged),
        }
    }
    strings.iter_mut().for_each(Strings::index);
    facts.note_clashes(&mut strings).ok_or(Fault::Damaged)?;
    if !facts.parts.as_ref().is_none_or(Parts::is_sound) {
        return Err(Fault::Damaged);
    }
    let [query_strings, doc_strings] = strings;
    let gate = facts.gate;
    Ok((facts.counts(query_strings, doc_strings, parts, budget).ok_or(Fault::Damaged)?, gate))
}

fn read_strings(mut from: &[u8], into: &mut Strings) -> Option<()> {
    while !from.is_empty() {
        let code = u64::from_le_bytes(take(&mut from)?);
        let len = u32::from_le_bytes(take(&mut from)?);
        let (value, rest) = from.split_at_checked(len as usize)?;
        from = rest;
        // What finds strings by their codes relies on this.
        if into.codes().next_back().is_some_and(|last| last >= code) {
            return None;
        }
        into.push(code, std::str::from_utf8(value).ok()?);
    }
    Some(())
}

fn read_part(
    content: &[u8],
    detail: bool,
    last: &mut Option<u64>,
    budget: &Arc<Budget>,
) -> std::result::Result<Part, Fault> {
    let mut from = content;
    let mut next = || take(&mut from).map(u64::from_le_bytes).ok_or(Fault::Damaged);
    let mut sizes = [0; Sizes::TABLES];
    for n in &mut sizes {
        *n = next()?;
    }
    let positions = take(&mut from).map(u32::from_le_bytes).ok_or(Fault::Damaged)?;
    let mut next = || take(&mut from).map(u64::from_le_bytes).ok_or(Fault::Damaged);
    let mut by_position = Vec::new();
    for _ in 0..positions {
        by_position.push([next()?, next()?]);
    }
    let said = (Sizes::from_array(sizes), ByPosition(by_position));
    let (sizes, by_position) =
        check::check(from, detail, last).filter(|found| *found == said).ok_or(Fault::Damaged)?;
    Ok(Part::new(from.to_vec(), sizes, by_position, Some(budget))?)
}

impl Facts {
    fn counts(
        self,
        query_strings: Strings,
        doc_strings: Strings,
        parts: Vec<Part>,
        budget: &Arc<Budget>,
    ) -> Option<Counts> {
        let read = self.read()?;
        Some(Counts {
            query_strings: Arc::new(query_strings),
            doc_strings: Arc::new(doc_strings),
            tables: Arc::new(Tables::new(parts, self.has.cell_detail, budget.clone())),
            has: self.has,
            options: self.options,
            read,
            dropped: facts::known(&self.dropped)?,
            users: self.users,
            position_users: self.position_users,
            disjoint: self.disjoint,
            parts: self.parts,
        })
    }
}

/// The file's name without its folder.
fn name(path: &Path) -> String {
    format!("{:?}", path.file_name().unwrap_or(path.as_os_str()))
}

/// The system's error, without what it may quote.
fn why(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no such file or folder".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".into(),
        io::ErrorKind::FileTooLarge => "too large a file, or more than 1 GiB of tables in one part".into(),
        kind => kind.to_string(),
    }
}
