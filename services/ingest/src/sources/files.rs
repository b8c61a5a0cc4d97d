//! Files as sources: opens one, finds out how it is written, and yields its lines or list items decoded.

use std::io::{self, BufRead};
use std::path::Path;

use super::{Bad, Decode, Found, Piece, Source, Step, capture, csv, frames, freqtrade, jsonl, questdb, synthetic};
use crate::input::{self, BytesRead, Input};
use crate::lines::{Ending, Lines, MAX_LINE};
use crate::listing::Listing;
use crate::spec::{Feed, Format};
use crate::venues::{binance, coinbase, kraken};

/// A feed, open at its beginning.
pub struct Opened {
    pub source: Box<dyn Source>,
    pub format: Format,
    pub read: BytesRead,
    /// Size of the file in bytes, 0 if it is none.
    pub size: u64,
    /// Nothing is in the file: not an error, but worth saying.
    pub empty: bool,
}

/// Choices of the process that a format needs.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    pub quotes: bool,
    pub seed: u64,
}

/// Opens a feed. The error is a sentence that names the problem and what to do.
pub fn open(feed: &Feed, choices: Choices) -> Result<Opened, String> {
    if feed.is_synthetic() {
        let settings = synthetic::Settings::new(&feed.path, &feed.options, choices.seed)?;
        let source = Box::new(synthetic::Market::new(settings));
        return Ok(Opened { source, format: Format::Synthetic, read: BytesRead::default(), size: 0, empty: false });
    }
    let path = Path::new(&feed.path);
    let cannot = |error: io::Error| format!("cannot read `{}`: {error}", feed.path);
    let size = std::fs::metadata(path).map_err(cannot)?.len();
    let (mut input, read) = input::open(path).map_err(cannot)?;
    let head = input.fill_buf().map_err(cannot)?;
    let empty = head.trim_ascii().is_empty();
    let format = match feed.format {
        Some(format) => format,
        None if empty => Format::Csv,
        None => format_of(head).map_err(|what| format!("`{}` {what}", feed.path))?,
    };
    let head = first_line(head).to_vec();
    let source = source(format, feed, choices, input, &head, empty)?;
    Ok(Opened { source, format, read, size, empty })
}

fn source(
    format: Format,
    feed: &Feed,
    choices: Choices,
    input: Input,
    head: &[u8],
    empty: bool,
) -> Result<Box<dyn Source>, String> {
    let lines =
        |decoder: Box<dyn Decode>, input| Box::new(LineSource { lines: Lines::new(input), decoder }) as Box<dyn Source>;
    Ok(match format {
        _ if empty => lines(Box::new(jsonl::EventLines), Box::new(io::empty())),
        Format::Csv => {
            let known = questdb::known(head, feed);
            lines(Box::new(csv::Rows::new(csv::layout::Layout::of(head, known.as_ref().unwrap_or(feed))?)), input)
        }
        Format::Binance => {
            let market = match &feed.venue {
                Some(venue) => Some(binance::decode::Market::of_venue(venue).ok_or_else(|| {
                    format!("venue `{venue}` is not a market of Binance: use BINANCE (spot) or BINANCE_USDM (futures)")
                })?),
                None => binance::decode::Market::of_name(feed.file_name()),
            };
            lines(Box::new(capture::BinanceLines(binance::decode::Frames { market, quotes: choices.quotes })), input)
        }
        Format::Coinbase => {
            lines(Box::new(capture::CoinbaseLines(coinbase::decode::Frames { quotes: choices.quotes })), input)
        }
        Format::Frames => lines(Box::<frames::Frames>::default(), input),
        Format::Jsonl => lines(Box::new(jsonl::EventLines), input),
        Format::Kraken => {
            let symbol = feed.symbol.clone();
            let decode = move |item: &[u8], key: &str, found: &mut Found| {
                kraken::rest::decode(item, key, symbol.as_deref(), found)
            };
            Box::new(ListSource { listing: Listing::new(input), decode })
        }
        Format::Freqtrade => {
            let owner = owner_of(feed)?;
            let decode = move |item: &[u8], _: &str, found: &mut Found| freqtrade::decode(item, &owner, found);
            Box::new(ListSource { listing: Listing::new(input), decode })
        }
        Format::Synthetic | Format::Live => unreachable!("such a feed has no file"),
    })
}

fn owner_of(feed: &Feed) -> Result<freqtrade::Owner, String> {
    let mut owner = freqtrade::Owner::of_path(&feed.path);
    if let Some(symbol) = &feed.symbol {
        let venue = feed.venue.clone().or_else(|| owner.take().map(|owner| owner.venue)).unwrap_or_default();
        let venue = csv::layout::venue_name(&venue);
        return Ok(freqtrade::Owner { symbol: csv::layout::qualified(&venue, symbol.clone()), venue });
    }
    let owner = owner.ok_or_else(|| {
        format!("`{}` names no pair as freqtrade's files do (`XRP_ETH-trades.json`): give `symbol=XRP/ETH`", feed.path)
    })?;
    Ok(match &feed.venue {
        Some(venue) => {
            let venue = csv::layout::venue_name(venue);
            let pair = owner.symbol.split_once(':').map_or(owner.symbol.as_str(), |(_, pair)| pair).to_owned();
            freqtrade::Owner { symbol: csv::layout::qualified(&venue, pair), venue }
        }
        None => owner,
    })
}

fn first_line(head: &[u8]) -> &[u8] {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    // A header may come after blank lines.
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How a file is written, from its first bytes. The error continues the sentence "the file …".
fn format_of(head: &[u8]) -> Result<Format, String> {
    const FOREIGN: [(&[u8], &str); 5] = [
        (b"PK\x03\x04", "is a zip archive: unpack it first (gzip and zstd are read as they are)"),
        (b"PAR1", "is a Parquet file: export it as CSV"),
        (b"ARROW1", "is a Feather file: export it as CSV"),
        (b"\xff\xfe", "is UTF-16 text: convert it to UTF-8"),
        (b"\xfe\xff", "is UTF-16 text: convert it to UTF-8"),
    ];
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err((*what).to_owned());
    }
    let line = first_line(head);
    if line.iter().take(256).any(|byte| *byte == 0) {
        return Err("is not text: it is neither CSV, JSON nor a capture".to_owned());
    }
    let holds = |word: &str| memchr::memmem::find(&head[..head.len().min(4096)], word.as_bytes()).is_some();
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Ok(match line {
        [b'[', ..] => Format::Freqtrade,
        [b'{', ..] if holds("\"result\"") && holds("\"error\"") && !holds("\"stream\"") => Format::Kraken,
        [b'{', ..] if holds("\"stream\"") || line.starts_with(br#"{"e":"#) => Format::Binance,
        [b'{', ..] if line.starts_with(br#"{"type":"#) => Format::Coinbase,
        [b'{'] => Format::Kraken,
        [b'{', ..] => Format::Jsonl,
        _ if line.starts_with(b"wss://") => Format::Coinbase,
        _ if line[digits..].starts_with(b" 0 begin {") => Format::Frames,
        _ if digits >= 15 && line[digits..].starts_with(b" {") => Format::Binance,
        _ if digits >= 9 && memchr::memmem::find(&line[..line.len().min(40)], b": {").is_some() => Format::Coinbase,
        _ => Format::Csv,
    })
}

/// One text per line.
struct LineSource {
    lines: Lines,
    decoder: Box<dyn Decode>,
}

impl Source for LineSource {
    fn next(&mut self, piece: &mut Piece) -> io::Result<Step> {
        let Some(line) = self.lines.next_line()? else { return Ok(Step::End) };
        piece.line = line.number;
        piece.text.clear();
        piece.text.extend_from_slice(line.text);
        piece.found.clear();
        piece.bad = match line.cut_from {
            Some(length) => Some(too_long("line", length)),
            None if line.ending == Ending::Error => Some(Bad::new("cut_off", "the file breaks off inside this line")),
            None if line.text.trim_ascii().is_empty() => piece.found.ignore("blank").err(),
            None => self.decoder.decode(line.text, &mut piece.found).err(),
        };
        if line.ending == Ending::EndOfFile
            && let Some(bad) = &mut piece.bad
        {
            bad.detail = format!("the file ends inside this line, it was probably cut: {}", bad.detail).into();
        }
        Ok(Step::Piece)
    }
}

/// One text per item of a JSON list.
struct ListSource<D> {
    listing: Listing,
    decode: D,
}

impl<D: FnMut(&[u8], &str, &mut Found) -> Result<(), Bad> + Send> Source for ListSource<D> {
    fn next(&mut self, piece: &mut Piece) -> io::Result<Step> {
        let Some(entry) = self.listing.next_entry()? else { return Ok(Step::End) };
        piece.line = entry.number;
        piece.text.clear();
        piece.text.extend_from_slice(entry.text);
        piece.found.clear();
        piece.bad = match entry {
            _ if entry.unfinished => {
                Some(Bad::new("cut_off", "the JSON document ends before it is closed, or something follows it"))
            }
            _ if entry.cut_from.is_some() => Some(too_long("item", entry.cut_from.unwrap_or_default())),
            _ => (self.decode)(entry.text, entry.key, &mut piece.found).err(),
        };
        Ok(Step::Piece)
    }
}

fn too_long(what: &str, length: u64) -> Bad {
    Bad::new("too_long", format!("the {what} has {length} bytes; only its first {MAX_LINE} are kept here"))
}

#[cfg(test)]
mod tests;
