//! Parquet files: read without waste, pseudonymised page by page, and written from codes.

mod checked;
mod header;
pub mod input;
pub mod rewrite;
pub mod table;
