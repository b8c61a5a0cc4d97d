//! An S3 server in process over a folder, for development and tests only.
