//! A row that was read back, in the one JSON form that the other formats store.

use std::io::Write;

use market::Decimal;

use super::cells::Cells;
use super::columns::{Absent, Column, Type};
use super::leaf::{Leaf, Shape, Values};

impl Cells {
    /// Appends a row as a JSON object.
    pub(crate) fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        let mut leaves = self.leaves.as_slice();
        object(self.table.columns(), &mut leaves, row, out);
    }
}

fn object<'a>(columns: impl Iterator<Item = &'a Column>, leaves: &mut &[Leaf], row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    for column in columns {
        let (own, rest) = leaves.split_at(column.leaves());
        *leaves = rest;
        let is_there = is_there(column, &own[0], row);
        if !is_there && column.absent == Absent::Omit {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        string(column.name.as_bytes(), out);
        out.push(b':');
        if is_there {
            value(column, own, row, out);
        } else {
            out.extend_from_slice(b"null");
        }
    }
    out.push(b'}');
}

fn is_there(column: &Column, leaf: &Leaf, row: usize) -> bool {
    match (column.kind, &leaf.values, &leaf.shape) {
        (Type::Struct(_), ..) => true,
        (Type::Flag, Values::Flag(flags), _) => column.absent != Absent::Omit || flags[row],
        // A null list has the level 0, and so has an empty one that cannot be null.
        (_, _, Shape::Nested(nested)) => {
            let entries = nested.row(row).0;
            !column.is_nullable() || nested.levels[entries.start].0 > 0
        }
        _ => leaf.has(row),
    }
}

fn value(column: &Column, leaves: &[Leaf], row: usize, out: &mut Vec<u8>) {
    let leaf = &leaves[0];
    match column.kind {
        Type::Struct(members) => {
            let mut inner = leaves;
            object(members.iter(), &mut inner, row, out);
        }
        Type::Texts => {
            let (_, values) = nested(leaf, row);
            list(values, out, |at, out| string(leaf.values.text(at), out));
        }
        Type::Pairs => {
            let (entries, values) = nested(leaf, row);
            let levels = levels(leaf, entries);
            let mut begins: Vec<usize> = Vec::new();
            for (at, (_, repeated)) in values.clone().zip(levels) {
                if *repeated < 2 {
                    begins.push(at);
                }
            }
            begins.push(values.end);
            list(0..begins.len() - 1, out, |pair, out| {
                list(begins[pair]..begins[pair + 1], out, |at, out| string(leaf.values.text(at), out));
            });
        }
        Type::Numbers => numbers(leaves, row, out),
        Type::Structs(members) => {
            let values: Vec<Span> = leaves.iter().map(|leaf| nested(leaf, row).1).collect();
            list(0..values[0].len(), out, |at, out| {
                for (i, ((member, leaf), values)) in members.iter().zip(leaves).zip(&values).enumerate() {
                    out.push(if i == 0 { b'{' } else { b',' });
                    string(member.name.as_bytes(), out);
                    out.push(b':');
                    single(&leaf.values, values.start + at, out);
                }
                out.push(b'}');
            });
        }
        _ => single(&leaf.values, row, out),
    }
}

fn numbers(leaves: &[Leaf], row: usize, out: &mut Vec<u8>) {
    let (_, names) = nested(&leaves[0], row);
    let (entries, mut values) = nested(&leaves[1], row);
    out.push(b'{');
    for (i, (name, (level, _))) in names.zip(levels(&leaves[1], entries)).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(leaves[0].values.text(name), out);
        out.push(b':');
        match if *level == 3 { values.next() } else { None } {
            Some(at) => single(&leaves[1].values, at, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

type Span = std::ops::Range<usize>;

fn nested(leaf: &Leaf, row: usize) -> (Span, Span) {
    match &leaf.shape {
        Shape::Nested(nested) => nested.row(row),
        _ => unreachable!("the columns say which leaf is nested"),
    }
}

fn levels(leaf: &Leaf, entries: Span) -> &[(u8, u8)] {
    match &leaf.shape {
        Shape::Nested(nested) => &nested.levels[entries],
        _ => unreachable!("the columns say which leaf is nested"),
    }
}

fn list(items: Span, out: &mut Vec<u8>, mut item: impl FnMut(usize, &mut Vec<u8>)) {
    out.push(b'[');
    for at in items.clone() {
        if at > items.start {
            out.push(b',');
        }
        item(at, out);
    }
    out.push(b']');
}

fn single(values: &Values, at: usize, out: &mut Vec<u8>) {
    match values {
        Values::Flag(values) => out.extend_from_slice(if values[at] { b"true" } else { b"false" }),
        Values::Int(values) => write_number(out, values[at]),
        Values::Long(values) => write_number(out, values[at]),
        Values::Double(values) => write_number(out, values[at]),
        Values::Decimal(values) => {
            Decimal::from_units(values[at]).expect("checked where it was read").write(out);
        }
        Values::Text(_) | Values::Word(_) => string(values.text(at), out),
    }
}

/// The shortest form that reads back as the same number; doubles without an exponent.
pub(crate) fn write_number(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    write!(out, "{number}").expect("writing to memory cannot fail");
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    // Checked where it was read, and text where it was filled in.
    let text = std::str::from_utf8(text).expect("text is UTF-8");
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}
