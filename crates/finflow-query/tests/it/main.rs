//! The program itself, asked over lakes that the lake's own code wrote.

mod athena;
mod command;
mod docs;
mod expected;
mod limits;
mod queries;
mod rows;
mod trino;
mod world;
