//! Megabytes a second that spill seals and writes, and reads and opens:
//! `cargo run --release -p hardneg-core --example spill_speed -- [DIRECTORY]`.
#![allow(clippy::print_stdout, reason = "its purpose")]

use std::time::Instant;

use hardneg_core::error::Error;
use hardneg_core::spill::{Extent, Spill};

const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 256;

fn main() -> Result<(), Error> {
    let dir = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    println!("{BLOCKS} blocks of 1 MiB in {dir:?}, MB/s");
    let (mut best_write, mut best_read) = (0.0_f64, 0.0_f64);
    for _ in 0..5 {
        let spill = Spill::new(&dir);
        let mut block = Vec::with_capacity(BLOCK + 16);
        let mut extents: Vec<Extent> = Vec::new();
        for i in 0..BLOCKS {
            block.resize(BLOCK, i as u8);
            let start = Instant::now();
            extents.push(spill.write(&mut block)?);
            best_write = best_write.max(BLOCK as f64 / 1e6 / start.elapsed().as_secs_f64());
        }
        for extent in &extents {
            let start = Instant::now();
            spill.read(extent, &mut block)?;
            best_read = best_read.max(BLOCK as f64 / 1e6 / start.elapsed().as_secs_f64());
        }
    }
    println!("best block: write {best_write:.0}, read {best_read:.0}");
    Ok(())
}
