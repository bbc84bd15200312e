//! The job: one answer for any order, batch size and thread count, and an error instead of a hang.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use hardneg_core::error::{Error, ErrorKind, Result};
use hardneg_core::rewrite::Canonical;
use hardneg_core::workers::workers;
use proptest::prelude::*;

mod common;
use common::{ALL, batch, columns, content, count, count_from, events, pieces, reader};

/// A reader that hands out `good` batches and then does something else.
struct Broken {
    batch: RecordBatch,
    good: usize,
    then: fn() -> Option<std::result::Result<RecordBatch, ArrowError>>,
}

impl Iterator for Broken {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.good.checked_sub(1) {
            Some(left) => {
                self.good = left;
                Some(Ok(self.batch.clone()))
            }
            None => (self.then)(),
        }
    }
}

impl RecordBatchReader for Broken {
    fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }
}

fn broken(good: usize, then: fn() -> Option<std::result::Result<RecordBatch, ArrowError>>) -> Box<Broken> {
    Box::new(Broken { batch: batch(&[], ALL), good, then })
}

/// What `work` returns, unless it takes half a minute: then it hangs.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(30)).expect("neither a hang nor a panic")
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|e| e.kind())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn one_answer(
        (log, turned) in events(80).prop_flat_map(|log| (Just(log.clone()), Just(log).prop_shuffle())),
        columns in columns(),
        size in 1..90_usize,
        threads in 1..5_usize,
    ) {
        let expected = content(&count(&log, columns, 1000, 1));
        for (what, made) in content(&count(&turned, columns, size, threads)).into_iter().zip(expected) {
            prop_assert_eq!(what, made);
        }
    }
}

#[test]
fn an_empty_stream_and_empty_batches() {
    let empty = batch(&[], ALL);
    for batches in [vec![], vec![empty.clone()], vec![empty.clone(); 9]] {
        let counts = count_from(reader(empty.schema(), batches), 3, &mut |_| Ok(())).unwrap();
        assert_eq!((counts.read.rows, counts.users, counts.sizes().pairs), (0, 0, 0));
        assert!(!counts.has.unclicked && !counts.has.positions && counts.has.users);
    }
}

#[test]
fn empty_batches_between_others_change_nothing() {
    let log = proptest::strategy::ValueTree::current(
        &events(80).new_tree(&mut proptest::test_runner::TestRunner::deterministic()).unwrap(),
    );
    let whole = batch(&log, ALL);
    let mixed = pieces(&whole, 3).into_iter().flat_map(|b| [whole.slice(0, 0), b]).collect();
    let made = count_from(reader(whole.schema(), mixed), 4, &mut |_| Ok(())).unwrap();
    assert_eq!(content(&made), content(&count(&log, ALL, 80, 1)));
}

#[test]
fn a_reader_that_panics_is_an_error() {
    for threads in 1..=4 {
        let e = in_time(move || count_from(broken(20, || panic!("secret")), threads, &mut |_| Ok(())).err())
            .unwrap();
        assert_eq!(e.kind(), ErrorKind::Internal);
        assert!(!e.to_string().contains("secret"), "{e}");
    }
}

#[test]
fn a_reader_that_fails_is_an_error() {
    fn quoting() -> Option<std::result::Result<RecordBatch, ArrowError>> {
        Some(Err(ArrowError::CastError("Cannot cast string 'secret'".into())))
    }
    fn own() -> Option<std::result::Result<RecordBatch, ArrowError>> {
        Some(Err(Error::privacy("no").into()))
    }
    for threads in 1..=4 {
        let e = in_time(move || count_from(broken(20, quoting), threads, &mut |_| Ok(())).err()).unwrap();
        assert_eq!(e.kind(), ErrorKind::Data);
        assert!(!e.to_string().contains("secret"), "{e}");
        let made = in_time(move || kind(count_from(broken(20, own), threads, &mut |_| Ok(()))));
        assert_eq!(made, Some(ErrorKind::Privacy), "our own errors come through");
    }
}

/// A log without end ends when the observer says so.
#[test]
fn the_observer_stops_the_job() {
    for threads in 1..=4 {
        let made = in_time(move || {
            let mut calls = 0;
            let observed = count_from(broken(usize::MAX, || None), threads, &mut |at| {
                assert_eq!(at.stage, "reading");
                calls += 1;
                if calls > 2 { Err(Error::interrupted()) } else { Ok(()) }
            });
            (kind(observed), calls)
        });
        assert_eq!(made, (Some(ErrorKind::Interrupted), 3));
    }
}

/// One worker's panic stops the others, which would go on for ever.
#[test]
fn a_panic_stops_all_workers() {
    let made = in_time(|| {
        let first = std::sync::atomic::AtomicBool::new(true);
        kind(workers(
            4,
            |stop| {
                assert!(!first.swap(false, std::sync::atomic::Ordering::Relaxed), "the first worker fails");
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                Ok(())
            },
            || Ok(()),
        ))
    });
    assert_eq!(made, Some(ErrorKind::Internal));
}

/// The caller sleeps between its looks, and must be woken when the work is done.
#[test]
fn small_jobs_do_not_wait_for_the_clock() {
    let start = Instant::now();
    for _ in 0..40 {
        let work = |_: &_| {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        };
        workers(2, work, || Ok(())).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(2), "40 empty jobs took {:?}", start.elapsed());
}

/// Behind a C interface a panic would end the process.
#[test]
fn a_stream_that_panics_is_an_error() {
    let (mut stream, _) = Canonical::new(broken(1, || panic!("secret")), 1, None).unwrap();
    assert!(stream.next().unwrap().is_ok());
    assert_eq!(kind(stream.next().unwrap().map_err(Error::from)), Some(ErrorKind::Internal));
}
