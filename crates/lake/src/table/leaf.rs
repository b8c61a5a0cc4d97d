//! One primitive column of many rows in memory, in the shape that Parquet gives it.
//!
//! A flat leaf has a slot per row. A leaf below a list or a map has any number of entries per row, each with the two
//! levels by which Parquet says where the lists begin and end.

use std::collections::HashMap;

use bytes::Bytes;

pub(crate) enum Values {
    Flag(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    Text(Texts),
    Word(Words),
}

/// Texts one after the other.
#[derive(Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Texts of which each different one is held once.
#[derive(Default)]
pub(crate) struct Words {
    codes: Vec<u32>,
    words: Vec<Bytes>,
    index: HashMap<Bytes, u32>,
}

/// Which rows have which values.
pub(crate) enum Shape {
    /// Every row has one.
    Required,
    /// A slot per row, of which some are empty.
    Optional(Vec<bool>),
    Nested(Nested),
}

#[derive(Default)]
pub(crate) struct Nested {
    /// Definition and repetition level of each entry.
    pub(crate) levels: Vec<(u8, u8)>,
    /// By row: where its entries, and its values, end.
    pub(crate) entry_ends: Vec<usize>,
    pub(crate) value_ends: Vec<usize>,
}

pub(crate) struct Leaf {
    pub(crate) values: Values,
    pub(crate) shape: Shape,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    fn range(&self, at: usize) -> std::ops::Range<usize> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        start..self.ends[at]
    }
}

impl Words {
    fn push(&mut self, word: &[u8]) {
        // Records of one symbol mostly follow each other.
        if let Some(last) = self.codes.last()
            && self.words[*last as usize] == word
        {
            self.codes.push(*last);
            return;
        }
        let code = match self.index.get(word) {
            Some(code) => *code,
            None => {
                let code = u32::try_from(self.words.len()).expect("a range is sealed long before 2^32 rows");
                let word = Bytes::copy_from_slice(word);
                self.words.push(word.clone());
                self.index.insert(word, code);
                code
            }
        };
        self.codes.push(code);
    }

    pub(crate) fn get(&self, at: usize) -> &Bytes {
        &self.words[self.codes[at] as usize]
    }

    /// By row: where its word stands in the order of all words.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..).take(self.words.len()).collect();
        sorted.sort_unstable_by_key(|code| &self.words[*code as usize]);
        let mut ranks = vec![0; sorted.len()];
        for (rank, code) in (0..).zip(sorted) {
            ranks[code as usize] = rank;
        }
        self.codes.iter().map(|code| ranks[*code as usize]).collect()
    }
}

impl Values {
    pub(crate) fn push_text(&mut self, text: &[u8]) {
        match self {
            Values::Text(texts) => texts.push(text),
            Values::Word(words) => words.push(text),
            _ => unreachable!("the columns say which leaf holds text"),
        }
    }

    pub(crate) fn text(&self, at: usize) -> &[u8] {
        match self {
            Values::Text(texts) => &texts.bytes[texts.range(at)],
            Values::Word(words) => words.get(at),
            _ => unreachable!("the columns say which leaf holds text"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Flag(values) => values.len(),
            Values::Int(values) => values.len(),
            Values::Long(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Decimal(values) => values.len(),
            Values::Text(texts) => texts.ends.len(),
            Values::Word(words) => words.codes.len(),
        }
    }

    /// Fills the slot of a row without a value.
    pub(crate) fn push_empty(&mut self) {
        match self {
            Values::Flag(values) => values.push(false),
            Values::Int(values) => values.push(0),
            Values::Long(values) => values.push(0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Text(_) | Values::Word(_) => self.push_text(b""),
        }
    }
}

impl Leaf {
    /// Whether the flat leaf has a value for the row.
    pub(crate) fn has(&self, row: usize) -> bool {
        match &self.shape {
            Shape::Required => true,
            Shape::Optional(present) => present[row],
            Shape::Nested(_) => unreachable!("the columns say which leaf is nested"),
        }
    }

    /// Notes whether the flat leaf's next slot has a value.
    pub(crate) fn mark(&mut self, present: bool) {
        match &mut self.shape {
            Shape::Optional(all) => all.push(present),
            Shape::Required => debug_assert!(present, "a required column without a value"),
            Shape::Nested(_) => unreachable!("the columns say which leaf is nested"),
        }
    }

    pub(crate) fn nested(&mut self) -> &mut Nested {
        match &mut self.shape {
            Shape::Nested(nested) => nested,
            _ => unreachable!("the columns say which leaf is nested"),
        }
    }

    /// Ends the row of a nested leaf.
    pub(crate) fn end_row(&mut self) {
        let values = self.values.len();
        let nested = self.nested();
        nested.entry_ends.push(nested.levels.len());
        nested.value_ends.push(values);
    }
}

impl Nested {
    /// Entries and values of a row.
    pub(crate) fn row(&self, row: usize) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let start = |ends: &[usize]| if row == 0 { 0 } else { ends[row - 1] };
        (start(&self.entry_ends)..self.entry_ends[row], start(&self.value_ends)..self.value_ends[row])
    }
}
