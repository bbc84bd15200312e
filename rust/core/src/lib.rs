//! Raw click logs to privacy-safe hard negatives: the core, without Python or network, and with no files but the
//! spill and saved counts.
//!
//! One module a stage, in the order of `docs/ARCHITECTURE.md`; [`job`] alone knows that order.

pub mod alike;
pub mod anonymize;
pub mod batches;
pub mod blob;
pub mod bound;
pub mod budget;
pub mod clash;
pub mod clean;
pub mod click_model;
pub mod coded;
pub mod contributions;
pub mod counts;
pub mod digest;
pub mod dp;
mod entropy;
pub mod error;
pub mod evidence;
pub mod export;
pub mod given;
pub mod group;
pub mod impressions;
pub mod intern;
pub mod job;
pub mod logged;
pub mod noise;
pub mod normalize;
pub mod packed;
pub mod page;
pub mod partition;
pub mod parts;
pub mod pseudonym;
pub mod pulse;
pub mod records;
pub mod related;
pub mod release;
pub mod rewrite;
pub mod saved;
pub mod scalar;
pub mod scrub;
pub mod seed;
pub mod select;
pub mod spill;
pub mod steps;
pub mod strings;
pub mod tables;
pub mod tally;
pub mod text;
pub mod time;
pub mod triplets;
pub mod votes;
pub mod whole;
pub mod workers;
