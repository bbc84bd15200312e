//! Sorting by code.

/// Items a bucket has on average: few enough that sorting one stays in the cache.
const BUCKET: usize = 64;

/// Sorts by a key that begins with the code: items go to buckets by the heads of their codes, then each bucket is sorted.
/// Codes of strings are uniform, and so are the buckets; of other codes the order is the same, and slower to come by.
pub(super) fn sort_by_code<T: Copy, K: Ord>(
    items: &mut Vec<T>,
    code: impl Fn(&T) -> u64,
    key: impl Fn(&T) -> K,
) {
    let buckets = (items.len() / BUCKET).clamp(1, 1 << 13).next_power_of_two();
    let bits = u64::BITS - items.iter().map(&code).max().unwrap_or(0).leading_zeros();
    let below = bits.saturating_sub(buckets.ilog2());
    // With one bucket all 64 bits can lie below its head.
    let head = |item: &T| code(item).checked_shr(below).unwrap_or(0) as usize;
    let mut starts = vec![0_usize; buckets + 1];
    items.iter().for_each(|item| starts[head(item) + 1] += 1);
    for i in 0..buckets {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut sorted = items.clone();
    for item in items.iter() {
        let place = &mut next[head(item)];
        sorted[*place] = *item;
        *place += 1;
    }
    for bucket in starts.windows(2) {
        sorted[bucket[0]..bucket[1]].sort_unstable_by_key(&key);
    }
    *items = sorted;
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_a_plain_sort(codes in vec((any::<u64>(), 0..64_u32), 0..3_000), few in 0..4_u64) {
            // Uniform codes, and codes of which most are one.
            for shift in [0, 16 * u32::try_from(few).unwrap(), 63] {
                let mut items: Vec<(u64, u32)> = codes.iter().map(|(c, i)| (c >> (c % 64).min(shift.into()), *i)).collect();
                let mut plain = items.clone();
                plain.sort_unstable();
                sort_by_code(&mut items, |i| i.0, |i| *i);
                prop_assert_eq!(items, plain);
            }
        }
    }
}
