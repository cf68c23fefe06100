//! Numbers that look random and are the same for the same seed (Marsaglia, "Xorshift RNGs", with the multiplier of Vigna).

#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Seeds that are near each other are to have nothing in common; zero would stay zero.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let high = self.number() >> 16;
        usize::try_from(high % (limit as u64).max(1)).unwrap_or_default()
    }

    pub fn byte(&mut self) -> u8 {
        self.number().to_be_bytes()[0]
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// `None`: there is nothing to pick from.
    pub fn pick<'i, T>(&mut self, items: &'i [T]) -> Option<&'i T> {
        items.get(self.below(items.len()))
    }

    /// A place in `length` bytes and how many from there on, at most `most`; small ones are likelier.
    pub fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let room = (length - start).min(most);
        let count = if self.one_in(4) { self.below(room + 1) } else { self.below(room.min(8) + 1) };
        start..start + count
    }
}
