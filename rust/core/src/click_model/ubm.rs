//! The user browsing model: as PBM, but examination depends on the position and on that of the last click above:
//! P(C = 1 | last click r') = γ_{k r'} a.
//!
//! Source: Dupret & Piwowarski, A user browsing model to predict search engine click data from past observations, SIGIR 2008,
//! section 3. Clicks above are observed, so cells with their previous click are all that the likelihood needs. The passes are
//! in `examine`.

/// γ depends on the position and the last click above.
pub(super) fn place(position: u16, previous_click: u16) -> usize {
    super::params::place(position, previous_click)
}
