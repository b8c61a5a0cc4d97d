//! Exact sums and products. 256 bits hold the product of any two decimals with room for the sum of many, so the order
//! of addition cannot change a result, and rounding happens once, when a result is emitted.
//!
//! A [`Wide`] does not know its scale: sums of decimals count 10^-18, products of two count 10^-36, plain counts
//! count ones. The constructors say which; [`Wide::divide`] says what it wants.

use std::fmt;
use std::str::FromStr;

use ethnum::{I256, U256};

use crate::decimal::{Decimal, FRACTION_DIGITS, POW10};

/// Digits after the point of VWAP, averages and other quotients.
pub const QUOTIENT_DIGITS: u32 = 12;

/// An exact accumulator of 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wide(I256);

impl Wide {
    pub const ZERO: Self = Self(I256::ZERO);

    /// A decimal, in units of 10^-18.
    pub fn of(value: impl Into<Decimal>) -> Self {
        Self(I256::from(value.into().units()))
    }

    /// A plain integer, in units of one.
    pub fn count(value: i64) -> Self {
        Self(I256::from(value))
    }

    /// The exact product of two decimals, in units of 10^-36.
    pub fn product(a: impl Into<Decimal>, b: impl Into<Decimal>) -> Self {
        let (a, b) = (a.into().units(), b.into().units());
        let magnitude = widening(a.unsigned_abs(), b.unsigned_abs());
        // Both are below 10^38, so the product is below 10^76 and the sign bit is free.
        Self(if (a < 0) == (b < 0) { magnitude } else { -magnitude })
    }

    /// A decimal times a plain integer, in units of 10^-18: a price times nanoseconds.
    pub fn times(value: impl Into<Decimal>, factor: i64) -> Self {
        let units = value.into().units();
        let magnitude = widening(units.unsigned_abs(), u128::from(factor.unsigned_abs()));
        Self(if (units < 0) == (factor < 0) { magnitude } else { -magnitude })
    }

    /// The 256 bits of the integer, low byte first: for state that is written down in binary.
    pub fn to_le_bytes(self) -> [u8; 32] {
        self.0.to_le_bytes()
    }

    /// What [`Wide::to_le_bytes`] gave.
    pub fn from_le_bytes(bytes: [u8; 32]) -> Self {
        Self(I256::from_le_bytes(bytes))
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    pub fn is_zero(self) -> bool {
        self.0 == I256::ZERO
    }

    pub fn is_negative(self) -> bool {
        self.0.is_negative()
    }

    /// A sum in units of 10^-18 as a decimal; `None` when it has more than 20 digits before the point.
    pub fn sum(self) -> Option<Decimal> {
        Decimal::from_units(i128::try_from(self.0).ok()?)
    }

    /// A product, or a sum of products, in units of 10^-36 as a decimal: half-even to 18 digits where it has more.
    pub fn product_sum(self) -> Option<Decimal> {
        Wide(half_even(self.0, I256::from(POW10[FRACTION_DIGITS as usize] as i128))?).sum()
    }

    /// `self / by`, half-even to 12 digits, where `self` counts units 10^18 times as fine as those of `by`: a sum of
    /// products by a sum of decimals (VWAP), a sum of decimals by a count (average), prices times nanoseconds by
    /// nanoseconds (TWAP). `None` when `by` is zero or the quotient has more than 20 digits before the point.
    pub fn divide(self, by: Self) -> Option<Decimal> {
        let step = POW10[(FRACTION_DIGITS - QUOTIENT_DIGITS) as usize] as i128;
        let quotient = half_even(self.0, by.0.checked_mul(I256::from(step))?)?;
        Decimal::from_units(i128::try_from(quotient).ok()?.checked_mul(step)?)
    }
}

/// `a × b` in full.
fn widening(a: u128, b: u128) -> I256 {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let low = a0 * b0;
    let middle = a1 * b0 + (low >> 64);
    let cross = a0 * b1 + (middle & LOW);
    let high = a1 * b1 + (middle >> 64) + (cross >> 64);
    U256::from_words(high, (cross << 64) | (low & LOW)).as_i256()
}

/// `number / by` to the nearest integer, ties to the even one.
fn half_even(number: I256, by: I256) -> Option<I256> {
    if by == I256::ZERO {
        return None;
    }
    let (quotient, rest) = (number.checked_div(by)?, number.checked_rem(by)?);
    let (twice, whole) = (rest.unsigned_abs().checked_mul(U256::from(2u8))?, by.unsigned_abs());
    let odd = quotient & I256::ONE == I256::ONE;
    if twice > whole || (twice == whole && odd) {
        let away = if number.is_negative() == by.is_negative() { I256::ONE } else { I256::MINUS_ONE };
        quotient.checked_add(away)
    } else {
        Some(quotient)
    }
}

impl fmt::Display for Wide {
    /// The plain integer, in whatever unit it counts: for state that is written down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Wide {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl serde::Serialize for Wide {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Wide {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn quotients_are_rounded_once_half_to_even() {
        let divide = |a: &str, b: &str| {
            Wide::product(decimal(a), Decimal::ONE).divide(Wide::of(decimal(b))).unwrap().to_string()
        };
        assert_eq!(divide("1", "3"), "0.333333333333");
        assert_eq!(divide("2", "3"), "0.666666666667");
        assert_eq!(divide("-2", "3"), "-0.666666666667");
        assert_eq!(divide("2", "-3"), "-0.666666666667");
        assert_eq!(divide("0.000000000001", "2"), "0");
        assert_eq!(divide("0.000000000003", "2"), "0.000000000002");
        assert_eq!(divide("-0.000000000003", "2"), "-0.000000000002");
        assert_eq!(Wide::of(decimal("10")).divide(Wide::count(4)).unwrap().to_string(), "2.5");
        assert_eq!(Wide::of(Decimal::ONE).divide(Wide::ZERO), None);
        assert_eq!(Wide::of(Decimal::MAX).divide(Wide::of(decimal("0.000000000000000001"))), None);
    }

    #[test]
    fn sums_of_products_come_back_exact() {
        let sum = Wide::product(decimal("61837.63"), decimal("0.02"));
        let sum = sum.checked_add(Wide::product(decimal("-1.5"), decimal("3"))).unwrap();
        assert_eq!(sum.product_sum().unwrap().to_string(), "1232.2526");
        assert_eq!(Wide::product(Decimal::MAX, Decimal::MAX).product_sum(), None);
        assert_eq!(Wide::times(decimal("-2.5"), -4).sum().unwrap(), decimal("10"));
    }

    proptest! {
        #[test]
        fn products_agree_with_256_bit_multiplication(a in any::<i64>(), b in any::<i64>(), x in 0u32..18, y in 0u32..18) {
            let a = Decimal::from_units(i128::from(a) * 10i128.pow(x)).unwrap();
            let b = Decimal::from_units(i128::from(b) * 10i128.pow(y)).unwrap();
            prop_assert_eq!(Wide::product(a, b).0, I256::from(a.units()) * I256::from(b.units()));
            prop_assert_eq!(Wide::product(a, b).to_string().parse(), Ok(Wide::product(a, b)));
        }

        #[test]
        fn the_order_of_addition_changes_nothing(values in proptest::collection::vec((any::<i64>(), any::<i64>()), 1..20)) {
            let product = |&(a, b): &(i64, i64)| Wide::product(Decimal::from_int(a), Decimal::from_units(b.into()).unwrap());
            let add = |sum: Wide, value: Wide| sum.checked_add(value).unwrap();
            let forth = values.iter().map(product).fold(Wide::ZERO, add);
            let back = values.iter().rev().map(product).fold(Wide::ZERO, add);
            prop_assert_eq!(forth, back);
        }
    }
}
