//! Folds trades and bars into metrics over event-time windows.
