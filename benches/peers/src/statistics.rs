//! Means, medians, quantiles.

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that so large a part of `values` is not above; not a number where there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values() {
        let values = [3.0, 1.0, 2.0];
        assert_eq!((median(&values), quantile(&values, 0.99), quantile(&values, 0.0)), (2.0, 3.0, 1.0));
        assert!(median(&[]).is_nan());
    }
}
