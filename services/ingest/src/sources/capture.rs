//! Recorded WebSocket frames, one per line, with the time of receipt before each.
//!
//! Two forms are known: `<ns since 1970> <frame>` (Binance captures) and `<s since 1970>.<fraction>: <frame>` with lines
//! `<url> <- <time>: <frame>` for what the client sent and `<url> <-> <time>` for a connection (Coinbase captures). The
//! frames go to the same decoders as a live socket's would.

use super::{Bad, Decode, Found, shown};
use crate::times;
use crate::venues::{binance, coinbase};

/// `<ns> <frame>` of Binance; a line without the time is taken as a bare frame.
pub struct BinanceLines(pub binance::decode::Frames);

impl Decode for BinanceLines {
    fn decode(&mut self, text: &[u8], found: &mut Found) -> Result<(), Bad> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return self.0.decode(text, None, found);
        }
        let received =
            times::count(&text[..digits], 1).ok_or_else(|| Bad::time("the time of receipt", &text[..digits]))?;
        let frame = text[digits..].trim_ascii_start();
        if frame.is_empty() {
            return Err(Bad::new("cut_off", "a time of receipt without a frame"));
        }
        found.recorded = Some(received);
        self.0.decode(frame, Some(received), found)
    }
}

/// `<s>.<fraction>: <frame>` of Coinbase.
pub struct CoinbaseLines(pub coinbase::decode::Frames);

impl Decode for CoinbaseLines {
    fn decode(&mut self, text: &[u8], found: &mut Found) -> Result<(), Bad> {
        if text.starts_with(b"wss://") || text.starts_with(b"ws://") {
            let word = text.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            return match word {
                b"<->" => found.ignore("connected"),
                b"<-" => found.ignore("sent"),
                _ => Err(Bad::new("cut_off", format!("`{}` is neither sent nor connected", shown(text)))),
            };
        }
        let Some(colon) = memchr::memchr(b':', text).filter(|_| text[0].is_ascii_digit()) else {
            return self.0.decode(text, None, found);
        };
        let received = times::count(&text[..colon], 1_000_000_000)
            .ok_or_else(|| Bad::time("the time of receipt", &text[..colon]))?;
        found.recorded = Some(received);
        self.0.decode(text[colon + 1..].trim_ascii_start(), Some(received), found)
    }
}
