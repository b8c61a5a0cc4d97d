//! Splits a JSON document into the items of one list inside it, in bounded memory.
//!
//! Trade lists come as one document: freqtrade writes `[[…],[…]]`, Kraken `{"result":{"XBTUSDT":[[…],[…]]}}`. This is a
//! scanner, not a parser: it follows brackets and strings only as far as needed to find where each innermost list
//! begins and ends, and leaves the items to a real JSON parser. The nearest object key above is remembered (Kraken puts
//! the pair there).

use std::io::{self, BufRead};

use crate::input::Input;
use crate::lines::MAX_LINE;

/// One list such as `[1723161255342,"61837.63",…]`, with no list or object inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Counts from 1.
    pub number: u64,
    /// Without the blanks between its parts.
    pub text: &'a [u8],
    /// The key under which the outer list stands; empty if it stands under none.
    pub key: &'a str,
    /// The true length of an item that was cut at [`MAX_LINE`].
    pub cut_from: Option<u64>,
    /// The file ended before this item did.
    pub unfinished: bool,
}

pub struct Listing {
    input: Input,
    scanner: Scanner,
    number: u64,
    ended: bool,
    error: Option<io::Error>,
}

/// Where in the document the next byte lies.
#[derive(Default)]
struct Scanner {
    depth: u32,
    /// Text since the last bracket opened: an item, if the next bracket closes it.
    item: Vec<u8>,
    item_length: u64,
    in_item: bool,
    in_string: bool,
    escaped: bool,
    /// The string read last outside of items; it becomes the key at a colon.
    word: Vec<u8>,
    key: String,
    keep_word: bool,
    /// The document has begun; once it is closed again, or if it does not begin with a bracket, the rest is `stray`.
    begun: bool,
    stray: bool,
}

/// Longest key that is remembered.
const MAX_KEY: usize = 256;

impl Listing {
    pub fn new(input: Input) -> Self {
        Listing { input, scanner: Scanner::default(), number: 0, ended: false, error: None }
    }

    /// The next item, or `None` at the end. A document that is not closed gives its last piece as `unfinished`, and so
    /// does one that is followed by something else.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry<'_>>> {
        loop {
            if let Some(error) = self.error.take() {
                self.ended = true;
                return Err(error);
            }
            if self.ended {
                return Ok(None);
            }
            let found = match self.scan() {
                Ok(found) => found,
                Err(error) if self.scanner.in_item => {
                    self.error = Some(error);
                    return Ok(Some(self.entry(true)));
                }
                Err(error) => return Err(error),
            };
            match found {
                Found::Item => return Ok(Some(self.entry(false))),
                Found::More => {}
                Found::End => {
                    self.ended = true;
                    if self.scanner.depth > 0 || self.scanner.stray {
                        if !self.scanner.in_item {
                            self.scanner.item.clear();
                        }
                        return Ok(Some(self.entry(true)));
                    }
                }
            }
        }
    }

    fn entry(&mut self, unfinished: bool) -> Entry<'_> {
        self.number += 1;
        let scanner = &mut self.scanner;
        scanner.in_item = false;
        let cut_from = (scanner.item_length > MAX_LINE as u64).then_some(scanner.item_length);
        Entry { number: self.number, text: &scanner.item, key: &scanner.key, cut_from, unfinished }
    }

    fn scan(&mut self) -> io::Result<Found> {
        let piece = self.input.fill_buf()?;
        if piece.is_empty() {
            return Ok(Found::End);
        }
        let closed = piece.iter().position(|byte| self.scanner.step(*byte));
        let used = closed.map_or(piece.len(), |at| at + 1);
        self.input.consume(used);
        Ok(if closed.is_some() { Found::Item } else { Found::More })
    }
}

impl Scanner {
    /// Takes one byte. `true` if it closes an item.
    fn step(&mut self, byte: u8) -> bool {
        let opens = matches!(byte, b'[' | b'{');
        if !self.stray && self.depth == 0 && !byte.is_ascii_whitespace() && (self.begun || !opens) {
            self.stray = true;
            self.begin_item();
        }
        self.begun |= opens;
        let closed = if self.stray {
            // Kept as it is, for the dead letter.
            false
        } else if self.in_string {
            self.step_in_string(byte);
            false
        } else {
            self.step_outside(byte)
        };
        if self.in_item && (self.in_string || !byte.is_ascii_whitespace()) {
            self.item_length += 1;
            if self.item.len() < MAX_LINE {
                self.item.push(byte);
            }
        }
        closed
    }

    fn begin_item(&mut self) {
        self.in_item = true;
        self.item.clear();
        self.item_length = 0;
    }

    fn step_in_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
        if self.keep_word && self.in_string && self.word.len() < MAX_KEY {
            self.word.push(byte);
        }
    }

    fn step_outside(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep_word = !self.in_item;
                self.word.clear();
            }
            b':' if !self.in_item => self.key = String::from_utf8_lossy(&self.word).into_owned(),
            b'[' => {
                self.depth += 1;
                self.begin_item();
            }
            b'{' => {
                self.depth += 1;
                self.in_item = false;
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                if self.in_item && byte == b']' && self.item_length > 1 {
                    return true;
                }
                self.in_item = false;
            }
            _ => {}
        }
        false
    }
}

enum Found {
    Item,
    More,
    End,
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    fn entries(text: &[u8], capacity: usize) -> Vec<(String, String, bool)> {
        let mut listing = Listing::new(Box::new(BufReader::with_capacity(capacity, Cursor::new(text.to_vec()))));
        let mut out = Vec::new();
        while let Some(entry) = listing.next_entry().unwrap() {
            out.push((entry.key.to_owned(), String::from_utf8_lossy(entry.text).into_owned(), entry.unfinished));
        }
        out
    }

    fn whole(key: &str, text: &str) -> (String, String, bool) {
        (key.to_owned(), text.to_owned(), false)
    }

    #[test]
    fn a_bare_list_and_a_list_inside_an_answer_give_their_items() {
        for capacity in [1, 3, 1000] {
            assert_eq!(entries(b"[[1,\"a\"],[2,\"b]\"]]", capacity), [whole("", "[1,\"a\"]"), whole("", "[2,\"b]\"]")]);
            let answer = br#"{ "error": [], "result": { "XBTUSDT": [ [ "1", "2" ],
                ["\"3", "4"] ], "last": "176" } }"#;
            assert_eq!(
                entries(answer, capacity),
                [whole("XBTUSDT", "[\"1\",\"2\"]"), whole("XBTUSDT", "[\"\\\"3\",\"4\"]")]
            );
        }
    }

    #[test]
    fn nothing_in_it_is_nothing_out() {
        for text in ["", " \n", "[]", "{}", "[[],[]]", "{\"error\":[]}\n"] {
            assert_eq!(entries(text.as_bytes(), 10), [], "{text}");
        }
    }

    #[test]
    fn a_cut_document_gives_its_last_piece_as_unfinished() {
        let all = entries(b"[[1,2],[3,", 10);
        assert_eq!(all, [whole("", "[1,2]"), (String::new(), "[3,".to_owned(), true)]);
    }

    #[test]
    fn what_follows_the_document_is_not_swallowed() {
        assert_eq!(entries(b"[[1]]\n[[2]] x", 10), [whole("", "[1]"), (String::new(), "[[2]]x".to_owned(), true)]);
        assert_eq!(entries(b"hello [1]", 10), [(String::new(), "hello[1]".to_owned(), true)]);
    }

    #[test]
    fn a_huge_item_is_cut() {
        let text = [b"[[\"".to_vec(), vec![b'x'; 3 * MAX_LINE], b"\"],[1]]".to_vec()].concat();
        let mut listing = Listing::new(Box::new(Cursor::new(text)));
        let first = listing.next_entry().unwrap().unwrap();
        assert_eq!((first.text.len(), first.cut_from), (MAX_LINE, Some(3 * MAX_LINE as u64 + 4)));
        assert_eq!(listing.next_entry().unwrap().unwrap().text, b"[1]");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, capacity in 1usize..64) {
            entries(&bytes, capacity);
        }

        #[test]
        fn arbitrary_brackets_never_panic(text in "[\\[\\]{}\",:1a\\\\ ]{0,80}", capacity in 1usize..64) {
            entries(text.as_bytes(), capacity);
        }
    }
}
