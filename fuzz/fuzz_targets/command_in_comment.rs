//! Any comment: it is no command, or one of plain words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mlaction::github::chat::{Said, parse};

fuzz_target!(|body: &str| {
    let Said::Wish(wish) = parse(body) else {
        return;
    };
    let is_plain = |text: &String| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        text.bytes().all(fits) && !text.starts_with('-')
    };
    assert!(body.starts_with("/train"));
    assert!(wish.destination.iter().chain(&wish.sha).all(is_plain));
});
