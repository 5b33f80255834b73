//! What must hold of packs: nothing is lost in the bytes, and no bytes make the reader panic.
//!
//! The view, which reads the bytes where they lie, is held against the plain type.

use super::*;
use proptest::prelude::*;

/// Values near the edges of each width, up to the highest of all.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0u64..300,
        (0u32..64, 0u64..3).prop_map(|(bit, more)| (1u64 << bit).wrapping_add(more).wrapping_sub(1)),
        Just(1 << 63),
        Just(u64::MAX),
        any::<u64>(),
    ]
}

/// Days of which nothing, something, a beginning or all is known.
pub(in crate::domain::usage) fn pack() -> impl Strategy<Value = Pack> {
    let filled = |slots: Vec<Option<u64>>| {
        let mut pack = Pack::new();
        slots.into_iter().enumerate().for_each(|(slot, value)| pack.set(slot, value));
        pack
    };
    let low = 0u64..=1 << 40;
    prop_oneof![
        proptest::collection::vec(proptest::option::of(value()), 0..=SLOTS_PER_DAY),
        proptest::collection::vec(low.prop_map(Some), SLOTS_PER_DAY),
        proptest::collection::vec(value().prop_map(Some), 0..=SLOTS_PER_DAY),
        proptest::collection::vec(Just(Some(0)), 0..=SLOTS_PER_DAY),
    ]
    .prop_map(filled)
}

fn of(values: &[(usize, u64)]) -> Pack {
    let mut pack = Pack::new();
    values.iter().for_each(|(slot, value)| pack.set(*slot, Some(*value)));
    pack
}

#[test]
fn unknown_is_not_zero() {
    let pack = of(&[(0, 0), (287, 7)]);
    let read = Pack::decode(&pack.encode()).unwrap();
    assert_eq!((read.get(0), read.get(1), read.get(287), read.get(288)), (Some(0), None, Some(7), None));
    assert_eq!(read.known_count(), 2);
    assert_ne!(read, of(&[(287, 7)]));
}

#[test]
fn the_bytes_are_as_documented() {
    assert_eq!(Pack::new().encode(), [vec![1, 0], vec![0; 36]].concat());
    let mut zeros = Pack::new();
    (0..SLOTS_PER_DAY).for_each(|slot| zeros.set(slot, Some(0)));
    assert_eq!(zeros.encode(), [0x81, 0]);
    let mut bitmap = vec![0; 36];
    (bitmap[0], bitmap[35]) = (0b10, 0x80);
    assert_eq!(of(&[(1, 0x0102), (287, 3)]).encode(), [vec![1, 2], bitmap, vec![2, 1, 3, 0]].concat());
    zeros.set(5, Some(u64::MAX));
    assert_eq!(zeros.encode().len(), 2 + 288 * 8);
}

#[test]
fn the_highest_values_survive_and_sums_stop() {
    let pack = of(&[(3, 1 << 63), (4, u64::MAX), (5, u64::MAX)]);
    assert_eq!(Pack::decode(&pack.encode()).unwrap(), pack);
    assert_eq!(pack.sum(), u64::MAX);
    assert_eq!(pack.sum_range(0..4), 1 << 63);
    assert_eq!(pack.peak(), Some((4, u64::MAX)), "the first of equals");
    assert_eq!(pack.last_known(), Some(5));
}

#[test]
fn a_day_of_which_nothing_is_known_has_no_peak() {
    assert_eq!((Pack::new().peak(), Pack::new().last_known(), Pack::new().sum()), (None, None, 0));
    assert_eq!(of(&[(9, 0), (11, 0)]).peak(), Some((9, 0)));
}

#[test]
fn a_slot_that_a_day_does_not_have_is_passed_over() {
    let mut pack = Pack::new();
    pack.set(288, Some(1));
    pack.set(usize::MAX, Some(1));
    assert_eq!(pack, Pack::new());
}

#[test]
fn what_is_no_pack_is_refused() {
    let whole = of(&[(1, 300), (2, 5)]).encode();
    for cut in 0..whole.len() {
        assert_eq!(Pack::decode(&whole[..cut]), Err(PackError::CutOff), "{cut}");
    }
    assert_eq!(Pack::decode(&[whole.as_slice(), &[0]].concat()), Err(PackError::TooLong(1)));
    assert_eq!(Pack::decode(&[0x81, 0, 0, 0]), Err(PackError::TooLong(2)));
    for version in [0, 2, 0x80, 0x82, 0xff] {
        assert_eq!(Pack::decode(&[version, 0]), Err(PackError::Version(version)));
    }
    assert_eq!(Pack::decode(&[0x81, 9]), Err(PackError::Width(9)));
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(pack in pack()) {
        let bytes = pack.encode();
        prop_assert!(bytes.len() <= 2 + BITMAP_BYTES + 8 * (SLOTS_PER_DAY - 1));
        prop_assert_eq!(Pack::decode(&bytes).unwrap(), pack);
    }

    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2400), version in 0usize..4, width in 0u8..10) {
        for (byte, likely) in bytes.iter_mut().zip([[1, 0x81, 2, 0x80][version], width]) {
            *byte = likely;
        }
        if let Ok(pack) = Pack::decode(&bytes) {
            prop_assert_eq!(Pack::decode(&pack.encode()).unwrap(), pack);
        }
    }

    #[test]
    fn a_changed_byte_never_panics(pack in pack(), at in any::<proptest::sample::Index>(), byte: u8) {
        let mut bytes = pack.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(pack) = Pack::decode(&bytes) {
            prop_assert_eq!(Pack::decode(&pack.encode()).unwrap(), pack);
        }
    }

    #[test]
    fn the_view_agrees_with_the_pack(pack in pack(), start in 0usize..300, length in 0usize..300, room in 0usize..300) {
        let bytes = pack.encode();
        let view = PackView::parse(&bytes).unwrap();
        let slots = start..start + length;
        prop_assert_eq!(view.sum_range(slots.clone()), pack.sum_range(slots.clone()));
        let last = slots.clone().rev().find(|slot| pack.get(*slot).is_some());
        prop_assert_eq!(view.last_known(slots.clone()), last);
        let mut out = vec![7; room];
        view.add_onto(slots.clone(), &mut out);
        for (index, sum) in out.into_iter().enumerate() {
            let value = if index < length { pack.get(start + index).unwrap_or(0) } else { 0 };
            prop_assert_eq!(sum, value.saturating_add(7));
        }
    }

    #[test]
    fn sum_and_peak_are_those_of_the_values(pack in pack()) {
        let known: Vec<(usize, u64)> = (0..SLOTS_PER_DAY).filter_map(|slot| Some((slot, pack.get(slot)?))).collect();
        prop_assert_eq!(pack.iter().collect::<Vec<_>>(), known.clone());
        let sum = known.iter().map(|(_, value)| u128::from(*value)).sum::<u128>();
        prop_assert_eq!(u128::from(pack.sum()), sum.min(u128::from(u64::MAX)));
        let highest = known.iter().map(|(_, value)| *value).max();
        prop_assert_eq!(pack.peak(), highest.and_then(|high| known.iter().copied().find(|(_, value)| *value == high)));
        prop_assert_eq!(pack.last_known(), known.last().map(|(slot, _)| *slot));
        prop_assert_eq!(pack.known_count(), known.len());
    }
}
