//! Work without the interpreter, which is asked now and then whether to go on.

use hardneg_core::error::{Error, Result};
use hardneg_core::job::Progress;
use hardneg_core::pulse::Pulse;
use pyo3::prelude::*;

use crate::error::to_py;
use crate::fork::refuse;

/// Does `work`, which tells of its progress. What Python raised when it was told, not our word for it, goes back.
pub(crate) fn watched<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&mut dyn FnMut(Progress) -> Result<()>) -> Result<T> + Send,
) -> PyResult<T> {
    refuse().map_err(to_py)?;
    let mut raised: Option<PyErr> = None;
    let done = py.detach(|| {
        work(&mut |at| {
            let asked = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |p| p.call1(py, (at.stage, at.rows, at.done)).map(|_| ()))
            });
            asked.map_err(|e| {
                raised = Some(e);
                Error::interrupted()
            })
        })
    });
    match (done, raised) {
        (_, Some(e)) => Err(e),
        (done, None) => done.map_err(to_py),
    }
}

/// Does `work` that has no progress to tell of.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut Pulse<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    watched(py, None, |observe| work(&mut Pulse::new(|| observe(Progress::default()))))
}

/// Does `work` that nobody can stop, because it is short.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    refuse().map_err(to_py)?;
    py.detach(work).map_err(to_py)
}
