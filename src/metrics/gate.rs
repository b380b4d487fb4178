//! Gates: limits and regression against a baseline. Pure.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::{Comparison, Incomparable};
use super::{MetricSet, Number};
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

/// A tolerance: the larger of the two counts; without either, nothing worse passes.
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
                tidy(min - number)
            ));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            failed.push(format!(
                "{value} is above the maximum {max} by {}",
                tidy(number - max)
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
                        Direction::Higher => (tidy(baseline.value() - number), "fell"),
                        Direction::Lower => (tidy(number - baseline.value()), "rose"),
                    };
                    if worse > tidy(allowed) {
                        failed.push(format!(
                            "{verb} by {worse} from the baseline's {baseline} (allowed {})",
                            tidy(allowed)
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

/// A difference without the dust of binary floats: 12 significant digits.
#[must_use]
pub fn tidy(number: f64) -> f64 {
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
    let existing = || metrics.values.keys().map(String::as_str);
    let names: Vec<(String, Option<String>)> = gates
        .keys()
        .filter(|name| metrics.lookup(name).is_none())
        .map(|name| {
            (
                name.clone(),
                crate::config::problem::did_you_mean(name, existing()).map(str::to_owned),
            )
        })
        .collect();
    if !names.is_empty() {
        return Err(UnknownMetrics {
            names,
            existing: existing().map(str::to_owned).collect(),
        });
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
            let absolute = tidy(value.value() - baseline.value());
            let magnitude = baseline.value().abs();
            Change {
                absolute,
                relative: (magnitude > 0.0).then(|| absolute / magnitude),
            }
        });
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
