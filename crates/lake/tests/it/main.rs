//! The lake from outside: the protocol under every interleaving of two writers, and the S3 client against servers.

mod access;
mod docs;
mod fake;
mod glue;
mod large;
mod model;
mod parts;
mod rights;
mod s3;
mod world;
