//! `hardneg_fast._hardneg`: extract, detach, wrap. Meanings are in the stub `_hardneg.pyi`.

mod anonymize;
mod click_model;
mod count;
mod dp;
mod error;
mod evidence;
mod footer;
mod fork;
mod input;
mod related;
mod release;
mod scrub;
mod select;
mod table;
mod watch;
mod whole;

use pyo3::prelude::*;

// Memory that one thread frees is another's at once, and what nobody needs goes back to the system: the passes of a job
// hand hundreds of megabytes from thread to thread, of which glibc's arenas kept a quarter twice. Huge pages
// (`no_thp` leaves them) would keep whole what is used in part.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The core of hardneg_fast.
#[pymodule(gil_used = false)]
mod _hardneg {
    use super::Bound;
    #[pymodule_export]
    use super::anonymize::{canonicalize, copy_pages, normalize, pseudonymize, rewrite, scrub};
    #[pymodule_export]
    use super::click_model::{
        ClickLog, ClickModel, choose_click_model, click_log, click_log_counted, estimate_propensities,
        fit_click_model,
    };
    #[pymodule_export]
    use super::count::{Counts, count, load, merge, unpack};
    #[pymodule_export]
    use super::dp::{Contributions, Keys, contribute, discrete_laplace, rounded_gaussian};
    #[pymodule_export]
    use super::evidence::{Evidence, evidence, evidence_of_part};
    #[pymodule_export]
    use super::footer::{ChunkPages, ParquetFooter, parquet_footer};
    #[pymodule_export]
    use super::fork::{orphan, refuse_if_orphaned};
    #[pymodule_export]
    use super::input::{ParquetFiles, ParquetLog, parquet_files};
    #[pymodule_export]
    use super::related::{Related, related_clicks, related_released};
    #[pymodule_export]
    use super::release::{Released, gather, release, unpack_released};
    #[pymodule_export]
    use super::scrub::scrub_words;
    #[pymodule_export]
    use super::select::{Selected, select};
    #[pymodule_export]
    use super::table::{Stream, Table};
    #[pymodule_export]
    use super::whole::{Whole, answer};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        super::quiet_panics();
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        m.add("DEBUG_BUILD", cfg!(debug_assertions))
    }
}

/// A panic's message can quote data (a slice of a query, say), so only its place is printed; nothing where it is a damaged
/// file's fault, of which an error tells.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        use std::io::Write;
        if hardneg_parquet::catching() {
            return;
        }
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        // Nothing is left to do where stderr is gone.
        let _ = writeln!(
            std::io::stderr(),
            "hardneg_fast: internal error{place}; this is a bug, please report it"
        );
    }));
}
