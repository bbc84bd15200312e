//! Worker threads that an observer watches, and may stop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::error::{Error, Result};

/// How often the caller hears of progress and may stop the job.
const POLL: Duration = Duration::from_millis(100);

/// More threads than this help nobody.
const MOST: usize = 512;

/// How many threads a number asked for means; 0 asks for all cores.
pub fn threads(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// Runs `work` over the numbers 0..n on `threads` workers, each with a state of its own that `finish` gets at the end.
///
/// # Errors
/// The first that anything reports.
pub fn each<S>(
    n: usize,
    threads: usize,
    observe: impl FnMut() -> Result<()>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<()> + Sync,
    finish: impl Fn(S) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = |stop: &AtomicBool| -> Result<()> {
        let mut own = state();
        while !stop.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                break;
            }
            work(&mut own, i)?;
        }
        finish(own)
    };
    workers(threads.min(n.max(1)), worker, observe)
}

/// `work` for each of the numbers 0..n on `threads` workers, results in order.
///
/// # Errors
/// The first that anything reports.
pub fn collect<T: Send>(
    n: usize,
    threads: usize,
    observe: impl FnMut() -> Result<()>,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let made: Mutex<Vec<Option<T>>> = Mutex::new((0..n).map(|_| None).collect());
    each(
        n,
        threads,
        observe,
        || (),
        |(), i| {
            let one = work(i)?;
            made.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(one);
            Ok(())
        },
        |()| Ok(()),
    )?;
    Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
}

/// `work` for each of the numbers 0..n on `threads` workers; `take` gets the results one after another, in order.
///
/// A worker that is early waits for its turn, so that results do not pile up. The lowest number waits for nobody: there is
/// always one that goes on.
///
/// # Errors
/// The first that anything reports.
pub fn ordered<T>(
    n: usize,
    threads: usize,
    observe: impl FnMut() -> Result<()>,
    work: impl Fn(usize) -> Result<T> + Sync,
    take: impl FnMut(usize, T) -> Result<()> + Send,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (turn, changed) = (Mutex::new((0, take)), Condvar::new());
    let worker = |stop: &AtomicBool| -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                break;
            }
            let made = work(i)?;
            let mut state = turn.lock().unwrap_or_else(PoisonError::into_inner);
            while state.0 != i {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                state = changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner).0;
            }
            (state.1)(i, made)?;
            state.0 += 1;
            changed.notify_all();
        }
        Ok(())
    };
    workers(threads.min(n.max(1)), worker, observe)
}

/// Runs workers to their end while this thread keeps the caller informed.
///
/// Where the system gives fewer threads than asked for, these do all of the work: what comes out is the same for any number.
/// The first error wins and stops the others. A panic becomes an internal error whose message carries nothing of it:
/// panic payloads can hold data.
pub fn workers(
    threads: usize,
    worker: impl Fn(&AtomicBool) -> Result<()> + Sync,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<()> {
    let threads = threads.clamp(1, MOST);
    let stop = AtomicBool::new(false);
    let first: Mutex<Option<Error>> = Mutex::new(None);
    let fail = |e: Error| {
        stop.store(true, Ordering::Relaxed);
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
    };
    let left = AtomicUsize::new(threads);
    std::thread::scope(|scope| {
        let caller = std::thread::current();
        let running: Vec<_> = (0..threads)
            .filter_map(|_| {
                // Dropped, which counts as leaving, where the thread cannot be started.
                let leaving = Leaving { caller: caller.clone(), left: &left, stop: &stop };
                let (fail, worker, stop) = (&fail, &worker, &stop);
                let work = move || {
                    let _leaving = leaving;
                    if let Err(e) = worker(stop) {
                        fail(e);
                    }
                };
                std::thread::Builder::new().spawn_scoped(scope, work).ok()
            })
            .collect();
        if running.is_empty() {
            fail(Error::io(
                "no worker thread can be started: this user's threads (ulimit -u) or memory are used up; end other work, or \
                 raise the limit",
            ));
        }
        while left.load(Ordering::Acquire) > 0 {
            std::thread::park_timeout(POLL);
            if !stop.load(Ordering::Relaxed)
                && let Err(e) = observe()
            {
                fail(e);
            }
        }
        for worker in running {
            if worker.join().is_err() {
                fail(Error::internal("a worker thread failed; this is a bug, please report it"));
            }
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Wakes the caller when a worker ends, and stops the others where it panicked.
struct Leaving<'a> {
    caller: Thread,
    left: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.left.fetch_sub(1, Ordering::Release);
        self.caller.unpark();
    }
}
