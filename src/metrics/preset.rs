//! Log formats that are read by name: which numbers of a line are metrics.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Number;

/// A log format in the wild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// `- loss: 0.32 - val_acc: 0.97`
    Keras,
    /// `{'loss': 1.05, 'eval_loss': 0.93}`
    Huggingface,
    /// `loss=0.22, v_num=7, acc=0.87]` and tables of test results
    Lightning,
    /// `[11]#011train-rmse:0.5#011validation-rmse:0.6`
    Xgboost,
    /// `[LightGBM] [Info] Iteration:1, valid_1 auc : 0.71` and `[10] valid_0's auc: 0.9`
    Lightgbm,
    /// `0: learn: 0.67 test: 0.66 best: 0.66 (0)`
    Catboost,
    /// One JSON object per line; nested names are joined by dots.
    Json,
    /// The postfix of a tqdm bar: `[00:28<00:00, 3.38it/s, loss=0.4]`
    Tqdm,
}

/// A number as programs print it.
const NUMBER: &str = r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|NaN|-?inf)";

fn pattern(before: &str, after: &str) -> Regex {
    #[expect(
        clippy::unwrap_used,
        reason = "constant patterns; a test compiles them all"
    )]
    Regex::new(&format!("{before}{NUMBER}{after}")).unwrap()
}

static KERAS: LazyLock<Regex> = LazyLock::new(|| pattern(r" - ([A-Za-z_][\w/]*): ", ""));
static DICT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"'([A-Za-z_][\w./-]*)': (?:tensor\()?", ""));
static ASSIGNED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:,|\[)\s*([A-Za-z_][\w./-]*)=", ""));
static TABLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[\s│]*((?:test|val)_[\w/]+)[\s│]+", r"[\s│]*$"));
static XGBOOST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:\t|#011| )([A-Za-z][\w]*-[\w@.-]+):", ""));
static LIGHTGBM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:Iteration:[0-9]+, |\t)([\w]+(?:'s)? [\w@]+) ?: ", ""));
static CATBOOST: LazyLock<Regex> = LazyLock::new(|| pattern(r"\t(learn|test|best): ", ""));

impl Preset {
    /// Hands every metric of a piece to `sink`, in the line's order.
    pub(super) fn read(self, text: &str, sink: &mut impl FnMut(&str, Number)) {
        match self {
            Self::Keras => each(&KERAS, text, sink),
            Self::Huggingface => each(&DICT, text, sink),
            Self::Lightning => {
                each(&ASSIGNED, text, sink);
                each(&TABLE, text, sink);
                each(&DICT, text, sink);
            }
            Self::Xgboost => each(&XGBOOST, text, sink),
            Self::Lightgbm => each(&LIGHTGBM, text, sink),
            Self::Catboost => each(&CATBOOST, text, sink),
            Self::Tqdm if text.contains("it/s") || text.contains("s/it") => {
                each(&ASSIGNED, text, sink);
            }
            Self::Tqdm => {}
            Self::Json => json(text, sink),
        }
    }
}

fn each(pattern: &Regex, text: &str, sink: &mut impl FnMut(&str, Number)) {
    for found in pattern.captures_iter(text) {
        if let Some(number) = Number::parse(&found[2]) {
            sink(&found[1], number);
        }
    }
}

fn json(text: &str, sink: &mut impl FnMut(&str, Number)) {
    let Some(start) = text.find('{') else { return };
    if let Ok(Value::Object(object)) = serde_json::from_str::<Value>(&text[start..]) {
        flatten("", &Value::Object(object), sink);
    }
}

fn flatten(prefix: &str, value: &Value, sink: &mut impl FnMut(&str, Number)) {
    let Value::Object(object) = value else { return };
    for (name, value) in object {
        let name = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Number(number) => {
                if let Some(number) = Number::parse(&number.to_string()) {
                    sink(&name, number);
                }
            }
            nested => flatten(&name, nested, sink),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(preset: Preset, text: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        preset.read(text, &mut |name, number| {
            all.push((name.to_owned(), number.to_string()));
        });
        all
    }

    #[track_caller]
    fn reads(preset: Preset, text: &str, expected: &[(&str, &str)]) {
        let all = read(preset, text);
        let all: Vec<(&str, &str)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn each_preset_reads_its_format() {
        reads(
            Preset::Keras,
            "60/60 [====] - 8s - loss: 0.3252 - val_acc: 0.9762",
            &[("loss", "0.3252"), ("val_acc", "0.9762")],
        );
        reads(
            Preset::Huggingface,
            "99%|#| 9/9{'loss': 1.01, 'learning_rate': 1e-06}",
            &[("loss", "1.01"), ("learning_rate", "1e-06")],
        );
        reads(
            Preset::Lightning,
            "Epoch 0: 96%| 9/10 [00:34<00:01, 27.84it/s, loss=0.223, acc=0.875]",
            &[("loss", "0.223"), ("acc", "0.875")],
        );
        reads(
            Preset::Lightning,
            "        test_acc             90.29",
            &[("test_acc", "90.29")],
        );
        reads(
            Preset::Xgboost,
            "[11]#011train-rmse:0.5#011validation-rmse:0.6",
            &[("train-rmse", "0.5"), ("validation-rmse", "0.6")],
        );
        reads(
            Preset::Lightgbm,
            "[LightGBM] [Info] Iteration:1, valid_1 auc : 0.71",
            &[("valid_1 auc", "0.71")],
        );
        reads(
            Preset::Catboost,
            "0:\tlearn: 0.67\ttest: 0.66\tbest: 0.65 (0)",
            &[("learn", "0.67"), ("test", "0.66"), ("best", "0.65")],
        );
        reads(
            Preset::Json,
            r#"INFO {"a": 1, "b": {"c": 0.25}, "d": "x"}"#,
            &[("a", "1"), ("b.c", "0.25")],
        );
        reads(
            Preset::Tqdm,
            "98/98 [00:28<00:00, 3.38it/s, loss=0.4]",
            &[("loss", "0.4")],
        );
        reads(Preset::Tqdm, "settings [a, loss=0.4]", &[]);
    }
}
