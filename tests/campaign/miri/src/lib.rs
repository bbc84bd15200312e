//! Digests of the core as they are (links to its files), compared with those of `sha2` and `hmac`.

pub mod digest;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac as _};
    use sha2::{Digest, Sha256};

    use super::digest::{Backend, Mac, heads_by};

    /// Lengths about the ends of blocks, side by side in every order that four lanes have.
    fn values() -> Vec<Vec<u8>> {
        let lengths = [0_usize, 1, 55, 56, 63, 64, 65, 119, 120, 128, 200];
        lengths.iter().map(|n| (0..*n).map(|i| (i * 7 + n) as u8).collect()).collect()
    }

    #[test]
    fn the_instructions_are_there() {
        assert!(Backend::detect().is_interleaved());
    }

    #[test]
    fn heads_are_those_of_sha2() {
        let values = values();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let first = |v: &&[u8]| {
            let digest = Sha256::digest(v);
            u64::from_be_bytes(digest[..8].try_into().expect("eight bytes"))
        };
        let want: Vec<u64> = values.iter().map(first).collect();
        for backend in [Backend::portable(), Backend::detect()] {
            for from in 0..values.len() {
                let mut made = Vec::new();
                heads_by(backend, &values[from..], &mut made);
                assert_eq!(made, want[from..]);
            }
        }
    }

    #[test]
    fn tags_are_those_of_hmac() {
        let values = values();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        for key in [&b""[..], b"key", &[3; 64], &[9; 131]] {
            let naive = |v: &&[u8]| -> [u8; 32] {
                let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
                mac.update(v);
                mac.finalize().into_bytes().into()
            };
            let want: Vec<[u8; 32]> = values.iter().map(naive).collect();
            for backend in [Backend::portable(), Backend::detect()] {
                let mut made = Vec::new();
                Mac::new(key).with_backend(backend).tags(&values, &mut made);
                assert_eq!(made, want);
            }
        }
    }
}
