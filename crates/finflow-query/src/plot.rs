//! A column of numbers as a picture of characters.

use anyhow::{Context as _, bail, ensure};
use datafusion::arrow::array::Float64Array;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::array_value_to_string;

use crate::output::Rows;

const WIDTH: usize = 72;
const HEIGHT: usize = 16;

/// Draws a column in the order of the rows.
pub(crate) fn of(rows: &Rows, column: &str) -> anyhow::Result<String> {
    let fields = rows.schema.fields();
    let Some(at) = fields.iter().position(|field| field.name() == column && field.data_type().is_numeric()) else {
        let numeric = fields.iter().filter(|field| field.data_type().is_numeric());
        let names: Vec<&str> = numeric.map(|field| field.name().as_str()).collect();
        bail!("plot {column}: the rows have no such column of numbers; they have: {}", names.join(", "));
    };
    let mut points = Vec::new();
    for batch in &rows.batches {
        let numbers = cast(batch.column(at), &DataType::Float64).context("plot the column")?;
        let numbers = numbers.as_any().downcast_ref::<Float64Array>().context("plot the column")?;
        points.extend(numbers.iter().flatten().filter(|value| value.is_finite()));
    }
    ensure!(!points.is_empty(), "plot {column}: no row has a number there");
    Ok(format!("{column}, {} rows\n{}\n{}", points.len(), draw(&points), ends(rows, points.len().min(WIDTH))))
}

fn draw(points: &[f64]) -> String {
    let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let span = if high > low { high - low } else { 1.0 };
    let width = points.len().min(WIDTH);
    let level = |value: f64| (((value - low) / span) * (HEIGHT - 1) as f64).round() as usize;
    let mut grid = vec![vec![' '; width]; HEIGHT];
    for column in 0..width {
        // Each column of characters shows the range of its rows.
        let own = &points[column * points.len() / width..(column + 1) * points.len() / width];
        let (lowest, highest) = own.iter().fold((HEIGHT, 0), |(l, h), x| (l.min(level(*x)), h.max(level(*x))));
        grid[lowest..=highest].iter_mut().for_each(|row| row[column] = '█');
    }
    let mut text = String::new();
    for (row, line) in grid.iter().enumerate().rev() {
        let label = match row {
            0 => format!("{low:.4}"),
            _ if row == HEIGHT - 1 => format!("{high:.4}"),
            _ => String::new(),
        };
        text += &format!("{label:>16} │{}\n", line.iter().collect::<String>().trim_end());
    }
    text + &format!("{:>16} └{}", "", "─".repeat(width))
}

/// The first column of the first and of the last row, below their ends of the curve.
fn ends(rows: &Rows, width: usize) -> String {
    let filled = || rows.batches.iter().filter(|batch| batch.num_rows() > 0);
    let first = filled().next().and_then(|batch| array_value_to_string(batch.column(0), 0).ok()).unwrap_or_default();
    let last = filled().next_back().and_then(|batch| array_value_to_string(batch.column(0), batch.num_rows() - 1).ok());
    let gap = width.saturating_sub(first.chars().count());
    format!("{:>16}  {first} {:>gap$}", "", last.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_line_rises() {
        let picture = draw(&[1.0, 2.0, 3.0, 4.0]);
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 1);
        assert_eq!(lines[0], "          4.0000 │   █");
        assert_eq!(lines[HEIGHT - 1], "          1.0000 │█");
    }

    #[test]
    fn one_value_and_very_many_are_drawn() {
        assert!(draw(&[5.0]).contains('█'));
        let many: Vec<f64> = (0..10_000).map(|n| f64::from(n % 100)).collect();
        let picture = draw(&many);
        assert!(picture.lines().all(|line| line.chars().count() <= WIDTH + 18));
        // Each column has rows from the lowest to the highest.
        assert!(picture.lines().take(HEIGHT).all(|line| line.matches('█').count() == WIDTH), "{picture}");
    }
}
