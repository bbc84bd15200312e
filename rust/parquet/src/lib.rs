//! Parquet files: read without waste, and pseudonymised page by page.

pub mod input;
pub mod rewrite;
