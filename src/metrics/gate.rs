//! Gates: limits and regression against a baseline. Pure.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::{Comparison, Incomparable};
use super::{MetricSet, Number};
use crate::config::problem::did_you_mean;
use crate::report::{Change, Direction, GateResult, MetricRow, Outcome};

/// Limits that a metric must keep.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The smallest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Which way is better. Default: `higher` with `min` alone, `lower` with `max` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// How much worse than the baseline the value may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Tolerance>,
}

/// A tolerance: the larger of the two counts; without either, nothing worse passes. A change of
/// exactly the tolerance passes. Of a baseline of zero, every fraction is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// In the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    /// As a fraction of the baseline's magnitude: 0.05 is five percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

impl Gate {
    /// What is impossible about this gate, in words.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let Self {
            min,
            max,
            direction: _,
            regression,
        } = self;
        let mut problems = Vec::new();
        if min.is_none() && max.is_none() && regression.is_none() {
            problems.push("it has no rule; write `min`, `max` or `regression`".to_owned());
        }
        if [min, max]
            .into_iter()
            .flatten()
            .any(|limit| !limit.is_finite())
        {
            problems.push("a limit must be a finite number".to_owned());
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            problems.push(format!(
                "`min` {min} is larger than `max` {max}: nothing passes"
            ));
        }
        if let Some(Tolerance { absolute, relative }) = regression {
            if [absolute, relative]
                .into_iter()
                .flatten()
                .any(|part| !part.is_finite() || *part < 0.0)
            {
                problems.push("a tolerance is zero or a positive number".to_owned());
            }
            if self.direction().is_none() {
                problems
                    .push("`regression` needs `direction = \"higher\"` or `\"lower\"`".to_owned());
            }
        }
        problems
    }

    /// Which way is better, when it is known.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        self.direction.or(match (self.min, self.max) {
            (Some(_), None) => Some(Direction::Higher),
            (None, Some(_)) => Some(Direction::Lower),
            _ => None,
        })
    }

    /// The rule in words: `≥ 0.9 · drop ≤ 0.02`.
    #[must_use]
    pub fn rule(&self) -> String {
        let mut rules = Vec::new();
        rules.extend(self.min.map(|min| format!("≥ {min}")));
        rules.extend(self.max.map(|max| format!("≤ {max}")));
        if let (Some(tolerance), Some(direction)) = (&self.regression, self.direction()) {
            let word = if direction == Direction::Higher {
                "drop"
            } else {
                "rise"
            };
            let absolute = tolerance.absolute.map(|part| part.to_string());
            let relative = tolerance
                .relative
                .map(|part| format!("{} %", tidy(part * 100.0)));
            let allowed: Vec<String> = absolute.into_iter().chain(relative).collect();
            let allowed = if allowed.is_empty() {
                "0".to_owned()
            } else {
                allowed.join(" or ")
            };
            rules.push(format!("{word} ≤ {allowed}"));
        }
        rules.join(" · ")
    }

    /// Judges a value.
    fn evaluate(&self, value: &Number, baseline: Result<&Number, &Incomparable>) -> GateResult {
        let rule = self.rule();
        let result = |outcome, reason| GateResult {
            outcome,
            rule: rule.clone(),
            reason,
        };
        if !value.is_finite() {
            return result(Outcome::Fail, format!("{value} is not a finite number"));
        }
        let number = value.value();
        let mut failed = Vec::new();
        if let Some(min) = self.min.filter(|min| number < *min) {
            failed.push(format!(
                "{value} is below the minimum {min} by {}",
                difference(min, number)
            ));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            failed.push(format!(
                "{value} is above the maximum {max} by {}",
                difference(number, max)
            ));
        }
        let mut undecided = None;
        if let (Some(tolerance), Some(direction)) = (&self.regression, self.direction()) {
            match baseline {
                Ok(baseline) if baseline.is_finite() => {
                    let allowed = tolerance
                        .absolute
                        .unwrap_or(0.0)
                        .max(tolerance.relative.unwrap_or(0.0) * baseline.value().abs());
                    let (worse, verb) = match direction {
                        Direction::Higher => (difference(baseline.value(), number), "fell"),
                        Direction::Lower => (difference(number, baseline.value()), "rose"),
                    };
                    // `allowed` is rounded like the difference, so that equal ones are equal.
                    let allowed = round_beside(allowed, baseline.value().abs().max(number.abs()));
                    if worse > allowed {
                        failed.push(format!(
                            "{verb} by {worse} from the baseline's {baseline} (allowed {allowed})"
                        ));
                    }
                }
                Ok(baseline) => undecided = Some(format!("the baseline's value is {baseline}")),
                Err(why) => undecided = Some(why.to_string()),
            }
        }
        if !failed.is_empty() {
            result(Outcome::Fail, failed.join("; "))
        } else if let Some(why) = undecided {
            result(Outcome::Inconclusive, why)
        } else {
            result(Outcome::Pass, format!("{value} keeps every limit"))
        }
    }
}

/// Significant decimal digits that every binary float keeps.
const DIGITS: i32 = 15;

/// `a - b` without the dust of binary floats: as exact as the larger of the two is written.
fn difference(a: f64, b: f64) -> f64 {
    round_beside(a - b, a.abs().max(b.abs()))
}

/// A number in the decimal places that a number of this magnitude has.
fn round_beside(number: f64, magnitude: f64) -> f64 {
    if !number.is_finite() || magnitude <= 0.0 || !magnitude.is_finite() {
        return number;
    }
    let places = DIGITS - 1 - magnitude.log10().floor() as i32;
    let places = usize::try_from(places).unwrap_or(0);
    format!("{number:.places$}").parse().unwrap_or(number)
}

/// Twelve significant digits: enough for a percentage that people read.
fn tidy(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

/// Gates that name metrics which the run did not report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownMetrics {
    /// The names, each with the nearest that exists.
    pub names: Vec<(String, Option<String>)>,
    /// The names that exist.
    pub existing: Vec<String>,
}

impl fmt::Display for UnknownMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, near)) in self.names.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}there is a gate on `{name}`, which the run did not report"
            )?;
            if let Some(near) = near {
                write!(f, " (did you mean `{near}`?)")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for UnknownMetrics {}

/// One row per metric, gated ones first, each with its baseline, change and verdict.
///
/// # Errors
/// A gate names a metric that is not there.
pub fn rows(
    metrics: &MetricSet,
    gates: &IndexMap<String, Gate>,
    comparison: &Comparison<'_>,
) -> Result<Vec<MetricRow>, UnknownMetrics> {
    let existing: Vec<String> = metrics.names().collect();
    let names: Vec<(String, Option<String>)> = gates
        .keys()
        .filter(|name| metrics.lookup(name).is_none())
        .map(|name| {
            (
                name.clone(),
                did_you_mean(name, existing.iter().map(String::as_str)).map(str::to_owned),
            )
        })
        .collect();
    if !names.is_empty() {
        return Err(UnknownMetrics { names, existing });
    }
    let gated = gates
        .iter()
        .filter_map(|(name, gate)| Some((name, metrics.lookup(name)?, Some(gate))));
    let others = metrics
        .values
        .iter()
        .filter(|(name, _)| !gates.contains_key(*name))
        .map(|(name, metric)| (name, &metric.value, None));
    Ok(gated
        .chain(others)
        .map(|(name, value, gate)| row(name, value, gate, metrics, comparison))
        .collect())
}

fn row(
    name: &str,
    value: &Number,
    gate: Option<&Gate>,
    metrics: &MetricSet,
    comparison: &Comparison<'_>,
) -> MetricRow {
    let source = metrics
        .values
        .get(name)
        .map_or(super::Source::File, |metric| metric.source);
    let baseline = comparison.value(name, source);
    let change = baseline
        .as_ref()
        .ok()
        .filter(|baseline| baseline.is_finite() && value.is_finite())
        .map(|baseline| {
            let absolute = difference(value.value(), baseline.value());
            let relative = absolute / baseline.value().abs();
            Change {
                absolute,
                relative: Some(relative).filter(|relative| relative.is_finite()),
            }
        })
        // JSON has no number for the difference of two numbers near the largest.
        .filter(|change| change.absolute.is_finite());
    MetricRow {
        name: name.to_owned(),
        value: value.clone(),
        source,
        baseline: baseline.as_ref().ok().map(|&number| number.clone()),
        change,
        direction: gate.and_then(Gate::direction),
        gate: gate.map(|gate| gate.evaluate(value, baseline.as_ref().map(|&number| number))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    fn drop_of(absolute: f64) -> Gate {
        Gate {
            min: Some(0.9),
            regression: Some(Tolerance {
                absolute: Some(absolute),
                relative: None,
            }),
            ..Gate::default()
        }
    }

    #[test]
    fn a_drop_of_exactly_the_tolerance_passes() {
        let verdict = drop_of(0.02).evaluate(&number("0.93"), Ok(&number("0.95")));
        assert_eq!(
            (verdict.outcome, verdict.rule.as_str()),
            (Outcome::Pass, "≥ 0.9 · drop ≤ 0.02")
        );
    }

    #[test]
    fn tolerances_hold_at_their_edges_at_every_magnitude() {
        use Direction::{Higher, Lower};
        use Outcome::{Fail, Pass};
        let (absolute, relative) = (|part| (Some(part), None), |part| (None, Some(part)));
        for (baseline, value, direction, (absolute, relative), outcome) in [
            ("1000000.3", "1000000.1", Higher, absolute(0.2), Pass),
            ("1000000.3", "1000000.0999", Higher, absolute(0.2), Fail),
            ("0.0000003", "0.0000001", Higher, absolute(2e-7), Pass),
            ("0.3", "0.4", Lower, absolute(0.1), Pass),
            ("0.3", "0.400000001", Lower, absolute(0.1), Fail),
            ("-101.5", "-106.575", Higher, relative(0.05), Pass),
            ("-101.5", "-106.576", Higher, relative(0.05), Fail),
            ("-101.5", "-90", Higher, relative(0.0), Pass),
            ("-1", "-0.9", Lower, relative(0.1), Pass),
            ("0", "0", Lower, relative(0.5), Pass),
            ("0", "1e-9", Lower, relative(0.5), Fail),
            ("0.0", "-0.0", Higher, (None, None), Pass),
            ("0", "0.01", Lower, (Some(0.01), Some(0.5)), Pass),
            ("1e308", "-1e308", Higher, absolute(1.0), Fail),
            ("1e-320", "0", Higher, absolute(0.0), Fail),
            ("0.9", "0.95", Higher, (None, None), Pass),
        ] {
            let gate = Gate {
                direction: Some(direction),
                regression: Some(Tolerance { absolute, relative }),
                ..Gate::default()
            };
            let verdict = gate.evaluate(&number(value), Ok(&number(baseline)));
            assert_eq!(
                verdict.outcome, outcome,
                "{baseline} → {value}: {}",
                verdict.reason
            );
        }
    }

    #[test]
    fn a_class_has_a_gate_a_baseline_and_a_change() {
        use super::super::baseline::{Baseline, BaselineMetric, Definitions, SCHEMA_VERSION};
        let name = "per_class.cat.recall";
        let metrics = |value: &str| MetricSet {
            per_class: IndexMap::from([(
                "cat".to_owned(),
                IndexMap::from([("recall".to_owned(), number(value))]),
            )]),
            ..MetricSet::default()
        };
        let definition = None;
        let value = number("0.96");
        let baseline = Baseline {
            schema_version: SCHEMA_VERSION,
            run: "demo-1".to_owned(),
            commit: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            planned_at: None,
            data: IndexMap::new(),
            validation: String::new(),
            metrics: IndexMap::from([(name.to_owned(), BaselineMetric { value, definition })]),
        };
        let comparison = Comparison {
            baseline: Some(&baseline),
            data: &IndexMap::new(),
            validation: "",
            definitions: &Definitions::default(),
        };
        let gates = IndexMap::from([(name.to_owned(), drop_of(0.02))]);
        let rows = rows(&metrics("0.91"), &gates, &comparison).unwrap();
        let verdict = rows[0].gate.as_ref().unwrap();
        assert_eq!(
            (verdict.outcome, rows[0].change.unwrap().absolute),
            (Outcome::Fail, -0.05)
        );
        let gates = IndexMap::from([("per_class.cat.recal".to_owned(), drop_of(0.02))]);
        let unknown = super::rows(&metrics("0.91"), &gates, &comparison).unwrap_err();
        assert!(
            unknown
                .to_string()
                .ends_with("(did you mean `per_class.cat.recall`?)")
        );
    }

    #[test]
    fn a_failure_says_by_how_much_against_what() {
        let verdict = drop_of(0.02).evaluate(&number("0.81"), Ok(&number("0.97")));
        assert_eq!(verdict.outcome, Outcome::Fail);
        assert_eq!(
            verdict.reason,
            "0.81 is below the minimum 0.9 by 0.09; fell by 0.16 from the baseline's 0.97 (allowed 0.02)"
        );
    }

    #[test]
    fn nan_and_infinity_never_pass() {
        for text in ["nan", "inf", "-inf"] {
            assert_eq!(
                drop_of(1e9)
                    .evaluate(&number(text), Ok(&number("0.9")))
                    .outcome,
                Outcome::Fail
            );
            let verdict = drop_of(1e9).evaluate(&number("0.95"), Ok(&number(text)));
            assert_eq!(verdict.outcome, Outcome::Inconclusive);
        }
    }

    #[test]
    fn without_a_comparable_baseline_the_limits_still_count() {
        let why = Incomparable::NoBaseline;
        assert_eq!(
            drop_of(0.02).evaluate(&number("0.95"), Err(&why)).outcome,
            Outcome::Inconclusive
        );
        assert_eq!(
            drop_of(0.02).evaluate(&number("0.85"), Err(&why)).outcome,
            Outcome::Fail
        );
    }

    #[test]
    fn impossible_gates_are_named() {
        assert_eq!(Gate::default().check().len(), 1);
        let both = Gate {
            min: Some(2.0),
            max: Some(1.0),
            regression: Some(Tolerance::default()),
            ..Gate::default()
        };
        assert_eq!(both.check().len(), 2);
        assert!(drop_of(-1.0).check()[0].contains("tolerance"));
    }
}
