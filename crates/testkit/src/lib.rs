//! What tests share: fixtures, a fake clock, waiting for conditions, a broker and an S3 to test against.
