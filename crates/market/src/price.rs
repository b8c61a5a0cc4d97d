//! The two numbers of a trade. Both are finite and exact by construction; a quantity is never negative.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::decimal::{Decimal, NumberError};

/// A price. Negative is allowed: futures and spreads have traded below zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(Decimal);

impl Price {
    pub const fn new(value: Decimal) -> Self {
        Self(value)
    }

    pub fn parse(text: &[u8]) -> Result<Self, NumberError> {
        Decimal::parse(text).map(Self)
    }

    pub const fn get(self) -> Decimal {
        self.0
    }
}

/// A size. Zero is allowed: some venues print a price without a trade.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Quantity(Decimal);

/// Why a text or a number is not a [`Quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error("a size below zero")]
    Negative,
}

impl Quantity {
    pub const ZERO: Self = Self(Decimal::ZERO);

    pub fn new(value: Decimal) -> Result<Self, QuantityError> {
        if value.is_negative() { Err(QuantityError::Negative) } else { Ok(Self(value)) }
    }

    pub fn parse(text: &[u8]) -> Result<Self, QuantityError> {
        Self::new(Decimal::parse(text)?)
    }

    pub const fn get(self) -> Decimal {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Decimal::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

macro_rules! shown_as_its_number {
    ($($name:ident: $error:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::parse(text.as_bytes())
            }
        }

        impl From<$name> for Decimal {
            fn from(value: $name) -> Decimal {
                value.0
            }
        }
    )*};
}

shown_as_its_number!(Price: NumberError, Quantity: QuantityError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_never_negative() {
        assert_eq!("-0.00000001".parse::<Quantity>(), Err(QuantityError::Negative));
        assert_eq!("-0".parse::<Quantity>().unwrap(), Quantity::ZERO);
        assert_eq!("NaN".parse::<Quantity>(), Err(QuantityError::Number(NumberError::NotFinite)));
        assert!(serde_json::from_str::<Quantity>("-1").is_err());
        assert_eq!("-37.63".parse::<Price>().unwrap().to_string(), "-37.63");
    }
}
