//! Raises price alerts from metrics by rules.
