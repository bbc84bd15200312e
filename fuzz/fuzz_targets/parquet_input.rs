//! Pages of Parquet files, dictionary pages among them, and footers: values or errors.
#![no_main]

use std::sync::LazyLock;

use arrow_array::Array;
use hardneg_core::batches::Batches;
use hardneg_fuzz::templates::{PATHS, Template, templates};
use hardneg_fuzz::{Scratch, let_panics_be_caught};
use hardneg_parquet::footer::Footer;
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
    footer(&file);
    let file = SCRATCH.file("log.parquet", &file);
    let Ok(Some(input)) = open(&[file.into()], &[("column".into(), path.into())], 33) else { return };
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

/// Asks the footer all it can say, and looks for the pages of what it names.
fn footer(file: &[u8]) {
    let Some(end) = file.len().checked_sub(8) else { return };
    let length = u32::from_le_bytes(file[end..end + 4].try_into().expect("four bytes")) as usize;
    let Some(start) = end.checked_sub(length) else { return };
    let Ok(footer) = Footer::read("log.parquet", &file[start..end]) else { return };
    for path in PATHS {
        footer.at_least(path, 1);
    }
    for (number, chunk) in footer.chunks().unwrap_or_default().iter().enumerate() {
        let end = chunk.start.saturating_add(chunk.len).min(file.len() as u64) as usize;
        let Some(bytes) = file.get(chunk.start as usize..end) else { continue };
        let pages =
            footer.pages(number, bytes.to_vec().into()).expect("it had chunks").expect("of this number");
        assert!(pages.map_while(Result::ok).count() <= bytes.len());
    }
}
