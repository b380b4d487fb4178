//! Curves as the faces draw them: grouped by what they measure, in a bounded number of points.

use indexmap::IndexMap;

use crate::metrics::{Number, Series};

/// Words that say on which data a metric was measured, not what it is.
const SPLITS: [&str; 12] = [
    "train",
    "training",
    "learn",
    "validation",
    "valid",
    "val",
    "eval",
    "evaluation",
    "test",
    "dev",
    "holdout",
    "best",
];

/// Values whose magnitude is larger are drawn as gaps: no axis can show them beside others.
const LARGEST: f64 = 1e100;

/// Curves that belong in one plot.
#[derive(Debug, PartialEq)]
pub struct Group<'a> {
    /// Name and values of each line, in the report's order.
    pub lines: Vec<(&'a str, &'a Series)>,
}

/// Puts `train_loss`, `loss` and `validation_loss` together, at most `limit` to a group.
#[must_use]
pub fn groups(curves: &IndexMap<String, Series>, limit: usize) -> Vec<Group<'_>> {
    let mut found: IndexMap<String, Vec<Group<'_>>> = IndexMap::new();
    for (name, series) in curves {
        let parts = found.entry(measure(name)).or_default();
        match parts.last_mut() {
            Some(group) if group.lines.len() < limit => group.lines.push((name, series)),
            _ => parts.push(Group {
                lines: vec![(name, series)],
            }),
        }
    }
    found.into_values().flatten().collect()
}

/// What a name measures: the name without the words for the data it was measured on.
fn measure(name: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut after_split = false;
    for word in name.split(|char: char| !char.is_alphanumeric()) {
        let word = word.to_lowercase();
        if SPLITS.contains(&word.as_str()) {
            after_split = true;
        } else if !(after_split && word.bytes().all(|byte| byte.is_ascii_digit())) {
            after_split = false;
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// A point of a line; `None` is a gap.
pub type Point = Option<(f64, f64)>;

/// The points of a curve, at most about `limit`: of each stretch its least and its largest
/// value, so that a spike stays; what is not finite leaves a gap.
#[must_use]
pub fn points(series: &Series, limit: usize) -> Vec<Point> {
    let steps = &series.steps;
    let usable = steps.len() == series.values.len()
        && steps.iter().all(|step| step.abs() <= LARGEST)
        && steps.is_sorted();
    let all: Vec<Point> = series
        .values
        .iter()
        .map(Number::value)
        .enumerate()
        .map(|(index, value)| {
            let step = if usable { steps[index] } else { index as f64 };
            (value.abs() <= LARGEST).then_some((step, value))
        })
        .collect();
    if all.len() <= limit {
        return all;
    }
    let stretch = all.len().div_ceil((limit / 2).max(1));
    all.chunks(stretch).flat_map(extremes).collect()
}

/// The least and the largest point of a stretch in their order, and a gap if there is one.
fn extremes(stretch: &[Point]) -> Vec<Point> {
    let finite = || stretch.iter().flatten().copied();
    let least = finite().min_by(|a, b| a.1.total_cmp(&b.1));
    let most = finite().max_by(|a, b| a.1.total_cmp(&b.1));
    let mut kept: Vec<(f64, f64)> = least.into_iter().chain(most).collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    kept.dedup();
    let gap = stretch.iter().any(Option::is_none).then_some(None);
    kept.into_iter().map(Some).chain(gap).collect()
}

/// The least and largest step and value of some points, if there are any.
#[must_use]
pub fn bounds<'a>(points: impl Iterator<Item = &'a Point>) -> Option<[(f64, f64); 2]> {
    points.flatten().fold(None, |bounds, &(step, value)| {
        let [low, high] = bounds.unwrap_or([(step, value); 2]);
        Some([
            (low.0.min(step), low.1.min(value)),
            (high.0.max(step), high.1.max(value)),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = f64>) -> Series {
        let values: Vec<Number> = values.into_iter().map(Number::from).collect();
        Series {
            steps: (0..values.len()).map(|step| step as f64).collect(),
            count: values.len() as u64,
            values,
        }
    }

    #[test]
    fn the_same_measure_on_other_data_shares_a_plot() {
        let curves: IndexMap<String, Series> = [
            "train_loss",
            "accuracy",
            "validation_loss",
            "validation_0-logloss",
            "train-logloss",
            "valid_1's auc",
            "val/loss",
        ]
        .map(|name| (name.to_owned(), Series::default()))
        .into();
        let names: Vec<Vec<&str>> = groups(&curves, 6)
            .into_iter()
            .map(|group| group.lines.into_iter().map(|(name, _)| name).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec!["train_loss", "validation_loss", "val/loss"],
                vec!["accuracy"],
                vec!["validation_0-logloss", "train-logloss"],
                vec!["valid_1's auc"],
            ]
        );
        assert_eq!(groups(&curves, 2).len(), 5);
    }

    #[test]
    fn thinning_keeps_the_spike_and_the_gap() {
        let mut values = vec![1.0; 10_000];
        values[7_321] = 50.0;
        values[42] = f64::NAN;
        let points = points(&series(values), 100);
        assert!(points.len() <= 102, "{}", points.len());
        assert!(points.contains(&Some((7_321.0, 50.0))));
        assert!(points.contains(&None));
        let steps: Vec<f64> = points.iter().flatten().map(|point| point.0).collect();
        assert!(steps.is_sorted());
    }

    #[test]
    fn steps_that_make_no_sense_are_counted_anew() {
        let mut odd = series([1.0, f64::INFINITY, 3.0, 1e300]);
        odd.steps = vec![5.0, 2.0, 1.0, 9.0];
        assert_eq!(
            points(&odd, 10),
            [Some((0.0, 1.0)), None, Some((2.0, 3.0)), None]
        );
        assert_eq!(
            bounds(points(&odd, 10).iter()),
            Some([(0.0, 1.0), (2.0, 3.0)])
        );
        assert_eq!(bounds([None].iter()), None);
    }
}
