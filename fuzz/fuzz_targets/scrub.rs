//! `hn.scrub` and the scrubbing normaliser: what is scrubbed holds nothing more to scrub, whatever the action and kinds.
#![no_main]

use std::sync::LazyLock;

use hardneg_core::normalize::Normalizer;
use hardneg_core::pseudonym::{MasterKey, Pseudonymizer};
use hardneg_core::scrub::{Action, Kinds, Scrubber};
use libfuzzer_sys::fuzz_target;

static NORMALIZERS: LazyLock<Vec<Normalizer>> = LazyLock::new(|| {
    let key = MasterKey::new(&[7; 32]).expect("32 bytes");
    let token = || Some(Pseudonymizer::new(&key, "query", "", "").expect("short names"));
    let some = Kinds::named(&["card".into(), "long_number".into(), "ip".into()]).expect("kinds");
    [
        (Kinds::STRUCTURED, Action::Mask),
        (Kinds::STRUCTURED, Action::Token),
        (Kinds::STRUCTURED, Action::Drop),
        (some, Action::Mask),
    ]
    .map(|(kinds, action)| Normalizer::new(Some(Scrubber::new(kinds, action, token()).expect("a key"))))
    .into()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let normalizer = &NORMALIZERS[usize::from(*which) % NORMALIZERS.len()];
    let (mut once, mut twice) = (String::new(), String::new());
    normalizer.normalize(&text, &mut once).expect("no detector");
    let again = normalizer.normalize(&once, &mut twice).expect("no detector");
    assert_eq!(once, twice);
    assert!(!normalizer.drops() || again.is_empty());
    let scrubbed = |text: &str| {
        let mut out = None;
        let each = |one: Option<&str>| out = one.map(str::to_owned);
        normalizer.scrub_all([Some(text)].into_iter(), each).expect("no detector");
        out
    };
    if let Some(once) = scrubbed(&text) {
        assert_eq!(scrubbed(&once).as_deref(), Some(once.as_str()));
    }
});
