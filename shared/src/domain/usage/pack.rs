//! A UTC day's values of one quantity in a few hundred bytes.
//!
//! 288 slots, each unknown or a value; "nothing happened" (0) is not "nobody has said" (unknown). Encoded, version 1:
//! a byte with the version and, in its highest bit, whether all slots are known; a byte with the width of a value
//! (0 to 8 bytes; 0: all known values are 0); 36 bytes with a bit for each slot that is known, the lowest bit first, left
//! out where all are; then the known values, little-endian. Equal packs are equal bytes.
//! [`PackView`] reads the bytes where they lie, as series queries do. Called by the merging and the queries.

use super::SLOTS_PER_DAY;
use std::ops::Range;

const VERSION: u8 = 1;
const ALL_KNOWN: u8 = 0x80;
const BITMAP_BYTES: usize = SLOTS_PER_DAY / 8;
const WORDS: usize = SLOTS_PER_DAY.div_ceil(64);

/// Why bytes are not a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// They end before the pack does.
    #[error("the pack is cut off")]
    CutOff,
    /// Something stands behind the pack.
    #[error("{0} bytes too many")]
    TooLong(usize),
    /// A newer program may have written it.
    #[error("unknown version {0}")]
    Version(u8),
    /// A value has at most 8 bytes.
    #[error("values of {0} bytes")]
    Width(u8),
}

/// Which slots are known: slot `s` is bit `s % 64` of word `s / 64`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known([u64; WORDS]);

impl Known {
    fn all() -> Self {
        Self(std::array::from_fn(|word| word_mask(word, &(0..SLOTS_PER_DAY))))
    }

    fn from_bitmap(bitmap: &[u8]) -> Self {
        let mut known = Self::default();
        for (word, bytes) in known.0.iter_mut().zip(bitmap.chunks(8)) {
            *word = little_endian(bytes);
        }
        known
    }

    fn bitmap(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().flat_map(u64::to_le_bytes).take(BITMAP_BYTES)
    }

    fn contains(self, slot: usize) -> bool {
        self.0.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn put(&mut self, slot: usize, known: bool) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            let bit = 1 << (slot % 64);
            *word = if known { *word | bit } else { *word & !bit };
        }
    }

    /// How many of these slots are known.
    fn count(self, slots: &Range<usize>) -> usize {
        self.0.iter().enumerate().map(|(at, word)| (word & word_mask(at, slots)).count_ones() as usize).sum()
    }

    /// The last of these slots that is known.
    fn last(self, slots: &Range<usize>) -> Option<usize> {
        let words = self.0.iter().enumerate().rev();
        words.map(|(at, word)| (at, word & word_mask(at, slots))).find(|(_, word)| *word != 0).map(|(at, word)| {
            let highest = 63 - word.leading_zeros() as usize;
            at * 64 + highest
        })
    }
}

/// The bits of a word that stand for slots of this range.
fn word_mask(word: usize, slots: &Range<usize>) -> u64 {
    let below = |slot: usize| match slot.saturating_sub(word * 64) {
        bits @ 0..64 => (1 << bits) - 1,
        _ => u64::MAX,
    };
    below(slots.end.min(SLOTS_PER_DAY)) & !below(slots.start)
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A UTC day's values of one quantity. A slot is its number in the day, 0 to 287.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    known: Known,
    /// 0 where the slot is not known, so that equal packs are equal.
    values: Box<[u64; SLOTS_PER_DAY]>,
}

impl Default for Pack {
    fn default() -> Self {
        Self::new()
    }
}

impl Pack {
    /// A day of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self { known: Known::default(), values: Box::new([0; SLOTS_PER_DAY]) }
    }

    /// Reads what [`Pack::encode`] wrote.
    ///
    /// # Errors
    /// [`PackError`]; whatever the bytes are, it does not panic.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackError> {
        PackView::parse(bytes).map(|view| view.to_pack())
    }

    /// The pack as bytes: 2 of them for a day of zeros, 2,334 at most.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let all_known = self.known == Known::all();
        let highest = self.values.iter().fold(0, |bits, value| bits | value);
        let width = 8 - highest.leading_zeros() as usize / 8;
        let mut bytes = Vec::with_capacity(2 + BITMAP_BYTES + width * self.known_count());
        bytes.push(if all_known { VERSION | ALL_KNOWN } else { VERSION });
        bytes.extend(u8::try_from(width));
        if !all_known {
            bytes.extend(self.known.bitmap());
        }
        for (_, value) in self.iter() {
            bytes.extend(value.to_le_bytes().into_iter().take(width));
        }
        bytes
    }

    /// The value of a slot, if it is known.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<u64> {
        self.values.get(slot).copied().filter(|_| self.known.contains(slot))
    }

    /// Sets a slot, or makes it unknown. A slot that a day does not have is passed over.
    pub fn set(&mut self, slot: usize, value: Option<u64>) {
        if let Some(place) = self.values.get_mut(slot) {
            *place = value.unwrap_or(0);
            self.known.put(slot, value.is_some());
        }
    }

    /// The known slots and their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.values.iter().copied().enumerate().filter(|(slot, _)| self.known.contains(*slot))
    }

    /// How many slots are known.
    #[must_use]
    pub fn known_count(&self) -> usize {
        self.known.count(&(0..SLOTS_PER_DAY))
    }

    /// The sum of all values, which stops at the highest number.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.values.iter().fold(0, |sum, value| sum.saturating_add(*value))
    }

    /// The sum over some slots, which stops at the highest number.
    #[must_use]
    pub fn sum_range(&self, slots: Range<usize>) -> u64 {
        let length = slots.end.saturating_sub(slots.start);
        self.values.iter().skip(slots.start).take(length).fold(0, |sum, value| sum.saturating_add(*value))
    }

    /// The highest value and its slot, the first one where several have it; `None` where nothing is known.
    #[must_use]
    pub fn peak(&self) -> Option<(usize, u64)> {
        self.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    /// The last slot that is known.
    #[must_use]
    pub fn last_known(&self) -> Option<usize> {
        self.known.last(&(0..SLOTS_PER_DAY))
    }
}

/// An encoded pack that is read where it lies.
#[derive(Debug, Clone, Copy)]
pub struct PackView<'a> {
    known: Known,
    width: usize,
    /// `width` bytes for each known slot.
    values: &'a [u8],
}

impl<'a> PackView<'a> {
    /// Checks the bytes, all of them.
    ///
    /// # Errors
    /// [`PackError`]; whatever the bytes are, it does not panic.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PackError> {
        let (&version, rest) = bytes.split_first().ok_or(PackError::CutOff)?;
        if version & !ALL_KNOWN != VERSION {
            return Err(PackError::Version(version));
        }
        let (&width, rest) = rest.split_first().ok_or(PackError::CutOff)?;
        if width > 8 {
            return Err(PackError::Width(width));
        }
        let (known, values) = if version & ALL_KNOWN != 0 {
            (Known::all(), rest)
        } else {
            let (bitmap, values) = rest.split_at_checked(BITMAP_BYTES).ok_or(PackError::CutOff)?;
            (Known::from_bitmap(bitmap), values)
        };
        let width = usize::from(width);
        let length = width * known.count(&(0..SLOTS_PER_DAY));
        match values.len().checked_sub(length) {
            None => Err(PackError::CutOff),
            Some(0) => Ok(Self { known, width, values }),
            Some(more) => Err(PackError::TooLong(more)),
        }
    }

    /// Adds the value of slot `slots.start + i` to `out[i]`, for each slot of the range that is known and has a place in
    /// `out`. Sums stop at the highest number.
    pub fn add_onto(&self, slots: Range<usize>, out: &mut [u64]) {
        let first = slots.start;
        self.walk(slots, |slot, value| {
            if let Some(sum) = out.get_mut(slot - first) {
                *sum = sum.saturating_add(value);
            }
        });
    }

    /// The sum over some slots, which stops at the highest number.
    #[must_use]
    pub fn sum_range(&self, slots: Range<usize>) -> u64 {
        let mut sum: u64 = 0;
        self.walk(slots, |_, value| sum = sum.saturating_add(value));
        sum
    }

    /// The last of these slots that is known.
    #[must_use]
    pub fn last_known(&self, slots: Range<usize>) -> Option<usize> {
        self.known.last(&slots)
    }

    /// The pack with room to change it.
    #[must_use]
    pub fn to_pack(&self) -> Pack {
        let mut pack = Pack { known: self.known, ..Pack::new() };
        self.add_onto(0..SLOTS_PER_DAY, pack.values.as_mut_slice());
        pack
    }

    /// Calls `visit` with the known slots of a range and their values; values that are all 0 may be left out.
    fn walk(&self, slots: Range<usize>, visit: impl FnMut(usize, u64)) {
        // A width that the compiler knows makes each value one load.
        match self.width {
            1 => self.walk_width::<1>(slots, visit),
            2 => self.walk_width::<2>(slots, visit),
            3 => self.walk_width::<3>(slots, visit),
            4 => self.walk_width::<4>(slots, visit),
            5 => self.walk_width::<5>(slots, visit),
            6 => self.walk_width::<6>(slots, visit),
            7 => self.walk_width::<7>(slots, visit),
            8 => self.walk_width::<8>(slots, visit),
            _ => {}
        }
    }

    fn walk_width<const WIDTH: usize>(&self, slots: Range<usize>, mut visit: impl FnMut(usize, u64)) {
        let skipped = self.known.count(&(0..slots.start));
        let values = self.values.as_chunks::<WIDTH>().0.get(skipped..).unwrap_or_default();
        let number = |value: &[u8; WIDTH]| {
            let mut bytes = [0; 8];
            bytes[..WIDTH].copy_from_slice(value);
            u64::from_le_bytes(bytes)
        };
        if self.known == Known::all() {
            for (slot, value) in slots.zip(values) {
                visit(slot, number(value));
            }
            return;
        }
        let mut values = values.iter();
        for (at, word) in self.known.0.iter().enumerate() {
            let mut open = word & word_mask(at, &slots);
            while open != 0 {
                let Some(value) = values.next() else { return };
                visit(at * 64 + open.trailing_zeros() as usize, number(value));
                open &= open - 1;
            }
        }
    }
}

#[cfg(test)]
pub(in crate::domain::usage) mod tests;
