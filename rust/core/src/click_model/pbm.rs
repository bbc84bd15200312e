//! The position-based model: a click is an examination, which depends on the position, and an attraction, which depends on
//! query and document: P(C = 1) = θ_k a.
//!
//! Source: Craswell, Zoeter, Taylor & Ramsey, WSDM 2008 (examination hypothesis); by EM: Wang, Golbandi, Bendersky, Metzler &
//! Najork, Position bias estimation for unbiased learning to rank in personal search, WSDM 2018, section 4. The passes are in
//! `examine`.

/// θ depends on the position.
pub(super) fn place(position: u16, _previous_click: u16) -> usize {
    position.into()
}
