//! How much memory the items of lists may take: one row can have any number, in a few bytes.

use parquet::column::page::Page;
use parquet::errors::{ParquetError, Result};

use crate::claims::Depths;

/// What is said where lists take more than [`LISTS`].
pub(crate) const LONG_LISTS: &str = "lists of one column take more than 256 MiB in one batch; where they are as long as that, use smaller batches (read.batch_rows)";

/// What the lists of a column may take in one batch, and what is left over of the batch before it.
const LISTS: u64 = 256 << 20;
/// What they may take in one page, in which a batch can lie in any way: levels, and texts.
const PAGE: u64 = 512 << 20;
/// Arrow's offset of a text, at least, and the two levels that the library keeps of every item.
const ITEM: u64 = 4;
const LEVELS: u64 = 4;

/// What the items of lists may take until the rows of a batch are full.
pub(crate) struct Lists {
    left: u64,
    most: u64,
    /// Bytes for each row.
    row: u64,
    /// Leaves that share what a column may take.
    leaves: u64,
}

impl Lists {
    /// For batches of so many rows of one of so many leaves.
    pub(crate) fn new(rows: usize, leaves: u64) -> Self {
        let most = LISTS / leaves;
        Self { left: most, most, row: most / rows.max(1) as u64, leaves }
    }

    /// An error for a page of so many items as no page has.
    pub(crate) fn bear(&self, items: u64, depths: Depths) -> Result<()> {
        let bytes = items.saturating_mul(LEVELS + depths.beside());
        if bytes > PAGE / self.leaves { Err(long_lists()) } else { Ok(()) }
    }

    /// Takes what the items of a page take in memory, `least` bytes each at least and `texts` together, row by row.
    pub(crate) fn take(&mut self, page: &Page, depths: Depths, least: usize, texts: u64) -> Result<()> {
        if texts > PAGE / self.leaves {
            return Err(long_lists());
        }
        let item = LEVELS + depths.beside() + ITEM.max(least as u64);
        let item = item + texts.div_ceil(u64::from(page.num_values()).max(1));
        let mut left = Some(self.left);
        depths.items(page, |begins, n| {
            let (n, row) = (n as u64, if begins { self.row } else { 0 });
            let more =
                |left: u64| left.saturating_add(n.saturating_mul(row)).checked_sub(n.saturating_mul(item));
            left = left.and_then(more).map(|left| left.min(self.most));
        });
        self.left = left.ok_or_else(long_lists)?;
        Ok(())
    }
}

fn long_lists() -> ParquetError {
    ParquetError::General(LONG_LISTS.into())
}

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;

    use super::*;

    /// A page of so many numbers, of runs of the levels of repetition.
    fn page(values: u32, runs: &[(u32, u8)]) -> Page {
        let mut levels = Vec::new();
        for (n, level) in runs {
            let mut header = u64::from(*n) << 1;
            while header >= 0x80 {
                levels.push(header as u8 | 0x80);
                header >>= 7;
            }
            levels.extend([header as u8, *level]);
        }
        Page::DataPageV2 {
            num_values: values,
            encoding: Encoding::PLAIN,
            num_nulls: 0,
            num_rows: 0,
            def_levels_byte_len: 0,
            rep_levels_byte_len: levels.len() as u32,
            is_compressed: false,
            statistics: None,
            buf: levels.into(),
        }
    }

    const DEPTHS: Depths = Depths { repetition: 1, definition: 1 };
    const ITEM_OF_NUMBERS: u64 = LEVELS + 5 + 8;

    #[test]
    fn rows_of_few_items_go_on_for_ever() {
        let mut lists = Lists::new(2048, 1);
        let few = [(1, 0), (99, 1)].repeat(4096);
        for _ in 0..50 {
            assert!(lists.take(&page(409_600, &few), DEPTHS, 8, 0).is_ok());
        }
    }

    #[test]
    fn one_row_has_no_more_than_a_batch() {
        let most = (LISTS / ITEM_OF_NUMBERS) as u32;
        let long = |n: u32| page(n, &[(1, 0), (n - 1, 1)]);
        assert!(Lists::new(2048, 1).take(&long(most), DEPTHS, 8, 0).is_ok());
        // What a row adds is for what it has itself.
        let beyond = most + (LISTS / 2048 / ITEM_OF_NUMBERS) as u32 + 2;
        let mut lists = Lists::new(2048, 1);
        assert!(
            lists.take(&long(most), DEPTHS, 8, 0).is_ok() && lists.take(&long(most), DEPTHS, 8, 0).is_err()
        );
        assert!(Lists::new(2048, 1).take(&long(beyond), DEPTHS, 8, 0).is_err());
        assert!(Lists::new(2048, 2).take(&long(most), DEPTHS, 8, 0).is_err());
    }

    #[test]
    fn levels_that_end_early_are_of_one_row() {
        let none = page(60_000_000, &[]);
        assert!(Lists::new(2048, 1).take(&none, DEPTHS, 8, 0).is_err());
        assert!(Lists::new(2048, 1).bear(60_000_000, DEPTHS).is_err());
        assert!(Lists::new(2048, 1).take(&page(1000, &[(1000, 0)]), DEPTHS, 4, PAGE + 1).is_err());
    }
}
