//! What many measurements of one thing say: the median, and how far they lie from it.

use serde_json::{Value, json};

/// The middle one; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Median, median absolute deviation, least and nine tenths; and what odd and even measurements say by themselves: were there
/// no noise, both would say the same.
pub fn summary(values: &[f64]) -> Value {
    let middle = median(values);
    let away: Vec<_> = values.iter().map(|value| (value - middle).abs()).collect();
    let half = |odd: usize| median(&values.iter().skip(odd).step_by(2).copied().collect::<Vec<_>>());
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    json!({
        "median": rounded(middle), "mad": rounded(median(&away)), "least": rounded(at(0.0)), "p90": rounded(at(0.9)),
        "halves": [rounded(half(0)), rounded(half(1))], "count": values.len(),
    })
}

/// To a thousandth.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
