//! The tree of columns that a footer lists (Apache Parquet format, `parquet.thrift`: SchemaElement, depth first).
//!
//! The `parquet` crate takes memory for as many children as a group claims, goes down by recursion, and keeps for each
//! column the names of all groups above it: a footer of a few bytes could end the process in each of these ways.

use crate::thrift::Thrift;

/// Groups within each other. pyarrow refuses more, too.
const DEEPEST: usize = 100;

/// Bytes of names in the paths of all columns together.
const NAMES: usize = 64 << 20;

/// Bytes of values of a fixed length: readers take memory for those that are null, too.
const WIDEST: usize = 16 << 20;

/// What a part of a path takes beside its name.
const PART: usize = 24;

/// A group whose children follow.
struct Level {
    left: u64,
    /// Bytes of names from the root to here.
    names: usize,
}

/// Whether the schema of a footer of the right shape is a tree that can be built.
pub(crate) fn sound(footer: &[u8]) -> bool {
    let mut tree = Tree::default();
    let mut read = Thrift { bytes: footer, at: 0 };
    let walked = read.fields(&mut |thrift, id, kind| match (id, kind) {
        (2, 9) => {
            let n = thrift.list()?;
            (0..n).try_for_each(|i| tree.element(thrift, n - i - 1))
        }
        _ => thrift.skip(kind, None, 0),
    });
    walked.is_some() && tree.levels.iter().all(|level| level.left == 0)
}

#[derive(Default)]
struct Tree {
    levels: Vec<Level>,
    begun: bool,
    names: usize,
}

impl Tree {
    /// Takes the next element; `rest` are those behind it.
    fn element(&mut self, thrift: &mut Thrift<'_>, rest: u64) -> Option<()> {
        let (mut name, mut children) = (0, 0);
        thrift.fields(&mut |thrift, id, kind| {
            let from = thrift.at;
            match (id, kind) {
                (2, 4..=6) => usize::try_from(thrift.zigzag()?).ok().filter(|n| *n <= WIDEST).map(|_| ())?,
                (5, 4..=6) => children = u64::try_from(thrift.zigzag()?).ok()?,
                _ => thrift.skip(kind, None, 0)?,
            }
            if id == 4 {
                name = thrift.at - from;
            }
            Some(())
        })?;
        while self.levels.pop_if(|level| level.left == 0).is_some() {}
        let above = match self.levels.last_mut() {
            Some(parent) => {
                parent.left -= 1;
                parent.names
            }
            None if self.begun => return None,
            None => 0,
        };
        self.begun = true;
        let names = above + name + PART;
        if children > rest || self.levels.len() > DEEPEST {
            return None;
        }
        if children > 0 {
            self.levels.push(Level { left: children, names });
        }
        self.names += names;
        (self.names <= NAMES).then_some(())
    }
}
