//! The vendor's decimal numbers, read exactly.
//!
//! A volume is told in gigabytes, as a decimal fraction, and billed in bytes: a detour through binary
//! floating point would be off by a byte now and then. So a number is a stretch of digits and the
//! place of its point, and what is computed from it is computed digit by digit, in whole numbers, in
//! time that grows with the length of the text and in no memory. Called by `usage.rs`.

/// Two to this power are the bytes of one of the vendor's gigabytes (Level 3 Media Portal API help:
/// `volume`; that it means 1024^3 is how the vendor's figures have always been billed).
const GIGABYTE_BITS: u32 = 30;
/// So many zeros after the point, and what follows is less than half a byte: 2^30 / 10^10 < 0.5.
const ZEROS_OF_NOTHING: i64 = 10;

/// A number that is not negative, as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    /// The power of ten that follows the digits, as in `8.6E-5`.
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// Reads digits with at most one point among them, and perhaps an exponent, which is how the
    /// vendor's language writes small numbers. `None` for anything else; a sign is something else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, i64::from(parse_exponent(exponent)?)),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let some = !(whole.is_empty() && fraction.is_empty());
        (some && all_digits(whole) && all_digits(fraction)).then_some(Self {
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
            exponent,
        })
    }

    /// The number, taken for gigabytes, in bytes: times 1024^3, half a byte and more rounded up.
    /// Stops at the highest value.
    pub(super) fn gigabytes_in_bytes(self) -> u64 {
        self.before_point().saturating_mul(1 << GIGABYTE_BITS).saturating_add(self.after_point_in_bytes())
    }

    /// The number, if it is a whole one, such as `12` and `12.0`. Stops at the highest value.
    pub(super) fn count(self) -> Option<u64> {
        self.after_point().all(|digit| digit == 0).then(|| self.before_point())
    }

    fn digits(self) -> impl DoubleEndedIterator<Item = u64> + 'a {
        self.whole.iter().chain(self.fraction).map(|byte| u64::from(byte - b'0'))
    }

    /// How many digits stand before the point once the exponent has moved it; may be negative or more
    /// than there are.
    fn point(self) -> i64 {
        i64::try_from(self.whole.len()).unwrap_or(i64::MAX).saturating_add(self.exponent)
    }

    /// The digits that stand after the point, without the zeros that only the exponent puts there.
    fn after_point(self) -> impl DoubleEndedIterator<Item = u64> + 'a {
        let before = usize::try_from(self.point().max(0)).unwrap_or(usize::MAX);
        let whole = self.whole.get(before..).unwrap_or_default();
        let fraction = self.fraction.get(before.saturating_sub(self.whole.len())..).unwrap_or_default();
        whole.iter().chain(fraction).map(|byte| u64::from(byte - b'0'))
    }

    fn before_point(self) -> u64 {
        let count = usize::try_from(self.point().max(0)).unwrap_or(usize::MAX);
        let told = self.digits().take(count).fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(digit));
        let mut zeros = count.saturating_sub(self.whole.len() + self.fraction.len());
        let mut sum = told;
        // A number of twenty digits stops at the highest value, so this does not run on.
        while zeros > 0 && sum > 0 && sum < u64::MAX {
            sum = sum.saturating_mul(10);
            zeros -= 1;
        }
        sum
    }

    /// What stands after the point times 2^30, rounded: as on paper, from the last digit to the first.
    /// What goes over to the next digit is what has come to stand before the point by then.
    fn after_point_in_bytes(self) -> u64 {
        let zeros = self.point().min(0).saturating_neg();
        if zeros >= ZEROS_OF_NOTHING {
            return 0;
        }
        let zeros = (0..zeros).map(|_| 0);
        let (mut carried, mut first) = (0, 0);
        for digit in self.after_point().rev().chain(zeros) {
            let product = (digit << GIGABYTE_BITS) + carried;
            (carried, first) = (product / 10, product % 10);
        }
        // The first digit after the point decides alone: 0.5 and all above it begin with 5 or more.
        carried + u64::from(first >= 5)
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    // `parse` itself would take a second sign.
    digits.bytes().next()?.is_ascii_digit().then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Option<u64> {
        Decimal::parse(text).map(Decimal::gigabytes_in_bytes)
    }

    /// `digits` / 10^`places` gigabytes by one division, for numbers that 128 bits can hold.
    fn model(digits: u128, places: u32) -> u64 {
        let unit = 10_u128.pow(places);
        u64::try_from(((digits << 31) + unit) / (2 * unit)).unwrap_or(u64::MAX)
    }

    #[test]
    fn gigabytes_become_bytes() {
        for (text, expected) in [
            ("0", 0),
            ("0.0", 0),
            ("1", 1 << 30),
            ("1.0", 1 << 30),
            ("001.500", 3 << 29),
            (".5", 1 << 29),
            ("5.", 5 << 30),
            ("0.000086", 92_342),
            ("8.6E-5", 92_342),
            ("8.6e-05", 92_342),
            ("0.86E-4", 92_342),
            ("86E-6", 92_342),
            ("0.0000086E+1", 92_342),
            ("0.000140625", 150_995),
            ("1.40625E-4", 150_995),
            ("0.0860478515", 92_393_177),
            ("0.000175782", 188_744),
            ("8.789E-6", 9_437),
            ("0.645375", 692_966_130),
            ("0.064567382", 69_328_699),
            ("1.5E3", 1500 << 30),
            ("1E1", 10 << 30),
            ("0E999999999", 0),
            ("0.000E-999999999", 0),
            ("1E-999999999", 0),
            ("1E999999999", u64::MAX),
            ("17179869183", 17_179_869_183 << 30),
            ("17179869183.9999999990", u64::MAX),
            ("17179869184", u64::MAX),
            ("99999999999999999999999999999999999999999999", u64::MAX),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn half_a_byte_is_rounded_up_and_less_than_that_is_not() {
        // 2^-31, which is half a byte to the last digit, and its neighbours of forty digits.
        assert_eq!(bytes("4.656612873077392578125E-10"), Some(1));
        assert_eq!(bytes("0.0000000004656612873077392578125"), Some(1));
        assert_eq!(bytes("4.656612873077392578125000000000000000001E-10"), Some(1));
        assert_eq!(bytes("4.656612873077392578124999999999999999999E-10"), Some(0));
        assert_eq!(bytes("1.0000000004656612873077392578125"), Some((1 << 30) + 1));
        assert_eq!(bytes("1.0000000004656612873077392578124"), Some(1 << 30));
        assert_eq!(bytes("0.0000000009"), Some(1));
        assert_eq!(bytes("0.00000000009999"), Some(0));
    }

    #[test]
    fn only_whole_numbers_are_counts() {
        let count = |text| Decimal::parse(text).and_then(Decimal::count);
        for (text, expected) in [
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("1.2E1", Some(12)),
            ("120E-1", Some(12)),
            ("0", Some(0)),
            ("0.0E-40", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("12.5", None),
            ("125E-1", None),
            ("1E-999999999", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_read() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "-0.0",
            "1,5",
            "1 5",
            "1.2.3",
            "0x10",
            "NaN",
            "Infinity",
            "1E",
            "E5",
            "1E+-5",
            "1E5.0",
            "1E--5",
            "1E5E5",
            "٣",
            "1E99999999999",
            "1_000",
            "1GB",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_form_of_a_number_gives_the_bytes_of_one_division(
            digits in prop_oneof![0..10_u128, 0..10_u128.pow(12), 0..10_u128.pow(28)],
            places in 0..29_u32,
            moved in -40..40_i64,
            zeros in 0..12_usize,
        ) {
            let expected = model(digits, places);
            let unit = 10_u128.pow(places);
            let width = usize::try_from(places).unwrap();
            let plain = format!("{}.{:0width$}{}", digits / unit, digits % unit, "0".repeat(zeros));
            prop_assert_eq!(bytes(&plain), Some(expected), "{}", plain);
            let exponent = moved - i64::from(places);
            let shifted = match moved {
                0.. => format!("{}.{}{}E{}", "0".repeat(zeros), "0".repeat(moved as usize), digits, {
                    exponent + i64::try_from(digits.to_string().len()).unwrap()
                }),
                _ => format!("{digits}{}e{exponent}", "0".repeat(moved.unsigned_abs() as usize)),
            };
            prop_assert_eq!(bytes(&shifted), Some(expected), "{}", shifted);
        }

        #[test]
        fn no_text_panics(text in "[0-9.eE+-]{0,60}|.{0,20}") {
            let _ = Decimal::parse(&text).map(|decimal| (decimal.gigabytes_in_bytes(), decimal.count()));
        }
    }
}
