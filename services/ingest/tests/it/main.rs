//! Ingest against a broker: what it is given must be in the topic, once, in order, whatever happens on the way.

mod backfill;
mod bad_input;
mod bed;
mod histories;
mod leases;
mod live;
mod outage;
mod pace;
mod polled;
mod quotes;
mod real_data;
mod recording;
mod replay;
mod resume;
mod symbols;
