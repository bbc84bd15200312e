//! Parquet files: read without waste, pseudonymised page by page, and written from codes.

mod checked;
pub mod footer;
mod header;
pub mod input;
pub mod rewrite;
mod shapes;
pub mod table;
mod thrift;
mod tree;
