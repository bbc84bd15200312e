//! Parquet files copied page by page with pseudonyms in their dictionaries.
#![no_main]

use std::sync::LazyLock;

use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_fuzz::templates::{PATHS, Template, templates};
use hardneg_fuzz::{Scratch, let_panics_be_caught};
use hardneg_parquet::rewrite::{Column, copy};
use libfuzzer_sys::fuzz_target;

static TEMPLATES: LazyLock<Vec<Template>> =
    LazyLock::new(|| templates().into_iter().filter(|t| t.path == PATHS[0]).collect());
static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);
static KEY: LazyLock<MasterKey> = LazyLock::new(|| MasterKey::new(&[7; 32]).expect("32 bytes"));

fuzz_target!(init: let_panics_be_caught(), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let pseudonymised = which & 1 == 1;
    let file = match TEMPLATES.get(usize::from(which >> 1)) {
        Some(template) => template.with(bytes),
        None => bytes.to_vec(),
    };
    let file = SCRATCH.file("log.parquet", &file);
    let out = std::fs::File::create(SCRATCH.folder().join("copy.parquet")).expect("scratch files can be made");
    let pseudonyms = pseudonymised.then(|| Pseudonymizer::new(&KEY, "user_id", "", "").expect("short names"));
    let column = Column { name: "user_id".into(), path: "t".into(), pseudonyms };
    let _ = copy(&[file], &[column], out, 1, &mut || Ok(()));
});
