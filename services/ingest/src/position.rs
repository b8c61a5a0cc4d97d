//! Where an event comes from: pass, line and place in the line of its feed.
//!
//! Positions order the events of one feed as they are produced, so "everything up to here" is one comparison.

use std::fmt;
use std::str::FromStr;

use market::decimal::write_u64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 0 for the first reading of the file, one more for each loop; the number of the draw when sampling.
    pub pass: u64,
    /// Line of the file, or item of its list, from 1.
    pub line: u64,
    /// Event of the line, from 0: one frame may hold several trades.
    pub sub: u32,
}

impl Position {
    pub const fn line(pass: u64, line: u64) -> Self {
        Position { pass, line, sub: 0 }
    }

    /// Appends what `Display` shows, for each record: the standard library's formatter takes several times as long.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_u64(self.pass, out);
        out.push(b':');
        write_u64(self.line, out);
        out.push(b':');
        write_u64(self.sub.into(), out);
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.pass, self.line, self.sub)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or(());
        let position = Position {
            pass: next()?.parse().map_err(|_| ())?,
            line: next()?.parse().map_err(|_| ())?,
            sub: next()?.parse().map_err(|_| ())?,
        };
        if parts.next().is_some() { Err(()) } else { Ok(position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_the_order_of_production() {
        let text = ["0:1:0", "0:1:1", "0:2:0", "0:10:0", "1:1:0"];
        let positions: Vec<Position> = text.iter().map(|text| text.parse().unwrap()).collect();
        assert!(positions.is_sorted());
        assert_eq!(positions.iter().map(Position::to_string).collect::<Vec<_>>(), text);
        let written = positions.iter().map(|position| {
            let mut out = Vec::new();
            position.write(&mut out);
            String::from_utf8(out).unwrap()
        });
        assert_eq!(written.collect::<Vec<_>>(), text);
        for bad in ["", "1:2", "1:2:3:4", "a:1:0", "-1:1:0"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
