//! The records of `aggregated-metrics`.

use super::SCHEMA_VERSION;
use super::error::{DecodeError, Reason};
use super::fields::{Fields, fields};
use super::write::Object;
use crate::average::Average;
use crate::decimal::Decimal;
use crate::json::{Raw, Scanner};
use crate::metrics::{Bars, ClosedBy, Input, Metrics, Quality, Reasons, Sentiment, Undefined, VwapReason};

/// The word in `kind`.
const KIND: &str = "metrics";

fields! {
    Field {
        Kind = "kind",
        SchemaVersion = "schema_version",
        Symbol = "symbol",
        Window = "window",
        WindowStart = "window_start",
        WindowEnd = "window_end",
        Rev = "rev",
        Final = "final",
        ClosedBy = "closed_by",
        Open = "open",
        High = "high",
        Low = "low",
        Close = "close",
        Volume = "volume",
        QuoteVolume = "quote_volume",
        Vwap = "vwap",
        VwapReason = "vwap_reason",
        Twap = "twap",
        Average = "average",
        Min = "min",
        Max = "max",
        ChangePct = "change_pct",
        TradeCount = "trade_count",
        Volatility = "volatility",
        BuyVolume = "buy_volume",
        Partial = "partial",
        Quality = "quality",
        Input = "input",
        Late = "late",
        Duplicate = "duplicate",
        Backfilled = "backfilled",
        Config = "config",
        BarInterval = "bar_interval",
        BarCount = "bar_count",
        Averages = "averages",
        Gap = "gap",
        InputBefore = "input_before",
        QuoteVolumeReason = "quote_volume_reason",
        TwapReason = "twap_reason",
        AverageReason = "average_reason",
        ChangePctReason = "change_pct_reason",
        VolatilityReason = "volatility_reason",
        BuyVolumeReason = "buy_volume_reason",
        Sentiment = "sentiment",
        NewsCount = "news_count",
    }
}

fields! {
    InputField {
        Partition = "partition",
        FirstOffset = "first_offset",
        LastOffset = "last_offset",
    }
}

impl Metrics {
    /// Reads one record. `kind` may be missing, as in the first drafts of the form.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::<Field>::empty();
        fields.read(value)?;
        if fields.opt_text(Field::Kind)?.is_some_and(|kind| kind != KIND) {
            return Err(fields.error(Field::Kind, Reason::UnknownKind, "is not metrics"));
        }
        fields.schema(Field::SchemaVersion)?;
        let (window_start, window_end) = fields.range(Field::WindowStart, Field::WindowEnd, true)?;
        Ok(Self {
            symbol: fields.symbol(Field::Symbol)?.into_owned(),
            window: fields.word(Field::Window, |text| text.parse().ok())?,
            window_start,
            window_end,
            rev: fields.narrow(Field::Rev)?,
            is_final: fields.flag(Field::Final)?,
            closed_by: fields.opt_word(Field::ClosedBy, ClosedBy::parse)?,
            open: fields.opt_price(Field::Open)?,
            high: fields.opt_price(Field::High)?,
            low: fields.opt_price(Field::Low)?,
            close: fields.opt_price(Field::Close)?,
            volume: fields.quantity(Field::Volume)?,
            quote_volume: fields.opt_decimal(Field::QuoteVolume)?,
            vwap: fields.opt_decimal(Field::Vwap)?,
            vwap_reason: fields.opt_word(Field::VwapReason, VwapReason::parse)?,
            twap: fields.opt_decimal(Field::Twap)?,
            average: fields.opt_decimal(Field::Average)?,
            min: fields.opt_price(Field::Min)?,
            max: fields.opt_price(Field::Max)?,
            change_pct: fields.opt_decimal(Field::ChangePct)?,
            trade_count: fields.narrow(Field::TradeCount)?,
            volatility: fields.opt_decimal(Field::Volatility)?,
            buy_volume: fields.opt_quantity(Field::BuyVolume)?,
            partial: fields.flag(Field::Partial)?,
            quality: fields.word(Field::Quality, Quality::parse)?,
            input: input(&fields)?,
            input_before: input_before(&fields)?,
            late: fields.narrow(Field::Late)?,
            duplicate: fields.narrow(Field::Duplicate)?,
            backfilled: fields.narrow(Field::Backfilled)?,
            config: fields.string(Field::Config)?,
            bars: bars(&fields)?,
            averages: averages(&fields)?,
            gap: fields.opt_flag(Field::Gap)?.unwrap_or(false),
            reasons: reasons(&fields)?,
            sentiment: sentiment(&fields)?,
        })
    }

    /// Appends the one form of this record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        object.text("kind", KIND);
        object.integer("schema_version", SCHEMA_VERSION);
        object.text("symbol", &self.symbol);
        object.text("window", &self.window.to_string());
        object.integer("window_start", self.window_start);
        object.integer("window_end", self.window_end);
        object.count("rev", self.rev.into());
        object.flag("final", self.is_final);
        object.text_or_null("closed_by", self.closed_by.map(ClosedBy::as_str));
        object.number_or_null("open", self.open);
        object.number_or_null("high", self.high);
        object.number_or_null("low", self.low);
        object.number_or_null("close", self.close);
        object.number("volume", self.volume);
        object.number_or_null("quote_volume", self.quote_volume);
        object.number_or_null("vwap", self.vwap);
        object.text_or_null("vwap_reason", self.vwap_reason.map(VwapReason::as_str));
        object.number_or_null("twap", self.twap);
        object.number_or_null("average", self.average);
        object.number_or_null("min", self.min);
        object.number_or_null("max", self.max);
        object.number_or_null("change_pct", self.change_pct);
        object.count("trade_count", self.trade_count);
        object.number_or_null("volatility", self.volatility);
        object.number_or_null("buy_volume", self.buy_volume);
        object.flag("partial", self.partial);
        object.text("quality", self.quality.as_str());
        object.object("input", |object| write_input(object, &self.input));
        object.count("late", self.late);
        object.count("duplicate", self.duplicate);
        object.count("backfilled", self.backfilled);
        object.text("config", &self.config);
        if let Some(bars) = self.bars {
            object.text("bar_interval", &bars.interval.to_string());
            object.count("bar_count", bars.count);
        }
        if !self.averages.is_empty() {
            object.object("averages", |object| {
                self.averages.iter().for_each(|(average, value)| object.number_or_null(&average.field(), *value));
            });
        }
        if self.gap {
            object.flag("gap", true);
        }
        if !self.input_before.is_empty() {
            object.objects("input_before", &self.input_before, write_input);
        }
        object.opt_text("quote_volume_reason", self.reasons.quote_volume.map(Undefined::as_str));
        object.opt_text("twap_reason", self.reasons.twap.map(Undefined::as_str));
        object.opt_text("average_reason", self.reasons.average.map(Undefined::as_str));
        object.opt_text("change_pct_reason", self.reasons.change_pct.map(Undefined::as_str));
        object.opt_text("volatility_reason", self.reasons.volatility.map(Undefined::as_str));
        object.opt_text("buy_volume_reason", self.reasons.buy_volume.map(Undefined::as_str));
        if let Some(Sentiment { mean, count }) = self.sentiment {
            object.opt_number("sentiment", mean);
            object.count("news_count", count);
        }
        object.close();
    }
}

fn sentiment(fields: &Fields<Field>) -> Result<Option<Sentiment>, DecodeError> {
    if matches!(fields.raw(Field::NewsCount), Raw::Absent | Raw::Null) {
        return Ok(None);
    }
    Ok(Some(Sentiment { mean: fields.opt_decimal(Field::Sentiment)?, count: fields.narrow(Field::NewsCount)? }))
}

fn reasons(fields: &Fields<Field>) -> Result<Reasons, DecodeError> {
    Ok(Reasons {
        quote_volume: fields.opt_word(Field::QuoteVolumeReason, Undefined::parse)?,
        twap: fields.opt_word(Field::TwapReason, Undefined::parse)?,
        average: fields.opt_word(Field::AverageReason, Undefined::parse)?,
        change_pct: fields.opt_word(Field::ChangePctReason, Undefined::parse)?,
        volatility: fields.opt_word(Field::VolatilityReason, Undefined::parse)?,
        buy_volume: fields.opt_word(Field::BuyVolumeReason, Undefined::parse)?,
    })
}

fn bars(fields: &Fields<Field>) -> Result<Option<Bars>, DecodeError> {
    let interval = fields.opt_word(Field::BarInterval, |text| text.parse().ok())?;
    interval.map(|interval| Ok(Bars { interval, count: fields.narrow(Field::BarCount)? })).transpose()
}

/// Averages of a kind that this version does not know are left out.
fn averages(fields: &Fields<Field>) -> Result<Vec<(Average, Option<Decimal>)>, DecodeError> {
    let wrong = |what: &str| fields.error(Field::Averages, Reason::WrongType, what);
    let text = match fields.raw(Field::Averages) {
        Raw::Absent | Raw::Null => return Ok(Vec::new()),
        Raw::Object(text) => text,
        _ => return Err(wrong("is not an object")),
    };
    let mut scanner = Scanner::new(text);
    let (mut averages, mut more) = (Vec::new(), scanner.begin()?.unwrap_or(false));
    while more {
        let name = scanner.name()?.text().unwrap_or_default();
        let value;
        (value, more) = scanner.field()?;
        let value = match value {
            Raw::Null => None,
            Raw::Number(digits) => Some(Decimal::parse(digits.as_bytes()).map_err(|error| wrong(&error.to_string()))?),
            _ => return Err(wrong("has a value that is not a number")),
        };
        averages.extend(Average::of_field(&name).map(|average| (average, value)));
    }
    Ok(averages)
}

fn write_input(object: &mut Object<'_>, input: &Input) {
    object.integer("partition", input.partition.into());
    object.integer("first_offset", input.first_offset);
    object.integer("last_offset", input.last_offset);
}

fn input(fields: &Fields<Field>) -> Result<Input, DecodeError> {
    let Raw::Object(text) = fields.raw(Field::Input) else {
        return Err(fields.error(Field::Input, Reason::WrongType, "is not an object"));
    };
    read_input(text)
}

fn input_before(fields: &Fields<Field>) -> Result<Vec<Input>, DecodeError> {
    let wrong = || fields.error(Field::InputBefore, Reason::WrongType, "is not a list of objects");
    let text = match fields.raw(Field::InputBefore) {
        Raw::Absent | Raw::Null => return Ok(Vec::new()),
        Raw::Array(text) => text,
        _ => return Err(wrong()),
    };
    let mut inputs = Vec::new();
    Scanner::new(text).items(|item| {
        let Raw::Object(text) = item else { return Err(wrong()) };
        inputs.push(read_input(text)?);
        Ok(())
    })?;
    Ok(inputs)
}

fn read_input(text: &str) -> Result<Input, DecodeError> {
    let mut inner = Fields::<InputField>::empty();
    inner.read_text(text)?;
    Ok(Input {
        partition: inner.narrow(InputField::Partition)?,
        first_offset: inner.integer(InputField::FirstOffset)?,
        last_offset: inner.integer(InputField::LastOffset)?,
    })
}
