//! The lake on S3: layout, claims, object writers.
