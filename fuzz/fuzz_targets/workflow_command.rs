//! Any text in a step's log: nothing of it is a command to a runner, and nothing but commands is
//! changed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mlaction::github::log::{Level, Place, annotation, harmless};

/// What the runner would take for commands.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with("::") || line.contains("##[")
}

fuzz_target!(|text: &str| {
    let lines = |text: &str| text.split(['\n', '\r']).any(is_command);
    let shown = harmless(text);
    assert!(!lines(&shown));
    if !lines(text) {
        assert_eq!(shown, text);
    }
    let place = Place {
        path: text,
        line: 1,
    };
    for place in [None, Some(place)] {
        let line = annotation(Level::Error, place, text, text);
        assert!(!line.contains(['\n', '\r']));
    }
});
