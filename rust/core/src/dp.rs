//! Release under user-level differential privacy: which queries may be named, and clicks on them under noise.
//!
//! Statements, proofs and constants stand in docs/PRIVACY.md; Python calibrates the noise and hands in whole numbers. All
//! that comes out of this module has its noise already: exact scores are dropped where they are summed.
//!
//! What the proofs lean on, and where it is kept:
//! - a user's vector has a norm of at most one, in whole numbers that do not depend on the order of its items ([`unit`]);
//! - it depends on the user's own record, public constants and what was released before, never on other users;
//! - every cell of the domain gets noise, zeros included ([`selection`], [`clicks`]).

pub mod clicks;
pub mod selection;
pub mod unit;
mod universe;
