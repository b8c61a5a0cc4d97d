//! What tests share: waiting for conditions, a broker and an S3 to test against, fixtures.
//!
//! A test asks for [`Brokers`] or [`S3`] and gets the embedded one, or the real one that `FINFLOW_TEST_BROKERS` or
//! `FINFLOW_TEST_S3` names; the test itself does not know which. Names come from [`unique`], so that tests run side by
//! side on one real server. Fake venues are in [`venues`]. For what a broker shows by luck only there is [`simulation`].

mod fixtures;
mod fleet;
mod others;
mod parts;
mod process;
pub mod simulation;
pub mod venues;
mod wait;

pub use fixtures::{shared, testdata};
pub use fleet::Fleet;
pub use others::{move_position, transactions};
pub use parts::{Brokers, S3, set_session};
pub use process::{free_addr, from_env, signal};
pub use wait::{eventually, unique};
