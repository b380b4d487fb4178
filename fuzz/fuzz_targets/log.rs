//! Any bytes as a log, in any two chunks: no panic, the same metrics, and nothing that a report
//! cannot hold.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mlaction::metrics::MetricSet;
use mlaction::metrics::log::{Definition, LogMetrics};
use mlaction::metrics::pieces::Splitter;
use mlaction::metrics::preset::Preset;

const REGEXES: [&str; 6] = [
    r"loss[=:] ?([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|nan|inf)",
    r".*\[[0-9]+\].*#011train-rmse:([0-9.]+).*",
    r"(?<!val_)acc=(\S+)",
    r"'a': ([0-9.]+)",
    r"^\s*(\d+)\s",
    r"(a+)(a+)\1\2b",
];

const PRESETS: [Preset; 8] = [
    Preset::Keras,
    Preset::Huggingface,
    Preset::Lightning,
    Preset::Xgboost,
    Preset::Lightgbm,
    Preset::Catboost,
    Preset::Json,
    Preset::Tqdm,
];

fn read(chunks: &[&[u8]]) -> (MetricSet, Vec<String>) {
    let definitions: Vec<Definition> = REGEXES
        .iter()
        .enumerate()
        .map(|(index, regex)| Definition {
            name: format!("d{index}"),
            regex: (*regex).to_owned(),
        })
        .collect();
    let mut metrics = LogMetrics::new(&definitions, &PRESETS).expect("the regexes are valid");
    let mut splitter = Splitter::new();
    for chunk in chunks {
        splitter.push(chunk, &mut |piece| {
            assert!(!piece.text.contains(['\n', '\r', '\u{8}', '\u{1b}', '\0']));
            metrics.piece(piece.text);
        });
    }
    splitter.finish(&mut |piece| metrics.piece(piece.text));
    metrics.finish()
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    let (before, after) = bytes.split_at(cut % (bytes.len() + 1));
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&[before, after]));
    let json = serde_json::to_string(&whole.0).expect("metrics are JSON");
    let again: MetricSet = serde_json::from_str(&json).expect("metrics are read again");
    assert_eq!(whole.0, again);
});
