//! JSON as programs write it: every digit kept, Python's bare words, names that are there twice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting of names; what lies deeper is no metric.
pub(super) const MAX_DEPTH: usize = 16;

/// Longest name, in characters.
const MAX_NAME: usize = 255;

/// Python's words for what JSON has no number for.
const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// An object's members in their order, those that are there twice included.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All(std::marker::PhantomData))
    }
}

/// A name, borrowed when it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Walks through an object: every value that is not an object, with its dotted name.
///
/// `seen` gets the raw text of the value.
pub(super) fn walk(members: Members<'_>, seen: &mut impl FnMut(&str, &str)) {
    descend("", members, 1, seen);
}

fn descend(prefix: &str, members: Members<'_>, depth: usize, seen: &mut impl FnMut(&str, &str)) {
    for (name, value) in members.0 {
        let mut name = clean(&name);
        if !prefix.is_empty() {
            name = clean(&format!("{prefix}.{name}"));
        }
        let raw = value.get();
        match serde_json::from_str(raw) {
            Ok(members) if raw.starts_with('{') && depth < MAX_DEPTH => {
                descend(&name, members, depth + 1, seen);
            }
            _ => seen(&name, raw),
        }
    }
}

/// A name without control characters, of bounded length.
pub(super) fn clean(name: &str) -> String {
    name.chars()
        .filter(|char| !char.is_control())
        .take(MAX_NAME)
        .collect()
}

/// Puts Python's `NaN`, `Infinity` and `-Infinity` in quotes, outside of strings.
pub(super) fn quote_bare_words(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = if rest.starts_with('"') {
            end_of_string(rest)
        } else if let Some(word) = WORDS.iter().find(|word| rest.starts_with(**word)) {
            out.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        } else {
            1
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Length of the string that `text` begins with, quotes included.
fn end_of_string(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 1;
    while let Some(at) = memchr::memchr2(b'"', b'\\', &bytes[end..]) {
        end += at + 1;
        if bytes[end - 1] == b'"' {
            return end;
        }
        // The escaped character may be longer than a byte; its first one cannot end the string.
        end += usize::from(bytes.get(end).is_some_and(u8::is_ascii));
        if end >= bytes.len() {
            break;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walked(text: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        walk(serde_json::from_str(text).unwrap(), &mut |name, raw| {
            all.push((name.to_owned(), raw.to_owned()));
        });
        all
    }

    #[test]
    fn nested_names_are_joined_and_values_are_as_written() {
        let all = walked(r#"{"a": 1.10, "b": {"c\u0007": [1, 2], "d": {}}, "a": "x"}"#);
        let all: Vec<(&str, &str)> = all.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(all, [("a", "1.10"), ("b.c", "[1, 2]"), ("a", "\"x\"")]);
    }

    #[test]
    fn nesting_without_end_ends() {
        let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
        let all = walked(&deep);
        assert_eq!(all[0].0, ["a"; MAX_DEPTH].join("."));
    }

    #[test]
    fn bare_words_are_quoted_outside_of_strings_only() {
        let text = r#"{"NaN \"NaN": NaN, "é\é": [-Infinity, -1, Infinity], "x": "Infinity"}"#;
        let quoted =
            r#"{"NaN \"NaN": "NaN", "é\é": ["-Infinity", -1, "Infinity"], "x": "Infinity"}"#;
        assert_eq!(quote_bare_words(text), quoted);
    }

    proptest! {
        #[test]
        fn words_in_strings_are_left_alone(text in "[a-zNIé\"\\\\ -]{0,20}(NaN|-?Infinity)[\"\\\\é]{0,5}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(quote_bare_words(&json), &*json);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(NaN|Infinity|[\\\\\"é{}:,-]){0,30}") {
            let _ = quote_bare_words(&text);
        }
    }
}
