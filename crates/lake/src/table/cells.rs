//! Rows of a table by columns: filled from records, or from an object that is read back.

use market::{
    Alert, Bar, Cancel, Correction, Decimal, Event, EventRef, Gap, Input, Metrics, News, Quote, Side, TradeRef,
    Undefined,
};

use super::Table;
use super::columns::{Column, Type};
use super::leaf::{Leaf, Nested, Shape, Values};
use crate::format::Coordinates;
use crate::row::{DeadLetter, Row};

pub(crate) struct Cells {
    pub(crate) table: Table,
    /// In the order of the columns; groups have several.
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) rows: usize,
    /// What the rows hold, roughly.
    pub(crate) size_bytes: usize,
}

impl Cells {
    pub(crate) fn new(table: Table) -> Self {
        let mut leaves = Vec::new();
        table.columns().for_each(|column| add_leaves(column, &mut leaves));
        Self { table, leaves, rows: 0, size_bytes: 0 }
    }

    pub(crate) fn push(&mut self, row: &Row<'_>, at: Coordinates<'_>) {
        let mut cells = Filler { leaves: self.leaves.iter_mut(), size_bytes: 0 };
        match row {
            Row::Event(EventRef::Trade(trade)) => cells.trade(trade, &trade.conditions.to_vec()),
            Row::Event(EventRef::Other(other)) => match other {
                Event::Trade(trade) => cells.trade(&trade.borrowed(), &trade.conditions),
                Event::Heartbeat(_) => unreachable!("a heartbeat is no row"),
                Event::Quote(quote) => cells.quote(quote),
                Event::Bar(bar) => cells.bar(bar),
                Event::Gap(gap) => cells.gap(gap),
                Event::Cancel(cancel) => cells.cancel(cancel),
                Event::Correction(correction) => cells.correction(correction),
                Event::News(news) => cells.news(news),
            },
            Row::Metrics(metrics) => cells.metrics(metrics),
            Row::Alert(alert) => cells.alert(alert),
            Row::DeadLetter(letter) => cells.dead_letter(letter),
        }
        cells.text(at.topic);
        cells.int(at.partition);
        cells.long(at.offset);
        debug_assert!(cells.leaves.next().is_none(), "a row fills every column");
        self.size_bytes += cells.size_bytes;
        self.rows += 1;
    }

    /// The flat leaf of a column.
    pub(crate) fn leaf(&self, name: &str) -> Option<&Leaf> {
        let mut at = 0;
        for column in self.table.columns() {
            if column.name == name {
                return self.leaves.get(at);
            }
            at += column.leaves();
        }
        None
    }
}

impl Column {
    /// How many primitive columns it is in Parquet.
    pub(crate) fn leaves(&self) -> usize {
        match self.kind {
            Type::Numbers => 2,
            Type::Struct(members) | Type::Structs(members) => members.len(),
            _ => 1,
        }
    }
}

fn add_leaves(column: &Column, leaves: &mut Vec<Leaf>) {
    let flat = if column.is_nullable() { Shape::Optional(Vec::new()) } else { Shape::Required };
    let nested = || Shape::Nested(Nested::default());
    let (values, shape) = match column.kind {
        Type::Struct(members) => return members.iter().for_each(|member| add_leaves(member, leaves)),
        Type::Structs(members) => {
            let values = |member: &Column| match member.kind {
                Type::Int => Values::Int(Vec::new()),
                Type::Long => Values::Long(Vec::new()),
                _ => unreachable!("the groups of a list hold numbers"),
            };
            return leaves.extend(members.iter().map(|member| Leaf { values: values(member), shape: nested() }));
        }
        Type::Numbers => {
            leaves.push(Leaf { values: Values::Word(Default::default()), shape: nested() });
            (Values::Decimal(Vec::new()), nested())
        }
        Type::Texts => (Values::Word(Default::default()), nested()),
        Type::Pairs => (Values::Text(Default::default()), nested()),
        Type::Word => (Values::Word(Default::default()), flat),
        Type::Text => (Values::Text(Default::default()), flat),
        Type::Flag => (Values::Flag(Vec::new()), flat),
        Type::Int => (Values::Int(Vec::new()), flat),
        Type::Long | Type::Time => (Values::Long(Vec::new()), flat),
        Type::Double => (Values::Double(Vec::new()), flat),
        Type::Decimal => (Values::Decimal(Vec::new()), flat),
    };
    leaves.push(Leaf { values, shape });
}

/// Fills the columns of one row, one call per column in their order.
struct Filler<'a> {
    leaves: std::slice::IterMut<'a, Leaf>,
    size_bytes: usize,
}

macro_rules! fill {
    ($($name:ident, $maybe:ident, $variant:ident: $type:ty;)*) => {$(
        fn $name(&mut self, value: $type) {
            self.$maybe(Some(value));
        }

        fn $maybe(&mut self, value: Option<$type>) {
            let leaf = self.next();
            match &mut leaf.values {
                Values::$variant(values) => values.push(value.unwrap_or_default()),
                _ => unreachable!("the columns and what fills them have the same order"),
            }
            leaf.mark(value.is_some());
            self.size_bytes += size_of::<$type>();
        }
    )*};
}

impl Filler<'_> {
    fill! {
        flag, maybe_flag, Flag: bool;
        int, maybe_int, Int: i32;
        long, maybe_long, Long: i64;
        double, maybe_double, Double: f64;
        units, maybe_units, Decimal: i128;
    }

    fn next(&mut self) -> &mut Leaf {
        self.leaves.next().expect("the columns and what fills them have the same order")
    }

    fn text(&mut self, text: &str) {
        self.maybe_text(Some(text));
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        let leaf = self.next();
        match text {
            Some(text) => leaf.values.push_text(text.as_bytes()),
            None => leaf.values.push_empty(),
        }
        leaf.mark(text.is_some());
        let held = if matches!(leaf.values, Values::Text(_)) { text.map_or(0, str::len) } else { 0 };
        self.size_bytes += held + size_of::<usize>();
    }

    fn count(&mut self, value: u64) {
        // The codec reads counts as 64-bit integers with a sign.
        self.long(i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn number(&mut self, value: impl Into<Decimal>) {
        self.units(value.into().units());
    }

    fn maybe_number(&mut self, value: Option<impl Into<Decimal>>) {
        self.maybe_units(value.map(|value| value.into().units()));
    }

    /// `base`: the level of an empty list, which is 1 where the list itself may be null.
    fn texts(&mut self, texts: Option<&[String]>, base: u8) {
        let leaf = self.next();
        match texts {
            None => leaf.nested().levels.push((0, 0)),
            Some([]) => leaf.nested().levels.push((base, 0)),
            Some(texts) => {
                for (i, text) in texts.iter().enumerate() {
                    leaf.values.push_text(text.as_bytes());
                    leaf.nested().levels.push((base + 1, u8::from(i > 0)));
                }
            }
        }
        leaf.end_row();
        self.size_bytes += 2 * size_of::<usize>() + texts.map_or(1, <[_]>::len) * 8;
    }

    /// A map that may be null, which it is when it is empty.
    fn numbers<'n>(&mut self, numbers: impl Iterator<Item = (&'n str, Option<Decimal>)> + Clone) {
        let names = self.next();
        for (i, (name, _)) in numbers.clone().enumerate() {
            names.values.push_text(name.as_bytes());
            names.nested().levels.push((2, u8::from(i > 0)));
        }
        if numbers.clone().next().is_none() {
            names.nested().levels.push((0, 0));
        }
        names.end_row();
        let values = self.next();
        let mut count = 0;
        for (i, (_, value)) in numbers.enumerate() {
            if let (Some(value), Values::Decimal(values)) = (value, &mut values.values) {
                values.push(value.units());
            }
            values.nested().levels.push((if value.is_some() { 3 } else { 2 }, u8::from(i > 0)));
            count += 1;
        }
        if count == 0 {
            values.nested().levels.push((0, 0));
        }
        values.end_row();
        self.size_bytes += 4 * size_of::<usize>() + count * 24;
    }

    /// A list of stretches that may be null, which it is when it is empty.
    fn inputs(&mut self, inputs: &[Input]) {
        self.member(inputs, |values, input| match values {
            Values::Int(values) => values.push(input.partition),
            _ => unreachable!("the columns and what fills them have the same order"),
        });
        for offset in [|input: &Input| input.first_offset, |input: &Input| input.last_offset] {
            self.member(inputs, |values, input| match values {
                Values::Long(values) => values.push(offset(input)),
                _ => unreachable!("the columns and what fills them have the same order"),
            });
        }
    }

    /// One member of each group of a list that may be null.
    fn member<T>(&mut self, items: &[T], push: impl Fn(&mut Values, &T)) {
        let leaf = self.next();
        for (i, item) in items.iter().enumerate() {
            push(&mut leaf.values, item);
            leaf.nested().levels.push((2, u8::from(i > 0)));
        }
        if items.is_empty() {
            leaf.nested().levels.push((0, 0));
        }
        leaf.end_row();
        self.size_bytes += 2 * size_of::<usize>() + items.len().max(1) * 10;
    }

    fn pairs(&mut self, pairs: &[(String, String)]) {
        let leaf = self.next();
        let mut size_bytes = 2 * size_of::<usize>();
        for (i, (name, value)) in pairs.iter().enumerate() {
            leaf.values.push_text(name.as_bytes());
            leaf.values.push_text(value.as_bytes());
            leaf.nested().levels.extend([(2, u8::from(i > 0)), (2, 2)]);
            size_bytes += name.len() + value.len() + 20;
        }
        if pairs.is_empty() {
            leaf.nested().levels.push((0, 0));
        }
        leaf.end_row();
        self.size_bytes += size_bytes;
    }

    fn head(&mut self, kind: &str) {
        self.text(kind);
        self.int(1);
    }

    fn trade(&mut self, trade: &TradeRef<'_>, conditions: &[String]) {
        self.head("trade");
        self.text(&trade.venue);
        self.text(&trade.symbol);
        self.maybe_text(trade.trade_id.as_deref());
        self.number(trade.price);
        self.number(trade.quantity);
        self.maybe_text(trade.side.map(Side::as_str));
        self.texts(Some(conditions), 0);
        self.long(trade.event_time);
        self.maybe_long(trade.receive_time);
        self.flag(trade.backfilled);
    }

    fn quote(&mut self, quote: &Quote) {
        self.head("quote");
        self.text(&quote.venue);
        self.text(&quote.symbol);
        self.maybe_number(quote.bid);
        self.maybe_number(quote.bid_quantity);
        self.maybe_number(quote.ask);
        self.maybe_number(quote.ask_quantity);
        self.long(quote.event_time);
        self.maybe_long(quote.receive_time);
    }

    fn bar(&mut self, bar: &Bar) {
        self.head("bar");
        self.text(&bar.symbol);
        self.text(&bar.interval.to_string());
        self.long(bar.start);
        self.long(bar.end);
        for price in [bar.open, bar.high, bar.low, bar.close] {
            self.number(price);
        }
        self.number(bar.volume);
        self.numbers(bar.extra.iter().map(|(name, value)| (name.as_str(), Some(*value))));
        self.maybe_long(bar.receive_time);
    }

    fn gap(&mut self, gap: &Gap) {
        self.head("gap");
        self.text(&gap.symbol);
        self.long(gap.from);
        self.long(gap.to);
        self.text(gap.cause.as_str());
        self.maybe_text(gap.first_missing.as_deref());
        self.maybe_text(gap.last_missing.as_deref());
        self.maybe_long(gap.receive_time);
    }

    fn cancel(&mut self, cancel: &Cancel) {
        self.head("cancel");
        self.text(&cancel.venue);
        self.text(&cancel.symbol);
        self.text(&cancel.trade_id);
        self.maybe_text(None);
        self.maybe_number(cancel.price);
        self.maybe_number(cancel.quantity);
        self.texts(None, 1);
        self.maybe_units(None);
        self.maybe_units(None);
        self.maybe_long(cancel.trade_time);
        self.long(cancel.event_time);
        self.maybe_long(cancel.receive_time);
    }

    fn correction(&mut self, correction: &Correction) {
        self.head("correction");
        self.text(&correction.venue);
        self.text(&correction.symbol);
        self.text(&correction.trade_id);
        self.maybe_text(correction.corrected_id.as_deref());
        self.maybe_number(Some(correction.price));
        self.maybe_number(Some(correction.quantity));
        self.texts(Some(&correction.conditions), 1);
        self.maybe_number(correction.original_price);
        self.maybe_number(correction.original_quantity);
        self.maybe_long(correction.trade_time);
        self.long(correction.event_time);
        self.maybe_long(correction.receive_time);
    }

    fn news(&mut self, news: &News) {
        self.head("news");
        self.text(&news.symbol);
        self.text(&news.news_id);
        self.maybe_text(news.publisher.as_deref());
        self.text(&news.headline);
        self.maybe_text(news.summary.as_deref());
        self.maybe_text(news.url.as_deref());
        self.maybe_number(news.sentiment);
        self.maybe_text(news.scored_by.as_deref());
        self.maybe_number(news.relevance);
        self.long(news.event_time);
        self.maybe_long(news.receive_time);
    }

    fn metrics(&mut self, metrics: &Metrics) {
        self.head("metrics");
        self.text(&metrics.symbol);
        self.text(&metrics.window.to_string());
        self.long(metrics.window_start);
        self.long(metrics.window_end);
        self.count(metrics.rev.into());
        self.flag(metrics.is_final);
        self.maybe_text(metrics.closed_by.map(|by| by.as_str()));
        for price in [metrics.open, metrics.high, metrics.low, metrics.close] {
            self.maybe_number(price);
        }
        self.number(metrics.volume);
        self.maybe_number(metrics.quote_volume);
        self.maybe_number(metrics.vwap);
        self.maybe_text(metrics.vwap_reason.map(|reason| reason.as_str()));
        self.maybe_number(metrics.twap);
        self.maybe_number(metrics.average);
        self.maybe_number(metrics.min);
        self.maybe_number(metrics.max);
        self.maybe_number(metrics.change_pct);
        self.count(metrics.trade_count);
        self.maybe_number(metrics.volatility);
        self.maybe_number(metrics.buy_volume);
        self.flag(metrics.partial);
        self.text(metrics.quality.as_str());
        self.int(metrics.input.partition);
        self.long(metrics.input.first_offset);
        self.long(metrics.input.last_offset);
        self.count(metrics.late);
        self.count(metrics.duplicate);
        self.count(metrics.backfilled);
        self.text(&metrics.config);
        self.maybe_text(metrics.bars.map(|bars| bars.interval.to_string()).as_deref());
        self.maybe_long(metrics.bars.map(|bars| i64::try_from(bars.count).unwrap_or(i64::MAX)));
        let names: Vec<_> = metrics.averages.iter().map(|(average, value)| (average.field(), *value)).collect();
        self.numbers(names.iter().map(|(name, value)| (name.as_str(), *value)));
        self.flag(metrics.gap);
        self.inputs(&metrics.input_before);
        let reasons = &metrics.reasons;
        for reason in [
            reasons.quote_volume,
            reasons.twap,
            reasons.average,
            reasons.change_pct,
            reasons.volatility,
            reasons.buy_volume,
        ] {
            self.maybe_text(reason.map(Undefined::as_str));
        }
        self.maybe_number(metrics.sentiment.and_then(|sentiment| sentiment.mean));
        self.maybe_long(metrics.sentiment.map(|sentiment| i64::try_from(sentiment.count).unwrap_or(i64::MAX)));
        self.double(crate::row::window_size(metrics));
    }

    fn alert(&mut self, alert: &Alert) {
        self.head("alert");
        self.text(&alert.alert_id);
        self.text(&alert.rule);
        self.text(alert.rule_kind.as_str());
        self.text(alert.state.as_str());
        self.text(&alert.symbol);
        self.text(&alert.metric);
        self.text(&alert.window.to_string());
        self.long(alert.window_start);
        self.long(alert.window_end);
        self.text(alert.direction.as_str());
        self.number(alert.value);
        self.number(alert.threshold);
        self.long(alert.event_time);
        self.int(alert.input.partition);
        self.long(alert.input.offset);
        self.count(alert.input.rev.into());
        self.text(&alert.config);
    }

    fn dead_letter(&mut self, letter: &DeadLetter) {
        self.long(letter.time);
        for text in [&letter.reason, &letter.detail, &letter.stage, &letter.source_topic] {
            self.maybe_text(text.as_deref());
        }
        self.maybe_int(letter.source_partition);
        self.maybe_long(letter.source_offset);
        self.maybe_text(letter.key.as_deref());
        self.maybe_text(letter.value.as_deref());
        self.pairs(&letter.headers);
    }
}
