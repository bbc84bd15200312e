//! Whether packed groups are such as [`Group::write`](crate::group::Group::write) packs. Looked at once, when they are
//! loaded: what reads groups of our own takes them as they are.

use crate::packed::{ByPosition, Sizes};
use crate::records::Rule;

use super::sections::take;

/// What packed groups hold, in all; None where they are not packed by us. `last` is the query before them.
pub(super) fn check(groups: &[u8], detail: bool, last: &mut Option<u64>) -> Option<(Sizes, ByPosition)> {
    let mut check = Check { from: groups, sizes: Sizes::default(), by_position: ByPosition::default() };
    while !check.from.is_empty() {
        let query = check.code()?;
        (last.is_none_or(|last| last < query)).then_some(())?;
        *last = Some(query);
        check.group(detail)?;
    }
    Some((check.sizes, check.by_position))
}

struct Check<'a> {
    from: &'a [u8],
    sizes: Sizes,
    by_position: ByPosition,
}

impl Check<'_> {
    fn group(&mut self, detail: bool) -> Option<()> {
        self.sizes.queries += 1;
        self.small()?;
        self.large()?;
        self.large()?;
        let mut last = None;
        for _ in 0..self.many(12)? {
            let doc = self.code()?;
            (last < Some(doc)).then_some(())?;
            last = Some(doc);
            self.pair(detail)?;
        }
        self.steps()
    }

    /// Fields in the order of `group::fields`.
    fn pair(&mut self, detail: bool) -> Option<()> {
        const LARGE: u16 = 1 << 5 | 1 << 9;
        const BOUNDED: u16 = 1 << 11;
        const TIMES: u16 = 1 << 13;
        self.sizes.pairs += 1;
        let bits = take(&mut self.from).map(u16::from_le_bytes)?;
        (bits < TIMES << 1).then_some(())?;
        for field in (0..13).map(|i| 1 << i).filter(|field| bits & field != 0) {
            let value = if field & LARGE != 0 { self.large()? } else { self.small()?.into() };
            (value > 0).then_some(())?;
        }
        self.sizes.bounded += u64::from(bits & BOUNDED != 0);
        if bits & TIMES != 0 {
            self.code()?;
            self.large()?;
        }
        let mut last = None;
        for _ in 0..self.many(if detail { 4 } else { 2 })? {
            let key = self.cell(detail)?;
            (last < Some(key)).then_some(())?;
            last = Some(key);
        }
        Some(())
    }

    fn cell(&mut self, detail: bool) -> Option<(u16, u16, u8)> {
        self.sizes.cells += 1;
        let position = u16::try_from(self.large()?).ok()?;
        let before = if detail { u16::try_from(self.large()?).ok()? } else { 0 };
        let fold = if detail { self.byte(10)? } else { 0 };
        let n = self.large()?;
        let impressions = u32::try_from(n >> 1).ok()?;
        let clicks = if n & 1 == 1 { Some(self.small()?).filter(|n| *n > 0)? } else { 0 };
        let satisfied = if n & 1 == 1 { self.small()? } else { 0 };
        (satisfied <= clicks && clicks <= impressions).then_some(())?;
        let at = usize::from(position);
        if self.by_position.0.len() <= at {
            self.by_position.0.resize(at + 1, [0; 2]);
        }
        self.by_position.0[at][0] += u64::from(impressions);
        self.by_position.0[at][1] += u64::from(clicks);
        Some((position, before, fold))
    }

    fn steps(&mut self) -> Option<()> {
        let mut last = None;
        for _ in 0..self.many(20)? {
            let key = (self.code()?, self.code()?, self.byte(Rule::ALL.len() as u8)?);
            self.small()?;
            self.large()?;
            self.large()?;
            (last < Some(key)).then_some(())?;
            last = Some(key);
            self.sizes.preferences += 1;
        }
        let mut last = None;
        for _ in 0..self.many(10)? {
            let key = self.code()?;
            self.small()?;
            self.small()?;
            (last < Some(key)).then_some(())?;
            last = Some(key);
            self.sizes.successions += 1;
        }
        let mut last = None;
        for _ in 0..self.many(17)? {
            let key = (self.code()?, self.code()?);
            self.small()?;
            (last < Some(key)).then_some(())?;
            last = Some(key);
            self.sizes.succession_clicks += 1;
        }
        for _ in 0..self.many(2)? {
            for _ in 0..self.many(9)? {
                self.code()?;
                self.byte(2)?;
            }
            self.large()?;
            self.sizes.pages += 1;
        }
        Some(())
    }

    fn code(&mut self) -> Option<u64> {
        take(&mut self.from).map(u64::from_le_bytes)
    }

    /// A byte below `bound`.
    fn byte(&mut self, bound: u8) -> Option<u8> {
        take(&mut self.from).map(|[byte]: [u8; 1]| byte).filter(|byte| *byte < bound)
    }

    /// A varint, as `put_varint` writes it.
    fn large(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = take(&mut self.from)?;
            let bits = u64::from(byte & 0x7f);
            (bits << shift >> shift == bits).then_some(())?;
            value |= bits << shift;
            if byte < 0x80 {
                return (byte > 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.large().and_then(|n| u32::try_from(n).ok())
    }

    /// How many follow, of at least `least` bytes each: no more than there are bytes for.
    fn many(&mut self, least: u64) -> Option<u64> {
        self.large().filter(|n| n.saturating_mul(least) <= self.from.len() as u64)
    }
}
