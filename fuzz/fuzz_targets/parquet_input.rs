//! Pages of Parquet files, dictionary pages among them: values or errors.
#![no_main]

use std::sync::LazyLock;

use arrow_array::Array;
use hardneg_core::batches::Batches;
use hardneg_fuzz::templates::{PATHS, Template, templates};
use hardneg_fuzz::{Scratch, let_panics_be_caught};
use hardneg_parquet::input::open;
use libfuzzer_sys::fuzz_target;

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(templates);
static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

fuzz_target!(init: let_panics_be_caught(), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    // Beyond the templates: the input is the file.
    let (file, path) = match TEMPLATES.get(usize::from(*which)) {
        Some(template) => (template.with(bytes), template.path),
        None => (bytes.to_vec(), PATHS[usize::from(*which) % 2]),
    };
    let file = SCRATCH.file("log.parquet", &file);
    let Ok(Some(input)) = open(&[file], &[("column".into(), path.into())], 33) else { return };
    let mut rows = 0;
    while let Some(Ok(batch)) = input.next() {
        batch.columns().iter().for_each(|c| c.to_data().validate_full().expect("sound arrays"));
        rows += batch.num_rows();
        // A footer can claim any number of rows that its pages then have in a few bytes.
        if rows > 1_000 {
            return;
        }
    }
});
