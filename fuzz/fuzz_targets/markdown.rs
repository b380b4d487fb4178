//! Any text in a report: its Markdown is text still, and the one HTML comment in a comment's body
//! is its own.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mlaction::github::body::{Links, MOST, broken, marker};
use mlaction::report::text::markdown;

fuzz_target!(|text: &str| {
    let escaped = markdown(text, 200);
    assert!(!escaped.contains(['\n', '<', '`', '|']));
    let links = Links {
        marker: marker(text, text, text),
        run_url: Some(text.to_owned()),
        commit: Some(text.to_owned()),
    };
    let body = broken(text, text, text, &links);
    assert!(body.len() <= MOST);
    assert_eq!(body.matches("<!--").count(), 1, "{body}");
});
