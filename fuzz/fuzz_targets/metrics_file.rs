//! Any bytes as a metrics file: no panic, and what is read can be reported and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mlaction::metrics::{MetricSet, file};

fuzz_target!(|bytes: &[u8]| {
    let Ok((set, _)) = file::parse(bytes) else {
        return;
    };
    for name in set.names() {
        assert!(set.lookup(&name).is_some(), "{name:?} is not found");
    }
    let json = serde_json::to_string(&set).expect("metrics are JSON");
    let again: MetricSet = serde_json::from_str(&json).expect("metrics are read again");
    assert_eq!(set, again);
});
