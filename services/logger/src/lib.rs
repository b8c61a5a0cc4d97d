//! Prints what flows, and checks order and schema.
