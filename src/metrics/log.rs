//! Metrics from log lines: SageMaker's metric definitions and presets for common formats.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use memchr::{memchr, memmem};

pub use super::definition::{Definition, DefinitionError};
use super::definition::{GaveUp, Pattern};
use super::prefilter::Prefilter;
use super::preset::Preset;
use super::series::Recorder;
use super::{Metric, MetricSet, Source};

/// Names that presets may discover; a log that prints more is broken or hostile.
const MAX_NAMES: usize = 256;

/// Longest name that a preset may discover.
const MAX_NAME_BYTES: usize = 255;

/// How log forwarders write a tab: syslog escapes control characters by their octal number.
const FORWARDED_TAB: &str = "#011";

struct Compiled {
    name: String,
    pattern: Pattern,
    series: Recorder,
    not_numbers: u64,
    gave_up: u64,
}

/// Reads metrics from pieces of a log.
pub struct LogMetrics {
    definitions: Vec<Compiled>,
    prefilter: Prefilter,
    /// A definition has the forwarders' tab: it is meant for real tabs, too.
    wants_forwarded: bool,
    forwarded: memmem::Finder<'static>,
    /// From where each definition is tried on the piece at hand.
    wanted: Vec<Option<usize>>,
    /// Which have found a value in it.
    done: Vec<bool>,
    presets: Vec<Preset>,
    discovered: IndexMap<String, Recorder>,
    too_many: bool,
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMetrics")
            .field("definitions", &self.definitions.len())
            .field("presets", &self.presets)
            .finish()
    }
}

impl LogMetrics {
    /// Compiles the definitions.
    ///
    /// # Errors
    /// Every definition that cannot be used.
    pub fn new(
        definitions: &[Definition],
        presets: &[Preset],
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Vec::new();
        let mut compiled: Vec<Compiled> = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            let twice = compiled.iter().any(|other| other.name == definition.name);
            let pattern = if twice {
                Err(("the name is there twice".to_owned(), None))
            } else {
                Pattern::new(definition)
            };
            match pattern {
                Ok(pattern) => compiled.push(Compiled {
                    name: definition.name.clone(),
                    pattern,
                    series: Recorder::default(),
                    not_numbers: 0,
                    gave_up: 0,
                }),
                Err((reason, hint)) => errors.push(DefinitionError {
                    index,
                    name: definition.name.clone(),
                    reason,
                    hint,
                }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let needles: Vec<_> = compiled
            .iter()
            .map(|definition| definition.pattern.needles.as_ref())
            .collect();
        Ok(Self {
            prefilter: Prefilter::new(&needles),
            wants_forwarded: definitions
                .iter()
                .any(|definition| definition.regex.contains(FORWARDED_TAB)),
            forwarded: memmem::Finder::new(FORWARDED_TAB),
            wanted: vec![None; compiled.len()],
            done: vec![false; compiled.len()],
            definitions: compiled,
            presets: presets.to_vec(),
            discovered: IndexMap::new(),
            too_many: false,
        })
    }

    /// Reads one piece: the first match of each definition, its first group.
    ///
    /// A tab and `#011`, which log forwarders make of it, are the same: what does not match as
    /// it is written is tried the other way.
    pub fn piece(&mut self, text: &str) {
        let forwarded = self.forwarded.find(text.as_bytes()).is_some();
        let other = if forwarded {
            Some(text.replace(FORWARDED_TAB, "\t"))
        } else if self.wants_forwarded && memchr(b'\t', text.as_bytes()).is_some() {
            Some(text.replace('\t', FORWARDED_TAB))
        } else {
            None
        };
        self.done.fill(false);
        self.define(text);
        if let Some(other) = &other {
            self.define(other);
        }
        let text = match other {
            Some(other) if forwarded => Cow::Owned(other),
            _ => Cow::Borrowed(text),
        };
        self.discover(&text);
    }

    fn define(&mut self, text: &str) {
        self.prefilter.look(text, &mut self.wanted);
        for (index, definition) in self.definitions.iter_mut().enumerate() {
            let Some(from) = self.wanted[index].filter(|_| !self.done[index]) else {
                continue;
            };
            match definition.pattern.find(text, from) {
                Ok(Some(value)) if definition.series.read(value) => self.done[index] = true,
                Ok(Some(_)) => definition.not_numbers += 1,
                Ok(None) => {}
                Err(GaveUp) => definition.gave_up += 1,
            }
        }
    }

    fn discover(&mut self, text: &str) {
        for preset in &self.presets {
            preset.read(text, &mut |name, value| {
                if let Some(series) = self.discovered.get_mut(name) {
                    series.read(value);
                } else if self.discovered.len() == MAX_NAMES || name.len() > MAX_NAME_BYTES {
                    self.too_many = true;
                } else {
                    let mut series = Recorder::default();
                    if series.read(value) {
                        self.discovered.insert(name.to_owned(), series);
                    }
                }
            });
        }
    }

    /// The metrics, and what is worth a warning. Definitions win over presets.
    #[must_use]
    pub fn finish(self) -> (MetricSet, Vec<String>) {
        let mut set = MetricSet::default();
        let mut warnings = Vec::new();
        if self.too_many {
            warnings.push(format!(
                "the log has more than {MAX_NAMES} metric names, or names of more than {MAX_NAME_BYTES} bytes; the rest is left out"
            ));
        }
        for (name, series) in self.discovered {
            store(name, series, &mut set);
        }
        for definition in self.definitions {
            let Compiled {
                name,
                pattern: _,
                series,
                not_numbers,
                gave_up,
            } = definition;
            if not_numbers > 0 {
                warnings.push(format!("`{name}`: {not_numbers} matches were not numbers"));
            }
            if gave_up > 0 {
                warnings.push(format!(
                    "`{name}`: the pattern took too long on {gave_up} lines"
                ));
            }
            store(name, series, &mut set);
        }
        (set, warnings)
    }
}

/// Puts a series' last value, and its curve when it is one, into the set.
fn store(name: String, series: Recorder, set: &mut MetricSet) {
    let Some((value, series)) = series.finish() else {
        return;
    };
    let source = Source::Log;
    set.values.insert(name.clone(), Metric { value, source });
    if series.count > 1 {
        set.series.insert(name, series);
    } else {
        set.series.shift_remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Number;
    use crate::metrics::pieces::Splitter;

    fn definitions(all: &[(&str, &str)]) -> Vec<Definition> {
        let definition = |&(name, regex): &(&str, &str)| Definition {
            name: name.to_owned(),
            regex: regex.to_owned(),
        };
        all.iter().map(definition).collect()
    }

    fn read(log: &[u8], all: &[(&str, &str)], presets: &[Preset]) -> (MetricSet, Vec<String>) {
        let mut metrics = LogMetrics::new(&definitions(all), presets).unwrap();
        let mut splitter = Splitter::new();
        splitter.push(log, &mut |piece| metrics.piece(piece.text));
        splitter.finish(&mut |piece| metrics.piece(piece.text));
        metrics.finish()
    }

    #[test]
    fn the_last_value_wins_and_every_value_is_in_the_series() {
        let (set, warnings) = read(
            b"loss=0.50\nnothing\nloss=0.40 loss=9\nloss=nan\n",
            &[("loss", r"loss=([0-9.]+|nan)")],
            &[],
        );
        assert_eq!(set.values["loss"].value.as_str(), "NaN");
        let values: Vec<&str> = set.series["loss"]
            .values
            .iter()
            .map(Number::as_str)
            .collect();
        assert_eq!(values, ["0.50", "0.40", "NaN"]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn lookarounds_work_and_cannot_hang() {
        let hostile = [b"a".repeat(2000), b"\n".to_vec()].concat();
        let (_, warnings) = read(&hostile, &[("x", r"(a+)(a+)(a+)\1\2\3b")], &[]);
        assert_eq!(warnings, ["`x`: the pattern took too long on 1 lines"]);
    }

    #[test]
    fn a_tab_and_what_forwarders_make_of_it_are_the_same() {
        let all = [
            ("escaped", r"#011test-error:([0-9.]+)"),
            ("tab", r"\ttest-error:([0-9.]+)"),
            ("value", r"error:(\S+)"),
        ];
        for log in ["[1]#011test-error:0.50#011x", "[1]\ttest-error:0.50\tx"] {
            let (set, _) = read(log.as_bytes(), &all, &[Preset::Xgboost]);
            for name in ["escaped", "tab", "value", "test-error"] {
                assert_eq!(
                    set.lookup(name).unwrap().as_str(),
                    "0.50",
                    "{name} in {log}"
                );
            }
        }
    }

    #[test]
    fn all_bad_definitions_are_reported_at_once() {
        let all = definitions(&[
            ("a", "loss=[0-9]+"),
            ("b", "loss=("),
            ("", "(x)"),
            ("c", "(x)"),
            ("c", "(y)"),
        ]);
        let errors = LogMetrics::new(&all, &[]).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "metric definition `a`: the regex has no group",
                "metric definition `b`: the regex is not valid: unclosed group",
                "metric definition ``: a name has 1 to 255 characters",
                "metric definition `c`: the name is there twice",
            ]
        );
    }

    #[test]
    fn a_log_that_invents_names_stays_small() {
        let log: String = (0..10_000)
            .map(|i| format!("{{\"n{i}\": {i}}}\n"))
            .collect();
        let (set, warnings) = read(log.as_bytes(), &[], &[Preset::Json]);
        assert_eq!((set.values.len(), warnings.len()), (MAX_NAMES, 1));
    }

    const ALL: [Preset; 8] = [
        Preset::Keras,
        Preset::Huggingface,
        Preset::Lightning,
        Preset::Xgboost,
        Preset::Lightgbm,
        Preset::Catboost,
        Preset::Json,
        Preset::Tqdm,
    ];

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read(&bytes, &[("x", r"([0-9.]+)")], &ALL);
        }

        #[test]
        fn no_line_of_the_right_letters_makes_it_panic(log in r#"[\[\]{}'":=,/|<#0-9aeinstv%._ \t\r\n-]{0,200}"#) {
            read(log.as_bytes(), &[("x", r"(?<!a)=([0-9.]+)")], &ALL);
        }

        #[test]
        fn a_printed_number_is_found_digit_by_digit(value in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,2})?", noise in "[a-z \\[\\]]{0,30}") {
            let log = format!("{noise} acc={value} {noise}\n{noise} {{\"m\": {{\"acc\": {value}}}}}\n");
            let (set, _) = read(log.as_bytes(), &[("acc", r"acc=(\S+)")], &[Preset::Json]);
            prop_assert_eq!(set.values["acc"].value.as_str(), &value);
            prop_assert_eq!(set.values["m.acc"].value.as_str(), &value);
        }
    }
}
