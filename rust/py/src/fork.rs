//! Children of forks that were made beside work, which refuse to work: locks that nobody is left to open stay shut there.

use std::sync::atomic::{AtomicBool, Ordering};

use hardneg_core::error::{Error, Result};
use pyo3::prelude::*;

use crate::error::to_py;

static ORPHANED: AtomicBool = AtomicBool::new(false);

/// An error where this process is such a child.
pub(crate) fn refuse() -> Result<()> {
    if !ORPHANED.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(Error::usage(
        "this process is a fork of one that was at work in hardneg_fast: locks that its threads held stay shut here, and a call \
         could wait for ever; start processes with multiprocessing.get_context(\"spawn\"), or fork while no call runs",
    ))
}

#[pyfunction]
pub(crate) fn orphan() {
    ORPHANED.store(true, Ordering::Relaxed);
}

#[pyfunction]
pub(crate) fn refuse_if_orphaned() -> PyResult<()> {
    refuse().map_err(to_py)
}
