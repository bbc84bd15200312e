//! Spill: what is read is what was written, by any threads; nobody else can read it, and nothing stays behind.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use hardneg_core::error::{Error, ErrorKind};
use hardneg_core::spill::{Extent, Spill};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

/// The spill file of a directory that only one test uses: a name it does not have, but this process holds it open.
fn file_in(dir: &Path) -> PathBuf {
    let dir = dir.canonicalize().expect("it is there");
    let fds = fs::read_dir("/proc/self/fd").expect("Linux has it");
    let mut of_dir = fds.map(|fd| fd.expect("an entry").path()).filter(|fd| {
        // Another test may close its own meanwhile.
        fs::read_link(fd).is_ok_and(|to| to.starts_with(&dir))
    });
    let found = of_dir.next().expect("a spill file is open");
    assert_eq!(of_dir.next(), None, "one file only");
    found
}

fn raw(dir: &Path) -> Vec<u8> {
    fs::read(file_in(dir)).expect("it can be read")
}

fn spill() -> (TempDir, Spill) {
    let dir = tempdir().expect("a temporary directory");
    let spill = Spill::new(dir.path());
    (dir, spill)
}

fn read(spill: &Spill, extent: &Extent) -> Result<Vec<u8>, Error> {
    let mut into = vec![7; 10];
    let read = spill.read(extent, &mut into);
    assert!(read.is_ok() || into.is_empty());
    read.map(|()| into)
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|e| e.kind())
}

/// Refused as damaged, by name.
fn damaged(result: Result<Vec<u8>, Error>) {
    let e = result.expect_err("refused");
    assert_eq!(e.kind(), ErrorKind::Io);
    assert!(e.to_string().contains("is not what was written"), "{e}");
}

#[test]
fn the_file_has_no_name_and_no_plaintext() {
    let (dir, spill) = spill();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing before the first block");
    let pattern = b"jane.doe@example.org asked for divorce lawyers";
    let mut extents = Vec::new();
    for _ in 0..3 {
        let mut block = pattern.repeat(200);
        extents.push(spill.write(&mut block).unwrap());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no entry while in use");
    let meta = fs::metadata(file_in(dir.path())).unwrap();
    assert_eq!((meta.nlink(), meta.mode() & 0o777), (0, 0o600));

    let raw = raw(dir.path());
    assert!(raw.len() as u64 >= spill.written());
    for part in pattern.chunks(8) {
        assert!(!raw.windows(part.len()).any(|w| w == part), "plaintext in the file");
    }
    // The same block three times, three pages each: sealed differently each time.
    let starts = [0, 1, 2].map(|i| &raw[i * 3 * 4096..][..32]);
    assert!(starts[0] != starts[1] && starts[1] != starts[2] && starts[0] != starts[2]);
    for extent in &extents {
        assert_eq!(read(&spill, extent).unwrap(), pattern.repeat(200));
    }
}

#[test]
fn nothing_stays_behind() {
    let (dir, spill) = spill();
    spill.write(&mut vec![1; 100]).unwrap();
    drop(spill);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn from_several_threads() {
    let (_dir, spill) = spill();
    let block = |thread: u8, i: usize| -> Vec<u8> {
        (0..(i * 997) % 9000).map(|j| thread ^ (i as u8) ^ (j as u8)).collect()
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let spill = &spill;
            scope.spawn(move || {
                let (mut buffer, mut extents) = (Vec::new(), Vec::new());
                for i in 0..40 {
                    buffer.extend(block(thread, i));
                    extents.push(spill.write(&mut buffer).unwrap());
                    assert!(buffer.is_empty());
                }
                for (i, extent) in extents.iter().enumerate().rev() {
                    spill.read(extent, &mut buffer).unwrap();
                    assert_eq!(buffer, block(thread, i));
                }
                // Half of the blocks go while other threads read; the rest must not suffer.
                let mut kept = Vec::new();
                for (i, extent) in extents.into_iter().enumerate() {
                    if i % 2 == 0 {
                        spill.free(extent).unwrap();
                    } else {
                        kept.push((i, extent));
                    }
                }
                for (i, extent) in kept {
                    spill.read(&extent, &mut buffer).unwrap();
                    assert_eq!(buffer, block(thread, i));
                }
            });
        }
    });
    let total: usize = 8 * (0..40).map(|i| (i * 997) % 9000 + 16).sum::<usize>();
    assert_eq!(spill.written(), total as u64);
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let (dir, spill) = spill();
    let extent = spill.write(&mut vec![5; 100]).unwrap();
    let file = File::options().read(true).write(true).open(file_in(dir.path())).unwrap();
    // Of the block, and of the tag after it.
    for at in [0, 50, 99, 100, 115] {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        damaged(read(&spill, &extent));
        file.write_all_at(&byte, at).unwrap();
        assert_eq!(read(&spill, &extent).unwrap(), [5; 100]);
    }
    file.set_len(60).unwrap();
    damaged(read(&spill, &extent));
}

/// Whole blocks of the same length, exchanged: each in itself is as it was sealed.
#[test]
fn exchanged_blocks_are_refused() {
    let (dir, spill) = spill();
    let extents = [1, 2].map(|v| spill.write(&mut vec![v; 100]).unwrap());
    let file = File::options().read(true).write(true).open(file_in(dir.path())).unwrap();
    let (mut a, mut b) = ([0; 116], [0; 116]);
    file.read_exact_at(&mut a, 0).unwrap();
    file.read_exact_at(&mut b, 4096).unwrap();
    file.write_all_at(&b, 0).unwrap();
    file.write_all_at(&a, 4096).unwrap();
    for extent in &extents {
        damaged(read(&spill, extent));
    }
}

/// Keys are drawn afresh: a block of one spill is noise to another.
#[test]
fn spills_have_keys_of_their_own() {
    let ((dir, a), (other, b)) = (spill(), spill());
    let extent = a.write(&mut vec![1; 100]).unwrap();
    damaged(read(&b, &extent));
    // At the same place of the other, under the same nonce, and the file of the first over it.
    let same = b.write(&mut vec![1; 100]).unwrap();
    assert_eq!(extent, same);
    assert_ne!(raw(dir.path()), raw(other.path()));
    fs::write(file_in(other.path()), raw(dir.path())).unwrap();
    damaged(read(&b, &same));
}

#[test]
fn freed_blocks_give_the_disk_back() {
    let (dir, spill) = spill();
    let used = || fs::metadata(file_in(dir.path())).unwrap().blocks() * 512;
    let extents: Vec<Extent> =
        (0..20).map(|i| spill.write(&mut vec![i; 100_000 + usize::from(i)]).unwrap()).collect();
    let full = used();
    assert!(full >= 2_000_000, "{full}");
    for (i, extent) in extents.into_iter().enumerate() {
        if i == 7 {
            assert_eq!(read(&spill, &extent).unwrap(), vec![7; 100_007]);
        } else {
            spill.free(extent).unwrap();
        }
    }
    assert!(used() <= 200_000, "{} of {full}", used());
    assert!(spill.written() >= 2_000_000, "what was written stays written");
}

#[test]
fn unusable_directories_are_named() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "x").unwrap();
    for (bad, why) in [(dir.path().join("missing"), "no such directory"), (file, "not a directory")] {
        let e = Spill::new(&bad).write(&mut vec![1; 10]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Io);
        let message = e.to_string();
        for part in [bad.to_str().unwrap(), why, "--spill-dir", "TMPDIR", "--memory"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn blocks_beyond_reason_are_refused() {
    let (_dir, spill) = spill();
    // Fresh zeroed memory that is never touched costs nothing.
    assert_eq!(kind(spill.write(&mut vec![0; (1 << 30) + 1])), Some(ErrorKind::Internal));
}

/// A limit on the size of files stands for every way of running out; a full disk itself is tested beside the code.
#[test]
fn running_out_is_an_error_that_says_what_to_do() {
    let child = "HARDNEG_TEST_SPILL_CHILD";
    if std::env::var_os(child).is_some() {
        let (_dir, spill) = spill();
        let e = (0..100).find_map(|_| spill.write(&mut vec![9; 100_000]).err()).expect("the limit");
        assert_eq!(e.kind(), ErrorKind::Io);
        let message = e.to_string();
        for part in ["limit on the size of a file", "4 MB spilled", "--spill-dir"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        return;
    }
    // 4,096,000 bytes; in blocks of 512. The signal is ignored, as Python does, so that writing fails instead.
    let run = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8000 && exec \"$0\" --exact running_out_is_an_error_that_says_what_to_do"])
        .arg(std::env::current_exe().unwrap())
        .env(child, "1")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a list in memory.
    #[test]
    fn as_a_list_in_memory(blocks in vec(vec(any::<u8>(), 0..10_000), 1..12)) {
        let (_dir, spill) = spill();
        let extents: Vec<Extent> = blocks.iter().map(|b| spill.write(&mut b.clone()).unwrap()).collect();
        for (block, extent) in blocks.iter().zip(&extents).rev() {
            prop_assert_eq!(extent.len(), block.len());
            prop_assert_eq!(&read(&spill, extent).unwrap(), block);
        }
    }
}
