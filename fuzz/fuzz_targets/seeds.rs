//! Writes the seeds of every target into `corpus/`: small samples of what each is meant for.

#![no_main]

use std::fs;
use std::path::Path;

use hardneg_core::pulse::Pulse;
use hardneg_core::saved::save;
use hardneg_fuzz::templates::{PATHS, templates};
use hardneg_fuzz::{Scratch, counts};

const TEXTS: [&str; 16] = [
    "wireless headphones",
    "ＦＵＬＬ width ﬁ ligature",
    "İstanbul ß ǅ",
    "a\u{300}\u{323}\u{200b}b\u{202e}c\u{feff}",
    "mail anna.o'neil+x@example.co.uk now",
    "\"quoted local\"@example.org",
    "call +44 20 7946 0958 or 0800 123456",
    "4111 1111 1111 1111 visa",
    "DE89370400440532013000",
    "ssn 123-45-6789",
    "10.0.0.1 and fe80::1%eth0",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "https://u:p4ssw0rd@host.example/path?token=Zk3vQ9xPLm2",
    "password: hunter22",
    "52.520008, 13.404954",
    "<email> <card:0123456789abcdef> ٣٤٥٦٧٨٩٠١٢",
];

const TIMES: [&str; 9] = [
    "2024-01-01T12:00:00Z",
    "2024-02-29 23:59:60.999999999+14:00",
    "20240101T120000",
    "2024-01-01",
    "1704110400",
    "1704110400.25",
    "1704110400000000000",
    "1e10",
    " -62135596800 ",
];

// A target only by its form: what is instrumented links with nothing but libFuzzer.
libfuzzer_sys::fuzz_target!(init: write_and_leave(), |_bytes: &[u8]| ());

fn write_and_leave() {
    write();
    std::process::exit(0);
}

fn write() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, content: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("a folder for seeds");
        fs::write(folder.join(format!("seed-{name}")), content).expect("seeds can be written");
    };
    for (i, text) in TEXTS.iter().enumerate() {
        put("normalize", &i.to_string(), text.as_bytes());
        for how in 0..4_u8 {
            put("scrub", &format!("{i}-{how}"), &[&[how], text.as_bytes()].concat());
        }
    }
    for (i, text) in TIMES.iter().enumerate() {
        put("times", &i.to_string(), text.as_bytes());
    }
    let mut flat = 0_u8;
    for (i, template) in templates().iter().enumerate() {
        put("parquet_input", &i.to_string(), &[&[i as u8], template.pages()].concat());
        if i % 9 == 0 {
            put("parquet_input", &format!("{i}-whole"), &[&[254], template.bytes()].concat());
        }
        if template.path == PATHS[0] {
            for bit in 0..2 {
                put(
                    "parquet_copy",
                    &format!("{flat}-{bit}"),
                    &[&[flat << 1 | bit], template.pages()].concat(),
                );
            }
            flat += 1;
        }
    }
    let scratch = Scratch::new();
    for detail in [false, true] {
        let path = scratch.folder().join("log.counts");
        save(&counts::small(detail, scratch.folder()), &path, &path, &mut Pulse::silent()).expect("room");
        let file = fs::read(&path).expect("just written");
        put("saved", &format!("{detail}"), &[&[0], counts::sections(&file).as_slice()].concat());
        put("saved", &format!("{detail}-whole"), &[&[255], file.as_slice()].concat());
    }
    // Long runs of bytes that structured targets can draw from.
    for seed in 0..24_u32 {
        let noise: Vec<u8> = (0..900_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) >> 13) as u8)
            .collect();
        for target in ["arrays", "batches", "records", "spill"] {
            put(target, &seed.to_string(), &noise);
        }
    }
}
