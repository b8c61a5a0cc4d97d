//! Symbols, and the partition each belongs to.
//!
//! US stocks and indexes are bare (`AAPL`, `HSI`), everything else carries its venue: `BINANCE:BTCUSDT`,
//! `BINANCE_USDM:BTCUSDT` (futures are another market, never mixed with spot), `COINBASE:BTC-USD`, `KRAKEN:BTC/USD`.
//! What follows the colon is the venue's own name. Finnhub names things that way itself, so its symbols pass as they
//! are.

/// The longest symbol that is accepted, in bytes.
pub const LONGEST: usize = 64;

/// Venues whose symbols are bare or already qualified.
const PASSED: [&str; 4] = ["FINNHUB", "ALPACA", "MASSIVE", "INDEX"];

/// The symbol of a venue's own name for a market, such as `("BINANCE", "btcusdt")` → `BINANCE:BTCUSDT`.
pub fn of(venue: &str, raw: &str) -> String {
    if venue.is_empty() || PASSED.contains(&venue) || raw.contains(':') {
        return raw.to_owned();
    }
    format!("{venue}:{}", raw.to_uppercase())
}

/// The venue that a symbol names, else nothing.
pub fn venue(symbol: &str) -> &str {
    symbol.split_once(':').map_or("", |(venue, _)| venue)
}

/// A symbol is 1 to 64 bytes without control characters and without spaces at its ends.
pub fn is_valid(symbol: &str) -> bool {
    let ascii = symbol.bytes().all(|b| b.is_ascii_graphic());
    let valid = ascii || (symbol.trim() == symbol && !symbol.chars().any(char::is_control));
    valid && !symbol.is_empty() && symbol.len() <= LONGEST
}

/// The partition of a key: the one Java's default partitioner takes, and librdkafka's `murmur2_random`. `partitions`
/// is at least one.
pub fn partition(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partitions.max(1)
}

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils`), whose seed differs from the original's.
fn murmur2(key: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let k = u32::from_le_bytes(*word).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (k ^ (k >> 24)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0u32, |word, &byte| (word << 8) | u32::from(byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_javas() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_still_names_a_partition() {
        // toPositive(-973932308) = 1173551340.
        assert_eq!(partition(b"21", 3), 1_173_551_340 % 3);
        assert_eq!(partition(b"21", 1000), 340);
        assert_eq!(partition(b"abc", 1000), 107);
        assert_eq!(partition(b"", 1), 0);
    }

    #[test]
    fn symbols_carry_their_venue_where_the_seeds_do() {
        assert_eq!(of("BINANCE", "btcusdt"), "BINANCE:BTCUSDT");
        assert_eq!(of("BINANCE_USDM", "BTCUSDT"), "BINANCE_USDM:BTCUSDT");
        assert_eq!(of("KRAKEN", "BTC/USD"), "KRAKEN:BTC/USD");
        assert_eq!(of("FINNHUB", "BINANCE:BTCUSDT"), "BINANCE:BTCUSDT");
        assert_eq!(of("ALPACA", "AAPL"), "AAPL");
        assert_eq!(of("INDEX", "J203.JO"), "J203.JO");
        assert_eq!((venue("KRAKEN:BTC/USD"), venue("HSI")), ("KRAKEN", ""));
    }

    #[test]
    fn what_could_break_a_line_or_a_key_is_no_symbol() {
        for good in ["AAPL", "000001.SS", "IC MARKETS:1", "BINANCE:币安人生USDT"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", " AAPL", "AAPL\n", "A\u{0}B", "\u{a0}", &"A".repeat(65)] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
