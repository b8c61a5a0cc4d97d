//! One event per line, as the values on raw-market-data are, and the plain form of other
//! people's producers.

use market::Event;

use super::{Bad, Decode, Found};

pub struct EventLines;

impl Decode for EventLines {
    fn decode(&mut self, text: &[u8], found: &mut Found) -> Result<(), Bad> {
        let event = Event::decode(text).map_err(|error| Bad::new(error.reason.as_str(), error.detail))?;
        found.recorded = event.event_time();
        found.events.push(event);
        Ok(())
    }
}
