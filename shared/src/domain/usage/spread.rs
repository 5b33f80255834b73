//! Spreading a sum over slots: what a vendor tells of a day or a window only, put where the traffic was.
//!
//! The shares add up to the sum exactly, and the same sum over the same weights gives the same shares, so that windows
//! which cut through the day agree with each other. Pure; called by the vendors' clients.

/// Shares of `sum` in proportion to `weights`, one for each. Without any weight it all goes to the last one.
#[must_use]
pub fn spread(sum: u64, weights: &[u64]) -> Vec<u64> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut shares = Vec::with_capacity(weights.len());
    let (mut seen, mut given) = (0_u128, 0_u64);
    for (index, weight) in weights.iter().enumerate() {
        seen += u128::from(*weight);
        // Cumulative rounding: no share is off by more than one.
        let part = u128::from(sum).saturating_mul(seen).checked_div(total).unwrap_or(0);
        let until = if index + 1 == weights.len() { sum } else { u64::try_from(part).unwrap_or(sum) };
        shares.push(until.saturating_sub(given));
        given = given.max(until);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_follow_the_weights() {
        assert_eq!(spread(10, &[1, 0, 1]), [5, 0, 5]);
        assert_eq!(spread(10, &[1, 1, 1]), [3, 3, 4]);
        assert_eq!(spread(7, &[0, 0]), [0, 7]);
        assert_eq!(spread(7, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_off_by_one_at_most(sum: u64, weights in proptest::collection::vec(0u64..1 << 50, 1..300)) {
            let shares = spread(sum, &weights);
            prop_assert_eq!(shares.len(), weights.len());
            prop_assert_eq!(shares.iter().map(|share| u128::from(*share)).sum::<u128>(), u128::from(sum));
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            for (share, weight) in shares.iter().zip(&weights) {
                if let Some(exact) = (u128::from(sum) * u128::from(*weight)).checked_div(total) {
                    prop_assert!(u128::from(*share).abs_diff(exact) <= 1);
                }
            }
        }
    }
}
