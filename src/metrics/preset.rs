//! Log formats that are read by name: which numbers of a line are metrics.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::{Members, quote_bare_words, walk};

/// A log format in the wild.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Preset {
    /// `60/60 - 8s - loss: 0.32 - val_acc: 0.97`
    Keras,
    /// `{'loss': 1.05, 'eval_loss': 0.93}`
    Huggingface,
    /// Progress bars `[00:34<00:01, 27.84it/s, loss=0.22, acc=0.87]` and tables of test results
    Lightning,
    /// `[11]#011train-rmse:0.5#011validation-rmse:0.6`
    Xgboost,
    /// `[LightGBM] [Info] Iteration:1, valid_1 auc : 0.71` and `[10] valid_0's auc: 0.9`
    Lightgbm,
    /// `0: learn: 0.67 test: 0.66 best: 0.66 (0)`
    Catboost,
    /// One JSON object per line, after any prefix; nested names are joined by dots
    Json,
    /// What a tqdm bar says before and after itself: `[00:28<00:00, 3.38it/s, loss=0.4]`
    Tqdm,
}

/// A longer line is no line of JSON metrics; each of its braces would be tried.
const MAX_JSON: usize = 256 * 1024;

/// Braces at which an object may begin, for prefixes that have braces themselves.
const MAX_STARTS: usize = 8;

/// A name as programs print it.
const NAME: &str = r"[A-Za-z_][\w./@-]*";

/// A number as programs print it.
const NUMBER: &str =
    r"([-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:nan|inf(?:inity)?)))";

fn pattern(text: &str) -> Regex {
    #[expect(
        clippy::unwrap_used,
        reason = "constant patterns; a test compiles them all"
    )]
    Regex::new(&text.replace("NAME", NAME).replace("NUMBER", NUMBER)).unwrap()
}

macro_rules! patterns {
    ($($name:ident = $text:expr;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| pattern($text));)*
    };
}

patterns! {
    KERAS = r" - (NAME): NUMBER";
    DICT = r"'([A-Za-z_][\w./@ -]*)': (?:[\w.]+\()?'?NUMBER";
    BAR = r"\[(?:[0-9]+:)+[0-9]+(?:<[^,\]]*)?, *[^,\]]*(?:/s|s/)[A-Za-z]*";
    AFTER_BAR = r"(?:^|,)\s*(NAME)=NUMBER";
    BEFORE_BAR = r"(?:^|[\s,|])(NAME)=NUMBER";
    RICH = r"(?:^|\s)(NAME): NUMBER";
    TABLE = r"^[\s│┃|]+(NAME)[\s│┃|]{2,}NUMBER[\s│┃|]*$";
    BOOST_LINE = r"\[[0-9]+\]\s";
    XGBOOST = r"\s([A-Za-z_]\w*-[\w@.-]+):NUMBER";
    LIGHTGBM = r"(?:Iteration:[0-9]+, |\t)([\w-]+)(?:'s)? ((?:\w+ )?[\w@.-]+) ?: NUMBER";
    CATBOOST_LINE = r"^[0-9]+:\t";
    CATBOOST = r"\t(learn|test[0-9]*|best): NUMBER";
    CATBOOST_END = r"^(bestTest) = NUMBER";
}

/// What is printed like a metric and is none.
const NO_METRICS: [&str; 2] = ["ETA", "v_num"];

impl Preset {
    /// The name as it is written in `mlaction.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keras => "keras",
            Self::Huggingface => "huggingface",
            Self::Lightning => "lightning",
            Self::Xgboost => "xgboost",
            Self::Lightgbm => "lightgbm",
            Self::Catboost => "catboost",
            Self::Json => "json",
            Self::Tqdm => "tqdm",
        }
    }

    /// Hands the name and the text of every number of a piece to `sink`, in the line's order.
    ///
    /// The plain-text tests before the patterns are for speed: most lines are of no format.
    pub(super) fn read(self, text: &str, sink: &mut impl FnMut(&str, &str)) {
        match self {
            Self::Keras => {
                // The counter of batches, `60/60`, comes first.
                if let Some(first) = text.find(" - ")
                    && text[..first].contains('/')
                {
                    each(&KERAS, &text[first..], sink);
                }
            }
            Self::Huggingface => dict(text, sink),
            Self::Lightning => {
                bar(text, sink);
                if text.starts_with([' ', '\t', '│', '┃', '|']) {
                    each(&TABLE, text, sink);
                }
                dict(text, sink);
            }
            Self::Xgboost => {
                if let Some(start) = BOOST_LINE.find(text) {
                    each(&XGBOOST, &text[start.end() - 1..], sink);
                }
            }
            Self::Lightgbm => {
                if text.contains("Iteration:") || text.contains("'s ") {
                    lightgbm(text, sink);
                }
            }
            Self::Catboost => {
                if CATBOOST_LINE.is_match(text) {
                    each(&CATBOOST, text, sink);
                } else if text.starts_with("bestTest") {
                    each(&CATBOOST_END, text, sink);
                }
            }
            Self::Json => json(text, sink),
            Self::Tqdm => {
                if let Some(start) = bar(text, sink) {
                    each(&BEFORE_BAR, &text[..start], sink);
                }
            }
        }
    }
}

/// Every name and number that a pattern finds, when the number ends where it seems to: `265s`,
/// `1:02` and `8751/10000` are no numbers.
fn each(pattern: &Regex, text: &str, sink: &mut impl FnMut(&str, &str)) {
    for found in pattern.captures_iter(text) {
        let (Some(name), Some(number)) = (found.get(1), found.get(2)) else {
            continue;
        };
        if ends(&text[number.end()..]) && !NO_METRICS.contains(&name.as_str()) {
            sink(name.as_str(), number.as_str());
        }
    }
}

/// Whether a number may end before `rest`. `+` begins a deviation: `0.5+0.01`.
fn ends(rest: &str) -> bool {
    let mut chars = rest.chars();
    match chars.next() {
        None => true,
        // `Accuracy=86.08: 100%|██|` is a bar after its description; `1:02` is a time.
        Some(':') => chars.next().is_none_or(char::is_whitespace),
        Some(char) => char.is_whitespace() || ",;)]}|'\"+%│┃•".contains(char),
    }
}

fn dict(text: &str, sink: &mut impl FnMut(&str, &str)) {
    if text.contains("': ") {
        each(&DICT, text, sink);
    }
}

/// What stands behind a progress bar's speed; gives where the first bar's clock begins.
fn bar(text: &str, sink: &mut impl FnMut(&str, &str)) -> Option<usize> {
    if !text.contains("/s") && !text.contains("s/") {
        return None;
    }
    let mut start = None;
    for clock in BAR.find_iter(text) {
        start = start.or(Some(clock.start()));
        let behind = &text[clock.end()..];
        let end = behind.find(']').unwrap_or(behind.len());
        each(&AFTER_BAR, &behind[..end], sink);
    }
    if start.is_none()
        && let Some(speed) = text.rfind("it/s ")
    {
        // The bars of `rich`: `0:00:05 • 0:00:00 89.41it/s v_num: 0.000 train_loss: 0.123`.
        each(&RICH, &text[speed + 4..], sink);
    }
    start
}

fn lightgbm(text: &str, sink: &mut impl FnMut(&str, &str)) {
    for found in LIGHTGBM.captures_iter(text) {
        sink(&format!("{} {}", &found[1], &found[2]), &found[3]);
    }
}

/// The first object of a line. Strings that are numbers count: some loggers quote them all.
fn json(text: &str, sink: &mut impl FnMut(&str, &str)) {
    if text.len() > MAX_JSON || !text.contains('}') {
        return;
    }
    let starts = text.match_indices('{').take(MAX_STARTS);
    for (start, _) in starts {
        let quoted = quote_bare_words(&text[start..]);
        let mut values = serde_json::Deserializer::from_str(&quoted).into_iter::<Members<'_>>();
        if let Some(Ok(members)) = values.next() {
            return walk(members, &mut |name, raw| {
                let is_word = raw.starts_with(['{', '[', 't', 'f', 'n']) || raw == "\"\"";
                if !is_word {
                    sink(name, raw.trim_matches('"'));
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(preset: Preset, text: &str, expected: &[(&str, &str)]) {
        let mut all = Vec::new();
        preset.read(text, &mut |name, number| {
            all.push((name.to_owned(), number.to_owned()));
        });
        let all: Vec<(&str, &str)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(all, expected, "{text}");
    }

    #[test]
    fn keras_has_numbers_behind_a_counter() {
        reads(
            Preset::Keras,
            "60/60 [====] - 8s - loss: 0.3252 - val_acc: 0.9762",
            &[("loss", "0.3252"), ("val_acc", "0.9762")],
        );
        reads(
            Preset::Keras,
            " 128/60000 [....] - ETA: 265s - loss: nan - top-1/acc: 7.0e-02",
            &[("loss", "nan"), ("top-1/acc", "7.0e-02")],
        );
        reads(Preset::Keras, "9/9 - ETA: 1:02 - ETA: 0", &[]);
        reads(Preset::Keras, "2026-01-01 - INFO - workers: 4", &[]);
    }

    #[test]
    fn dictionaries_of_python_are_read_behind_anything() {
        reads(
            Preset::Huggingface,
            "99%|#| 9/9{'loss': 1.01, 'learning_rate': 1e-06, 'note': 'x', 'eval f1': '0.5'}",
            &[
                ("loss", "1.01"),
                ("learning_rate", "1e-06"),
                ("eval f1", "0.5"),
            ],
        );
        reads(
            Preset::Huggingface,
            "{'a': tensor(-0.5, device='cuda:0'), 'b': np.float64(nan), 'c': 3s}",
            &[("a", "-0.5"), ("b", "nan")],
        );
    }

    #[test]
    fn lightning_has_bars_and_tables() {
        let bar = "Epoch 0: 96%| 9/10 [00:34<00:01, 27.84it/s, v_num=7, loss=0.223, acc=87%]";
        reads(Preset::Lightning, bar, &[("loss", "0.223"), ("acc", "87")]);
        reads(
            Preset::Lightning,
            "Epoch 0/9 ━━━ 4/4 0:00:05 • 0:00:00 89.41it/s v_num: 0.000 train_loss: 0.123",
            &[("train_loss", "0.123")],
        );
        for (text, value) in [
            ("        test_acc             90.29", "90.29"),
            ("┃        test_acc            ┃    0.49     ┃", "0.49"),
            ("│ test_acc │ inf │", "inf"),
        ] {
            reads(Preset::Lightning, text, &[("test_acc", value)]);
        }
        reads(Preset::Lightning, "  accuracy      0.83     12500", &[]);
        reads(Preset::Lightning, "AdamW(lr=0.1, momentum=0.9)", &[]);
    }

    #[test]
    fn boosted_trees_report_by_data_set() {
        reads(
            Preset::Xgboost,
            "[11]\ttrain-rmse:0.5+0.01\tvalidation-ndcg@5:0.6",
            &[("train-rmse", "0.5"), ("validation-ndcg@5", "0.6")],
        );
        reads(Preset::Xgboost, "[a] INFO pre-1:2", &[]);
        reads(
            Preset::Lightgbm,
            "[LightGBM] [Info] Iteration:1, valid_1 auc : 0.71",
            &[("valid_1 auc", "0.71")],
        );
        reads(
            Preset::Lightgbm,
            "[10]\tvalid_0's auc: 0.9\tcv_agg's valid l2: 0.3 + 0.01",
            &[("valid_0 auc", "0.9"), ("cv_agg valid l2", "0.3")],
        );
        reads(
            Preset::Catboost,
            "0:\tlearn: 0.67\ttest: 0.66\tbest: 0.65 (0)\ttotal: 54ms",
            &[("learn", "0.67"), ("test", "0.66"), ("best", "0.65")],
        );
        reads(Preset::Catboost, "bestTest = 0.62", &[("bestTest", "0.62")]);
        reads(Preset::Catboost, "bestIteration = 20754", &[]);
    }

    #[test]
    fn json_lines_keep_every_digit() {
        reads(
            Preset::Json,
            r#"x {y} INFO {"a": 1.10, "b": {"c": "3.1e+06"}, "d": "x", "e": [1], "f": true} z"#,
            &[("a", "1.10"), ("b.c", "3.1e+06"), ("d", "x")],
        );
        reads(
            Preset::Json,
            r#"{"loss": NaN, "best": -Infinity, "n": 0.1000000000000000055511151231257827}"#,
            &[
                ("loss", "NaN"),
                ("best", "-Infinity"),
                ("n", "0.1000000000000000055511151231257827"),
            ],
        );
        reads(Preset::Json, "{{{{{{{{{{{}", &[]);
        reads(Preset::Json, r#"{"a": 1"#, &[]);
    }

    #[test]
    fn a_bar_of_tqdm_may_have_a_description() {
        reads(
            Preset::Tqdm,
            "98/98 [00:28<00:00, 3.38batch/s, loss=0.4, lr=1e-3]",
            &[("loss", "0.4"), ("lr", "1e-3")],
        );
        reads(
            Preset::Tqdm,
            "Loss=0.95 Accuracy=78.40:   4%|▍  | 4/98 [00:01<00:28,  3.36s/it]",
            &[("Loss", "0.95"), ("Accuracy", "78.40")],
        );
        reads(Preset::Tqdm, "settings [a, loss=0.4]", &[]);
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        for preset in <Preset as clap::ValueEnum>::value_variants() {
            let json = serde_json::to_string(preset).unwrap();
            assert_eq!(json.trim_matches('"'), preset.name());
        }
    }
}
