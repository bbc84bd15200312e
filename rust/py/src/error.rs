//! Core errors to Python exceptions: one match.

use hardneg_core::error::{Error, ErrorKind};
use pyo3::prelude::*;

/// The exception for a core error.
pub(crate) fn to_py(e: Error) -> PyErr {
    let name = match e.kind() {
        ErrorKind::Column => "ColumnError",
        ErrorKind::Data => "DataError",
        ErrorKind::Usage => "UsageError",
        ErrorKind::Io => "FileError",
        ErrorKind::Privacy => "PrivacyError",
        ErrorKind::Detector => "DetectorError",
        ErrorKind::Interrupted => return pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
        _ => "HardnegError",
    };
    Python::attach(|py| {
        let class = py.import("hardneg_fast.exceptions").and_then(|m| m.getattr(name));
        match class.and_then(|c| c.call1((e.to_string(),))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(failed) => failed,
        }
    })
}

/// Whether an exception is one of ours, whose words say nothing of the data.
pub(crate) fn is_named(py: Python<'_>, e: &PyErr) -> bool {
    let class = py.import("hardneg_fast.exceptions").and_then(|m| m.getattr("HardnegError"));
    class.is_ok_and(|class| e.is_instance(py, &class))
}

/// A configuration handed over as JSON.
pub(crate) fn config<T: serde::de::DeserializeOwned>(json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|e| to_py(Error::usage(format!("configuration: {e}"))))
}
