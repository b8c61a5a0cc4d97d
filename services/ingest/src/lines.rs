//! Splits bytes into lines, in bounded memory whatever the file holds.
//!
//! In: the bytes of [`crate::input`]. Out: each line without its ending (`\n` or `\r\n`) and without a byte order mark,
//! with its number. A line longer than [`MAX_LINE`] is given cut, with its true length: the caller dead-letters it.

use std::io::{self, BufRead};

use memchr::memchr;

use crate::input::Input;

/// The longest line that is read whole. Real rows and frames stay below 100 KiB.
pub const MAX_LINE: usize = 1024 * 1024;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counts from 1.
    pub number: u64,
    pub text: &'a [u8],
    /// The true length of a line that was cut at [`MAX_LINE`].
    pub cut_from: Option<u64>,
    pub ending: Ending,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Newline,
    /// The file ended without one: usual for a last line, but it may also have been cut.
    EndOfFile,
    /// Reading failed inside the line: it was cut for certain.
    Error,
}

pub struct Lines {
    input: Input,
    number: u64,
    /// Bytes of the input's buffer that belong to the line given last.
    used: usize,
    /// A line that does not lie in one piece in the input's buffer.
    joined: Vec<u8>,
    error: Option<io::Error>,
}

impl Lines {
    pub fn new(input: Input) -> Self {
        Lines { input, number: 0, used: 0, joined: Vec::new(), error: None }
    }

    /// The next line, or `None` at the end. After an error the lines before it have all been given, the last of them
    /// marked [`Ending::Error`] if the error cut it.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.input.consume(std::mem::take(&mut self.used));
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let end = memchr(b'\n', self.input.fill_buf()?);
        let Some(end) = end.filter(|end| *end <= MAX_LINE) else { return self.next_joined() };
        self.number += 1;
        self.used = end + 1;
        let text = &self.input.fill_buf()?[..end];
        Ok(Some(Line { number: self.number, text: clean(text, self.number), cut_from: None, ending: Ending::Newline }))
    }

    fn next_joined(&mut self) -> io::Result<Option<Line<'_>>> {
        self.joined.clear();
        let mut length: u64 = 0;
        let mut ending = Ending::EndOfFile;
        loop {
            let piece = match self.input.fill_buf() {
                Ok(piece) => piece,
                Err(error) if length > 0 => {
                    self.error = Some(error);
                    ending = Ending::Error;
                    break;
                }
                Err(error) => return Err(error),
            };
            if piece.is_empty() {
                break;
            }
            let end = memchr(b'\n', piece);
            let text = &piece[..end.unwrap_or(piece.len())];
            let room = (MAX_LINE + 1).saturating_sub(self.joined.len());
            self.joined.extend_from_slice(&text[..text.len().min(room)]);
            length += text.len() as u64;
            let used = text.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                ending = Ending::Newline;
                break;
            }
        }
        if length == 0 && ending == Ending::EndOfFile {
            return Ok(None);
        }
        self.number += 1;
        let cut_from = (length > MAX_LINE as u64).then_some(length);
        if cut_from.is_some() {
            self.joined.truncate(MAX_LINE);
        }
        Ok(Some(Line { number: self.number, text: clean(&self.joined, self.number), cut_from, ending }))
    }
}

fn clean(text: &[u8], number: u64) -> &[u8] {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if number == 1 { text.strip_prefix(UTF8_MARK).unwrap_or(text) } else { text }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor, Read};

    use super::*;

    /// A small buffer, so that lines cross its edges.
    fn lines(bytes: &[u8], capacity: usize) -> Vec<(u64, Vec<u8>, Option<u64>, Ending)> {
        let mut lines = Lines::new(Box::new(BufReader::with_capacity(capacity, Cursor::new(bytes.to_vec()))));
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            out.push((line.number, line.text.to_vec(), line.cut_from, line.ending));
        }
        out
    }

    fn texts(bytes: &[u8], capacity: usize) -> Vec<String> {
        lines(bytes, capacity).into_iter().map(|(_, text, ..)| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn endings_and_marks_are_not_part_of_a_line() {
        for capacity in [1, 2, 3, 7, 100] {
            assert_eq!(texts(b"\xef\xbb\xbfa,b\r\n\nc\n", capacity), ["a,b", "", "c"], "capacity {capacity}");
            assert_eq!(texts(b"", capacity), Vec::<String>::new());
            assert_eq!(texts(b"\n", capacity), [""]);
        }
    }

    #[test]
    fn the_last_line_may_lack_its_ending() {
        let all = lines(b"a\nb", 100);
        assert_eq!(all[0], (1, b"a".to_vec(), None, Ending::Newline));
        assert_eq!(all[1], (2, b"b".to_vec(), None, Ending::EndOfFile));
    }

    #[test]
    fn a_huge_line_is_cut_and_the_next_one_is_whole() {
        let mut bytes = vec![b'x'; 10 * 1024 * 1024];
        bytes.extend_from_slice(b"\nnext\n");
        let input = BufReader::with_capacity(64 * 1024, Cursor::new(bytes.clone()));
        let mut splitter = Lines::new(Box::new(input));
        while splitter.next_line().unwrap().is_some() {}
        assert!(splitter.joined.capacity() <= 2 * MAX_LINE + 2, "{} bytes held", splitter.joined.capacity());
        for capacity in [64 * 1024, 20 * 1024 * 1024] {
            let all = lines(&bytes, capacity);
            assert_eq!((all[0].1.len(), all[0].2), (MAX_LINE, Some(10 * 1024 * 1024)));
            assert_eq!(all[1], (2, b"next".to_vec(), None, Ending::Newline));
        }
        let exact = [vec![b'x'; MAX_LINE], b"\n".to_vec()].concat();
        assert_eq!((lines(&exact, 4096)[0].1.len(), lines(&exact, 4096)[0].2), (MAX_LINE, None));
    }

    #[test]
    fn an_error_comes_after_the_lines_before_it() {
        struct Fails(usize);
        impl Read for Fails {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 1 {
                    return Err(io::Error::other("broken"));
                }
                out[..3].copy_from_slice(b"a\nb");
                Ok(3)
            }
        }
        let mut lines = Lines::new(Box::new(BufReader::new(Fails(0))));
        assert_eq!(lines.next_line().unwrap().unwrap().text, b"a");
        let cut = lines.next_line().unwrap().unwrap();
        assert_eq!((cut.text, cut.ending), (&b"b"[..], Ending::Error));
        assert_eq!(lines.next_line().unwrap_err().to_string(), "broken");
    }

    proptest::proptest! {
        #[test]
        fn splitting_loses_nothing(bytes: Vec<u8>, capacity in 1usize..64) {
            let joined: Vec<Vec<u8>> = lines(&bytes, capacity).into_iter().map(|(_, text, ..)| text).collect();
            let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            if expected.last() == Some(&&b""[..]) {
                expected.pop();
            }
            let expected: Vec<Vec<u8>> = expected.iter().enumerate().map(|(n, text)| clean(text, n as u64 + 1).to_vec()).collect();
            proptest::prop_assert_eq!(joined, expected);
        }
    }
}
