//! What people really feed it.
