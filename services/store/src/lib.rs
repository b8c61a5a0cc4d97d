//! Stores every record of the topics on S3, each in exactly one object.
