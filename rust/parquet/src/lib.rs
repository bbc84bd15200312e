//! Parquet files: read without waste, pseudonymised page by page, and written from codes.

mod checked;
mod claims;
mod codec;
pub mod footer;
mod header;
mod hybrid;
pub mod input;
mod lists;
mod metadata;
mod pages;
pub mod rewrite;
mod shapes;
pub mod table;
mod thrift;
mod tree;

pub use metadata::catching;
