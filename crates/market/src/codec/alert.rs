//! The records of `price-alerts`.

use super::SCHEMA_VERSION;
use super::error::{DecodeError, Reason};
use super::fields::{Fields, fields};
use super::write::Object;
use crate::alert::{Alert, AlertState, Coordinates, Direction, RuleKind};
use crate::json::Raw;

/// The word in `kind`.
const KIND: &str = "alert";

fields! {
    Field {
        Kind = "kind",
        SchemaVersion = "schema_version",
        AlertId = "alert_id",
        Rule = "rule",
        RuleKind = "rule_kind",
        State = "state",
        Symbol = "symbol",
        Metric = "metric",
        Window = "window",
        WindowStart = "window_start",
        WindowEnd = "window_end",
        Direction = "direction",
        Value = "value",
        Threshold = "threshold",
        EventTime = "event_time",
        Input = "input",
        Config = "config",
    }
}

fields! {
    InputField {
        Partition = "partition",
        Offset = "offset",
        Rev = "rev",
    }
}

impl Alert {
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::<Field>::empty();
        fields.read(value)?;
        if fields.text(Field::Kind)? != KIND {
            return Err(fields.error(Field::Kind, Reason::UnknownKind, "is not alert"));
        }
        fields.schema(Field::SchemaVersion)?;
        let (window_start, window_end) = fields.range(Field::WindowStart, Field::WindowEnd, true)?;
        Ok(Self {
            alert_id: fields.string(Field::AlertId)?,
            rule: fields.string(Field::Rule)?,
            rule_kind: fields.word(Field::RuleKind, RuleKind::parse)?,
            state: fields.word(Field::State, AlertState::parse)?,
            symbol: fields.symbol(Field::Symbol)?.into_owned(),
            metric: fields.string(Field::Metric)?,
            window: fields.word(Field::Window, |text| text.parse().ok())?,
            window_start,
            window_end,
            direction: fields.word(Field::Direction, Direction::parse)?,
            value: fields.decimal(Field::Value)?,
            threshold: fields.decimal(Field::Threshold)?,
            event_time: fields.time(Field::EventTime)?,
            input: input(&fields)?,
            config: fields.string(Field::Config)?,
        })
    }

    /// Appends the one form of this record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        object.text("kind", KIND);
        object.integer("schema_version", SCHEMA_VERSION);
        object.text("alert_id", &self.alert_id);
        object.text("rule", &self.rule);
        object.text("rule_kind", self.rule_kind.as_str());
        object.text("state", self.state.as_str());
        object.text("symbol", &self.symbol);
        object.text("metric", &self.metric);
        object.text("window", &self.window.to_string());
        object.integer("window_start", self.window_start);
        object.integer("window_end", self.window_end);
        object.text("direction", self.direction.as_str());
        object.number("value", self.value);
        object.number("threshold", self.threshold);
        object.integer("event_time", self.event_time);
        object.object("input", |object| {
            object.integer("partition", self.input.partition.into());
            object.integer("offset", self.input.offset);
            object.count("rev", self.input.rev.into());
        });
        object.text("config", &self.config);
        object.close();
    }
}

fn input(fields: &Fields<Field>) -> Result<Coordinates, DecodeError> {
    let Raw::Object(text) = fields.raw(Field::Input) else {
        return Err(fields.error(Field::Input, Reason::WrongType, "is not an object"));
    };
    let mut inner = Fields::<InputField>::empty();
    inner.read_text(text)?;
    Ok(Coordinates {
        partition: inner.narrow(InputField::Partition)?,
        offset: inner.integer(InputField::Offset)?,
        rev: inner.narrow(InputField::Rev)?,
    })
}
