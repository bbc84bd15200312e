//! Noise for differential privacy: whole numbers, sampled exactly, from one source of randomness.
//!
//! No floating point: every decision compares bits that are drawn as they are needed, so each sample has exactly the law
//! that is stated, and proofs about that law are proofs about this code (Mironov 2012 shows what becomes of the others).
//! There is no seed to give.

mod gaussian;
mod laplace;
mod random;

pub use gaussian::RoundedGaussian;
pub use laplace::DiscreteLaplace;
pub use random::Random;
