//! Spilled blocks in any order, freed, and changed on disk: what is read is what was written, or refused.
#![no_main]

use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use hardneg_core::spill::{Extent, Spill};
use hardneg_fuzz::Scratch;
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

/// The file without a name that was opened last.
fn newest() -> Option<std::fs::File> {
    let folder = std::fs::canonicalize(SCRATCH.folder()).ok()?;
    let fds = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    let ours = |e: &std::fs::DirEntry| std::fs::read_link(e.path()).is_ok_and(|to| to.starts_with(&folder));
    let fd = fds.filter(ours).max_by_key(|e| e.file_name().to_string_lossy().parse::<u32>().ok())?;
    std::fs::File::options().read(true).write(true).open(fd.path()).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let spill = Spill::new(SCRATCH.folder());
    let mut live: Vec<(Extent, Vec<u8>)> = Vec::new();
    let (mut changed, mut into) = (false, Vec::new());
    for step in bytes.chunks_exact(3).take(24) {
        let [what, n, x] = [step[0], step[1], step[2]].map(usize::from);
        match what % 8 {
            0..=2 => {
                let block = vec![x as u8; n * 37 % 9_001];
                let extent = spill.write(&mut block.clone()).expect("room for small blocks");
                live.push((extent, block));
            }
            3 if !live.is_empty() => spill.free(live.swap_remove(n % live.len()).0).expect("its own block"),
            4 if x > 250 => {
                let Some(file) = newest() else { continue };
                let len = file.metadata().expect("open").len();
                file.write_all_at(&[x as u8], (n as u64 * 41) % len.max(1)).expect("open");
                changed = true;
            }
            _ => {}
        }
    }
    for (extent, block) in &live {
        match spill.read(extent, &mut into) {
            Ok(()) => assert_eq!(&into, block),
            Err(_) => assert!(changed && into.is_empty()),
        }
    }
});
