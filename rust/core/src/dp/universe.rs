//! The items that anybody contributed, numbered, and each user's items by number.

use crate::blob::Blob;
use crate::contributions::{Contributions, User};
use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::records::{Cursor, put_varint};
use crate::workers::{collect, each};

/// Items of all users. The numbers follow the order of codes; nothing that is released depends on them.
pub(super) struct Universe {
    /// Ascending.
    pub(super) codes: Vec<u64>,
    /// By user: how many items, then their numbers.
    users: Vec<Blob>,
}

impl Universe {
    /// Numbers the items that `of` lists of each user, which are distinct.
    pub(super) fn new(
        contributions: &Contributions,
        threads: usize,
        pulse: &mut Pulse<'_>,
        of: impl Fn(&User, &mut Vec<u64>) + Sync,
    ) -> Result<Self> {
        let parts = contributions.parts.len();
        let lists = collect(
            parts,
            threads,
            || pulse.beat(),
            |part| {
                let (mut own, mut items) = (Vec::new(), Vec::new());
                contributions.part(part, |user| {
                    items.clear();
                    of(user, &mut items);
                    own.extend_from_slice(&items);
                    Ok(())
                })?;
                own.sort_unstable();
                own.dedup();
                Ok(own)
            },
        )?;
        let mut codes = lists.concat();
        drop(lists);
        codes.sort_unstable();
        codes.dedup();
        codes.shrink_to_fit();
        if u32::try_from(codes.len()).is_err() {
            return Err(Error::data(
                "more than 4 billion distinct queries, or pairs of a query and a document; release the log in windows",
            ));
        }
        let index = Index::new(&codes);
        let users = collect(
            parts,
            threads,
            || pulse.beat(),
            |part| {
                let (mut out, mut items) = (Vec::new(), Vec::new());
                contributions.part(part, |user| {
                    items.clear();
                    of(user, &mut items);
                    put_varint(&mut out, items.len() as u64);
                    for item in &items {
                        out.extend_from_slice(&(index.find(&codes, *item) as u32).to_le_bytes());
                    }
                    Ok(())
                })?;
                Blob::new(out, Some(&contributions.budget))
            },
        )?;
        Ok(Self { codes, users })
    }

    /// Calls `work` with the item numbers of every user, on `threads` workers.
    pub(super) fn each_user(
        &self,
        threads: usize,
        pulse: &mut Pulse<'_>,
        work: impl Fn(&[u32]) + Sync,
    ) -> Result<()> {
        each(
            self.users.len(),
            threads,
            || pulse.beat(),
            || (Vec::new(), Vec::new()),
            |(scratch, items), part| {
                let mut from = Cursor(self.users[part].bytes(scratch)?);
                while !from.is_empty() {
                    items.clear();
                    for _ in 0..from.varint() {
                        items.push(from.i32() as u32);
                    }
                    work(items);
                }
                Ok(())
            },
            |_| Ok(()),
        )
    }
}

/// Finds codes in an ascending list of them: codes are uniform, so a head of their bits has one or two.
struct Index {
    starts: Vec<u32>,
    bits: u32,
}

impl Index {
    fn new(codes: &[u64]) -> Self {
        let bits = codes.len().max(2).ilog2().min(28);
        let mut starts = vec![0_u32; (1 << bits) + 1];
        codes.iter().for_each(|code| starts[(code >> (64 - bits)) as usize + 1] += 1);
        (1..starts.len()).for_each(|i| starts[i] += starts[i - 1]);
        Self { starts, bits }
    }

    fn find(&self, codes: &[u64], code: u64) -> usize {
        let head = (code >> (64 - self.bits)) as usize;
        let (start, end) = (self.starts[head] as usize, self.starts[head + 1] as usize);
        start + codes[start..end].partition_point(|c| *c < code)
    }
}
