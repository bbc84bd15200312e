//! Nanoseconds an id takes to hash, one by one and batched: `cargo run --release -p hardneg-core --example hash_speed`.
#![allow(clippy::print_stdout, reason = "its purpose")]

use std::hint::black_box;
use std::time::Instant;

use hardneg_core::digest::{Backend, heads_by};
use hardneg_core::error::Error;
use hardneg_core::intern;
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};

const IDS: usize = 4096;

/// The best of many short runs: other work on the machine only ever adds, and rarely to all of them.
fn nanoseconds(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e9 / IDS as f64
    };
    (0..400).map(once).fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Error> {
    let users = Pseudonymizer::new(&MasterKey::new(&[7; 32])?, "user_id", "", "")?;
    println!(
        "bytes\twhat\tone by one\tportable\tdetected (interleaved: {})",
        Backend::detect().is_interleaved()
    );
    for len in [8, 17, 40, 80, 300] {
        let ids: Vec<Vec<u8>> = (0..IDS).map(|i| format!("{i:0len$}").into_bytes()).collect();
        let ids: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
        let mut out = Vec::with_capacity(IDS);
        let row = |what: &str, one: f64, many: [f64; 2]| {
            println!("{len}\t{what}\t{one:.1}\t{:.1}\t{:.1}", many[0], many[1]);
        };

        let one = nanoseconds(|| ids.iter().for_each(|id| _ = black_box(intern::code(id))));
        let many = [Backend::portable(), Backend::detect()].map(|backend| {
            nanoseconds(|| {
                out.clear();
                heads_by(backend, &ids, &mut out);
                black_box(&out);
            })
        });
        row("head", one, many);

        let one = nanoseconds(|| ids.iter().for_each(|id| _ = black_box(users.code(id))));
        let many = [Backend::portable(), Backend::detect()].map(|backend| {
            let users = users.clone().with_backend(backend);
            nanoseconds(|| {
                out.clear();
                users.codes(&ids, &mut out);
                black_box(&out);
            })
        });
        row("code", one, many);
    }
    Ok(())
}
