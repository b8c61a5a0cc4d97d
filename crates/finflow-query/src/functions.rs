//! Functions that the engine of Athena has and DataFusion has not, as far as the library of queries needs them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// `date(timestamp)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Date(Signature);

/// `date_diff('millisecond', a, b)`: whole units from `a` to `b`, of which each is cut to its millisecond first, as those
/// engines do.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DateDiff(Signature);

pub(crate) fn all() -> [ScalarUDF; 2] {
    let one = Signature::any(1, Volatility::Immutable);
    let three = Signature::new(TypeSignature::Any(3), Volatility::Immutable);
    [ScalarUDF::new_from_impl(Date(one)), ScalarUDF::new_from_impl(DateDiff(three))]
}

impl ScalarUDFImpl for Date {
    fn name(&self) -> &str {
        "date"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Scalar(value) => Ok(ColumnarValue::Scalar(value.cast_to(&DataType::Date32)?)),
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(cast(values, &DataType::Date32)?)),
        }
    }
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &str {
        "date_diff"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unit = match &args.args[0] {
            ColumnarValue::Scalar(unit) => unit.cast_to(&DataType::Utf8)?.to_string(),
            ColumnarValue::Array(units) => {
                let units = cast(units, &DataType::Utf8)?;
                let units = units.as_any().downcast_ref::<StringArray>();
                units.filter(|units| !units.is_empty()).map_or_else(String::new, |units| units.value(0).to_owned())
            }
        };
        let Some(length_ms) = length_ms(&unit) else {
            return exec_err!("date_diff: the unit `{unit}` is none of millisecond, second, minute, hour, day");
        };
        let times = |value: &ColumnarValue| -> Result<Int64Array> {
            let array = value.clone().into_array(args.number_rows)?;
            let ns = cast(&array, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
            let ns = cast(&ns, &DataType::Int64)?;
            match ns.as_any().downcast_ref::<Int64Array>() {
                Some(ns) => Ok(ns.clone()),
                None => exec_err!("date_diff: expected times, got {}", array.data_type()),
            }
        };
        let (from, to) = (times(&args.args[1])?, times(&args.args[2])?);
        let ms = |ns: i64| ns.div_euclid(NS_PER_MS);
        let between = |(from, to): (Option<i64>, Option<i64>)| Some((ms(to?) - ms(from?)) / length_ms);
        let all: Int64Array = from.iter().zip(to.iter()).map(between).collect();
        if let [_, ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)] = args.args.as_slice() {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&all, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(all)))
    }
}

const NS_PER_MS: i64 = 1_000_000;

fn length_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "millisecond" => 1,
        "second" => 1_000,
        "minute" => 60_000,
        "hour" => 3_600_000,
        "day" => 86_400_000,
        _ => return None,
    })
}
