//! Random bytes of the operating system; nothing weaker takes their place.

use crate::error::{Error, Result};

/// Fills `bytes`.
///
/// # Errors
/// [`Error::internal`] where the operating system has none to give.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| Error::internal("the operating system gives no random numbers"))
}
