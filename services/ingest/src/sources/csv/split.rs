//! Cuts one line into its fields.

use super::Bad;

/// The fields of the line split last. Reused, so that splitting allocates nothing once warm.
#[derive(Default)]
pub struct Fields {
    /// The line, with the quoting taken out.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// A field beyond the last is empty.
    pub fn get(&self, column: usize) -> &[u8] {
        let Some(&end) = self.ends.get(column) else { return b"" };
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        &self.text[start..end]
    }

    pub fn split(&mut self, line: &[u8], delimiter: u8) -> Result<(), Bad> {
        self.text.clear();
        self.ends.clear();
        if memchr::memchr(b'"', line).is_none() {
            for field in line.split(|byte| *byte == delimiter) {
                self.text.extend_from_slice(field);
                self.ends.push(self.text.len());
            }
            return Ok(());
        }
        self.split_quoted(line, delimiter)
    }

    fn split_quoted(&mut self, line: &[u8], delimiter: u8) -> Result<(), Bad> {
        let mut quoted = false;
        let mut at_start = true;
        let mut bytes = line.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if quoted {
                match byte {
                    b'"' if bytes.peek() == Some(&b'"') => {
                        bytes.next();
                        self.text.push(b'"');
                    }
                    b'"' => quoted = false,
                    _ => self.text.push(byte),
                }
            } else if byte == delimiter {
                self.ends.push(self.text.len());
                at_start = true;
                continue;
            } else if byte == b'"' && at_start {
                quoted = true;
            } else {
                self.text.push(byte);
            }
            at_start = false;
        }
        self.ends.push(self.text.len());
        if quoted {
            return Err(Bad::new("cut_off", "a quoted field is not closed on its line"));
        }
        Ok(())
    }
}

/// The separator of a header line: the one of `, ; tab |` that occurs most, outside of quotes.
pub fn delimiter_of(header: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [0usize; 4];
    const KNOWN: [u8; 4] = *b",;\t|";
    for byte in header {
        if *byte == b'"' {
            quoted = !quoted;
        } else if !quoted && let Some(at) = KNOWN.iter().position(|known| known == byte) {
            counts[at] += 1;
        }
    }
    let most = (0..KNOWN.len()).rev().max_by_key(|at| counts[*at]).unwrap_or(0);
    KNOWN[most]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<Vec<String>, &'static str> {
        let mut fields = Fields::default();
        fields.split(line.as_bytes(), b',').map_err(|bad| bad.reason)?;
        Ok((0..fields.count()).map(|n| String::from_utf8_lossy(fields.get(n)).into_owned()).collect())
    }

    #[test]
    fn quotes_hold_separators_and_quotes() {
        assert_eq!(split("a,b,,c").unwrap(), ["a", "b", "", "c"]);
        assert_eq!(split(r#"a,"b"",c"#).unwrap_err(), "cut_off");
        assert_eq!(split(r#""a,b","c""d","",e"#).unwrap(), ["a,b", "c\"d", "", "e"]);
        assert_eq!(split(r#"5" disk,"x"y"#).unwrap(), ["5\" disk", "xy"], "a quote inside a field is a quote");
        assert_eq!(split("").unwrap(), [""]);
        assert_eq!(split(",,").unwrap(), ["", "", ""]);
    }

    #[test]
    fn the_separator_is_the_most_frequent_one() {
        assert_eq!(delimiter_of(b"a,b,c"), b',');
        assert_eq!(delimiter_of(b"a;b;\"c,d,e,f\""), b';');
        assert_eq!(delimiter_of(b"a\tb"), b'\t');
        assert_eq!(delimiter_of(b"single"), b',');
    }

    proptest::proptest! {
        #[test]
        fn plain_fields_come_back(fields in proptest::collection::vec("[a-z0-9 .-]{0,9}", 1..12)) {
            proptest::prop_assert_eq!(split(&fields.join(",")).unwrap(), fields);
        }

        #[test]
        fn quoted_fields_come_back(fields in proptest::collection::vec("[a-z,\"; ]{0,9}", 1..8)) {
            let line: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            proptest::prop_assert_eq!(split(&line.join(",")).unwrap(), fields);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Fields::default().split(&bytes, b',');
            delimiter_of(&bytes);
        }
    }
}
