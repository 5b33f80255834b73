//! Numbers that look random and are the same in every run: what is made up comes from a name and a number.
//!
//! The standard library's hash is not used, since it need not stay what it is; these two are the same for ever.
//! Called by the vendor's usage and its access logs.

/// The number that all of a property's own numbers come from: FNV-1a of its name.
pub(crate) fn seed(name: &str) -> u64 {
    mixed(
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }),
    )
}

/// The finaliser of SplitMix64: every bit of the answer hangs on every bit of the number.
pub(crate) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
