//! How to scrub: options as they come from Python, and a user's own detector.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, StringArray};
use hardneg_core::error::{Error, Result};
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::scrub::{Detector, Offsets, Scrubber};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::error::{config, to_py};

/// A `ScrubConfig` as JSON, and the `Detector` that JSON cannot hold.
#[derive(FromPyObject)]
pub(crate) struct Scrub(String, Option<Py<PyAny>>);

/// The scrubber of `options`; its tokens are made under `key`.
pub(crate) fn scrubber(
    py: Python<'_>,
    options: Scrub,
    key: Option<&MasterKey>,
    epoch: &str,
    dataset: &str,
) -> PyResult<Option<Scrubber>> {
    let token = || match key {
        Some(key) => Pseudonymizer::new(key, "query", epoch, dataset),
        None => Err(Error::usage("scrub.action token needs a key: key=Key.load(FILE), or mask")),
    };
    let given_up = mem::take(&mut *GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner));
    drop(given_up); // here Python may be called, and a detector's end may call us: the lock is free again
    let scrubber = Scrubber::of(&config(&options.0)?, token).map_err(to_py)?;
    let (Some(scrubber), Some(detector)) = (&scrubber, options.1) else { return Ok(scrubber) };
    let offsets = match detector.getattr(py, "offsets")?.extract::<String>(py)?.as_str() {
        "bytes" => Offsets::Bytes,
        _ => Offsets::Characters,
    };
    let name = detector.getattr(py, "name")?.extract(py)?;
    Ok(Some(scrubber.clone().with(Arc::new(Called { name, offsets, detector: Some(detector) }))))
}

/// The words by which counts know what was scrubbed; see the option `scrub` of counts.
#[pyfunction]
#[pyo3(signature = (scrub, /))]
pub(crate) fn scrub_words(py: Python<'_>, scrub: Scrub) -> PyResult<String> {
    // Which key makes tokens is not in them.
    let key = MasterKey::fresh().map_err(to_py)?;
    Ok(scrubber(py, scrub, Some(&key), "", "")?.map_or("off".into(), |scrubber| scrubber.to_string()))
}

/// Detectors that nothing holds any more, until the next scrubber is made.
///
/// A stream that scrubs can end anywhere, for instance where pyarrow frees its reader: with Python's lock given up, on a
/// thread that has it as far as pyo3 knows. A reference that is dropped there brings the interpreter down.
static GIVEN_UP: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

/// A `Detector` of Python's.
struct Called {
    name: String,
    offsets: Offsets,
    /// None from its end on.
    detector: Option<Py<PyAny>>,
}

impl Drop for Called {
    fn drop(&mut self) {
        GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner).extend(self.detector.take());
    }
}

impl Detector for Called {
    fn name(&self) -> &str {
        &self.name
    }

    fn offsets(&self) -> Offsets {
        self.offsets
    }

    fn find(&self, texts: &[&str]) -> Result<Vec<Vec<Range<usize>>>> {
        let detector = self.detector.as_ref().ok_or_else(|| Error::internal("a detector after its end"))?;
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        Python::attach(|py| {
            let asked = PyArray::from_array_ref(array);
            let found = detector.call_method1(py, "spans", (asked.to_pyarrow(py)?,))?;
            found.extract::<(PyArray, PyArray, PyArray)>(py)
        })
        .map_err(|e| Python::attach(|py| self.failed(py, &e)))
        .and_then(|(counts, starts, ends)| {
            self.spans(counts.array(), starts.array(), ends.array())
                .ok_or_else(|| self.error("gave an answer that cannot be read"))
        })
    }
}

impl Called {
    /// Only our own messages are handed on: what others say can quote the texts.
    fn failed(&self, py: Python<'_>, e: &PyErr) -> Error {
        if e.is_instance_of::<PyKeyboardInterrupt>(py) {
            return Error::interrupted();
        }
        let ours = py.import("hardneg_fast.exceptions").and_then(|m| m.getattr("DetectorError"));
        match ours {
            Ok(ours) if e.is_instance(py, &ours) => Error::detector(e.value(py).to_string()),
            _ => self.error("failed"),
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::detector(format!("detector {:?} {what}", self.name))
    }

    /// How many each text has, and where they begin and end.
    fn spans(&self, counts: &ArrayRef, starts: &ArrayRef, ends: &ArrayRef) -> Option<Vec<Vec<Range<usize>>>> {
        let numbers = |array: &ArrayRef| -> Option<Vec<usize>> {
            let array = array.as_primitive_opt::<Int64Type>().filter(|a| a.null_count() == 0)?;
            array.values().iter().map(|n| usize::try_from(*n).ok()).collect()
        };
        let (counts, starts, ends) = (numbers(counts)?, numbers(starts)?, numbers(ends)?);
        let mut spans = starts.iter().zip(&ends).map(|(start, end)| *start..*end);
        let found: Vec<_> = counts.iter().map(|n| spans.by_ref().take(*n).collect()).collect();
        let all = counts.iter().try_fold(0_usize, |sum, n| sum.checked_add(*n))?;
        (all == starts.len() && all == ends.len()).then_some(found)
    }
}
