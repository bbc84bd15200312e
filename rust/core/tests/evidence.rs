//! Evidence: the Poisson and Wilson figures against naive sums and published values, and skip weights at their ends.

use std::sync::Arc;

use hardneg_core::budget::Budget;
use hardneg_core::counts::Has;
use hardneg_core::evidence::{Debias, Evidence, EvidenceConfig, evidence, poisson_cdf, wilson_upper};
use hardneg_core::group::Group;
use hardneg_core::logged::Logged;
use hardneg_core::packed::Packer;
use hardneg_core::pulse::Pulse;
use hardneg_core::release::{Passed, Released};
use hardneg_core::seed::Seed;
use hardneg_core::strings::Strings;
use hardneg_core::tables::{Cell, Pair};
use proptest::prelude::*;

/// Terms from 0 upwards: exact enough while exp(-mean) is a normal double.
fn naive_cdf(n: u32, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    let mut sum = term;
    for k in 1..=n {
        term *= mean / f64::from(k);
        sum += term;
    }
    sum
}

/// Summed with 60 digits.
const KNOWN: [(u32, f64, f64); 11] = [
    (0, 3.0, 4.978_706_836_786_394_5e-2),
    (2, 3.0, 4.231_900_811_268_435_3e-1),
    (0, 700.0, 9.859_676_543_759_77e-305),
    (1_000, 1_000.0, 5.084_093_671_685_06e-1),
    (1_000, 1_100.0, 1.175_230_568_136_555_4e-3),
    (10_000, 9_800.0, 9.783_179_404_947_96e-1),
    (10_000, 10_300.0, 1.518_890_836_142_522e-3),
    (100_000, 100_000.0, 5.008_410_430_993_401e-1),
    (100_000, 101_000.0, 8.172_078_136_772_389e-4),
    (100_000, 99_000.0, 9.992_507_996_916_701e-1),
    (99_000, 101_000.0, 1.377_256_056_736_055_3e-10),
];

#[test]
fn poisson_known_values() {
    assert_eq!(poisson_cdf(0, 0.0), 1.0);
    for (n, mean, expected) in KNOWN {
        let made = poisson_cdf(n, mean);
        assert!((made - expected).abs() <= 1e-9 * expected, "cdf({n}, {mean}) = {made}, expected {expected}");
    }
}

#[test]
fn poisson_of_large_counts() {
    for n in [1_000_u32, 10_000, 100_000] {
        let mean = f64::from(n);
        assert!(poisson_cdf(n, mean * 2.0) < 1e-50);
        assert!(poisson_cdf(n, mean / 2.0) > 1.0 - 1e-12);
    }
    for (n, mean) in
        [(0, 1e9), (u32::MAX, 1e12), (100_000, 1e-300), (1_000_000, 1e-9), (0, f64::MIN_POSITIVE)]
    {
        let made = poisson_cdf(n, mean);
        assert!((0.0..=1.0).contains(&made), "cdf({n}, {mean}) = {made}");
    }
}

proptest! {
    #[test]
    fn poisson_equals_the_naive_sum(n in 0..200_u32, mean in 0.0..150_f64) {
        let (made, naive) = (poisson_cdf(n, mean), naive_cdf(n, mean));
        prop_assert!((made - naive).abs() <= 1e-11 * naive, "cdf({n}, {mean}) = {made}, naive {naive}");
    }

    #[test]
    fn poisson_is_a_distribution(n in 0..100_000_u32, relative in 0.01..3_f64) {
        let mean = f64::from(n + 1) * relative;
        let (here, next, later) = (poisson_cdf(n, mean), poisson_cdf(n + 1, mean), poisson_cdf(n, mean * 1.001));
        prop_assert!((0.0..=1.0).contains(&here));
        // Rounding of terms as large as mean * ln(mean).
        let slack = 1e-15 * mean * mean.ln().abs().max(1.0) + 1e-12;
        prop_assert!(here <= next * (1.0 + slack), "n: {here} > {next}");
        prop_assert!(later <= here * (1.0 + slack), "mean: {later} > {here}");
    }

    #[test]
    fn wilson_is_the_upper_root(clicks in 0..1_000_u32, more in 0..1_000_u32) {
        let n = clicks + more + 1;
        let upper = wilson_upper(clicks, n);
        let (p, n) = (f64::from(clicks) / f64::from(n), f64::from(n));
        // The bound is where the share lies 1.96 standard errors off: (u - p)^2 = z^2 u (1 - u) / n.
        let off = (upper - p).powi(2) - 1.96 * 1.96 * upper * (1.0 - upper) / n;
        prop_assert!(off.abs() < 1e-12, "{off}");
        prop_assert!(p <= upper + 1e-12 && upper <= 1.0 + 1e-12);
    }
}

#[test]
fn wilson_known_values() {
    // Without clicks the bound is z^2 / (n + z^2).
    assert!((wilson_upper(0, 10) - 3.8416 / 13.8416).abs() < 1e-12);
    assert!((wilson_upper(10, 10) - 1.0).abs() < 1e-12);
    assert!(wilson_upper(u32::MAX, u32::MAX) <= 1.0 + 1e-12);
}

fn made_of(group: Option<&Group>, page_depth: u32) -> Evidence {
    let has = Has {
        users: true,
        pages: true,
        positions: true,
        times: false,
        unclicked: true,
        cell_detail: false,
        preferences: false,
        page_counts: false,
        bounded: 0,
    };
    let mut packer = Packer::new(false, Budget::unlimited());
    group.iter().for_each(|g| packer.push(g).expect("in memory"));
    let released = Released {
        query_strings: Arc::new(Strings::default()),
        doc_strings: Arc::new(Strings::default()),
        tables: Arc::new(packer.into_tables().expect("in memory")),
        position_users: vec![],
        logged: Logged::default(),
        has,
        k: None,
        passed: Passed::default(),
        part: None,
    };
    let config =
        EvidenceConfig { shrinkage: 1.0, page_depth, debias: Debias::Auto, propensities: vec![], bound: 0.9 };
    evidence(Arc::new(released), &config, Seed::new(0), 1, &mut Pulse::silent()).expect("fine options")
}

#[test]
fn expected_clicks_by_hand() {
    let cell = |position, impressions, clicks| Cell {
        position,
        previous_click: 0,
        fold: 0,
        impressions,
        clicks,
        satisfied_clicks: 0,
    };
    let group = Group {
        query: 7,
        pairs: (1..4).map(Pair::empty).collect(),
        cells: vec![cell(1, 30, 6), cell(3, 10, 0), cell(1, 10, 2), cell(0, 4, 1), cell(3, 10, 5)],
        ends: vec![2, 3, 5],
        ..Group::default()
    };
    let made = made_of(Some(&group), 10);
    let shown: Vec<_> = made.positions.iter().map(|p| (p.position, p.impressions, p.clicks)).collect();
    assert_eq!(shown, [(0, 4, 1), (1, 40, 8), (3, 20, 5)]);
    let expected = [30.0 * 0.2 + 10.0 * 0.25, 10.0 * 0.2, 4.0 * 0.25 + 10.0 * 0.25];
    made.released
        .tables
        .part(0, |group| {
            for (i, (clicks, ec)) in [6.0, 2.0, 6.0].into_iter().zip(expected).enumerate() {
                let row = made.row(group, i);
                assert!((row.expected_clicks - ec).abs() < 1e-12);
                assert!((row.coec - (clicks + 1.0) / (ec + 1.0)).abs() < 1e-12);
                assert!((row.p_zero - naive_cdf(clicks as u32, ec)).abs() < 1e-12);
                assert!(row.examinations > 0.0 && row.p_examined > 0.0 && row.p_examined <= 1.0);
                assert!(row.p_relevant.is_nan(), "so few clicks tell nothing");
            }
            Ok(())
        })
        .expect("in memory");
}

#[test]
fn skip_weights_at_their_ends() {
    let weigh = |depth, skips, sum| {
        made_of(None, depth).skip_weight(&Pair { skip_position_sum: sum, skips, ..Pair::empty(1) })
    };
    assert_eq!(weigh(10, 2, 5), 17);
    assert_eq!(weigh(2, 1, 9), -6);
    assert_eq!(weigh(u32::MAX, u32::MAX, 0), i64::MAX);
    assert_eq!(weigh(0, 0, u64::MAX), i64::MIN);
}
