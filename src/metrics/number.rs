//! A number that keeps the digits it was written with.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A metric's value: the text as written, and the same as a float for comparing.
///
/// In JSON it is a number with the very digits of the source, or one of the strings `"NaN"`,
/// `"Infinity"` and `"-Infinity"`, which JSON has no number for.
#[derive(Clone)]
pub struct Number {
    text: String,
    value: f64,
}

/// Longest text that is taken for a number. No program prints more digits on purpose, and a
/// series keeps many of them.
pub(super) const MAX_CHARS: usize = 128;

impl Number {
    /// Reads a number as programs print it: `0.90`, `1e-5`, `+.5`, `nan`, `-inf`, `Infinity`.
    ///
    /// Text that is a valid JSON number is kept digit by digit; other spellings are normalised.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut number = Self {
            text: String::new(),
            value: 0.0,
        };
        number.replace(text).then_some(number)
    }

    /// Becomes the number in `text`, in the memory that it has; unchanged when it is not one.
    pub(super) fn replace(&mut self, text: &str) -> bool {
        let text = text.trim();
        if text.len() > MAX_CHARS {
            return false;
        }
        let Ok(value) = text.parse::<f64>() else {
            return false;
        };
        if value.is_finite() && is_json_number(text) {
            self.text.clear();
            self.text.push_str(text);
            self.value = value;
        } else {
            *self = Self::from(value);
        }
        true
    }

    /// Reads a number of a JSON document: a JSON number, or one of the three strings.
    pub(super) fn from_json(raw: &str) -> Option<Self> {
        match raw {
            "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\"" => Self::parse(raw.trim_matches('"')),
            _ if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                Self::parse(raw)
            }
            _ => None,
        }
    }

    /// The value as a float; digits past a float's precision are only in [`Self::as_str`].
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The text as it was written, or `NaN`, `Infinity`, `-Infinity`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// False for NaN and the infinities, which never pass a gate.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.value.is_finite()
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        let text = if value.is_nan() {
            "NaN".to_owned()
        } else if value == f64::INFINITY {
            "Infinity".to_owned()
        } else if value == f64::NEG_INFINITY {
            "-Infinity".to_owned()
        } else {
            serde_json::to_string(&value).unwrap_or_else(|_| value.to_string())
        };
        Self { text, value }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The grammar of RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_finite() {
            let raw =
                RawValue::from_string(self.text.clone()).map_err(serde::ser::Error::custom)?;
            raw.serialize(serializer)
        } else {
            serializer.serialize_str(&self.text)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(raw.get()).ok_or_else(|| {
            let shown: String = raw.get().chars().take(40).collect();
            D::Error::custom(format!("`{shown}` is not a number"))
        })
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number with every digit as written, or a value JSON has no number for",
            "anyOf": [{ "type": "number" }, { "enum": ["NaN", "Infinity", "-Infinity"] }]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_digit_of_a_json_number_survives() {
        for text in [
            "0.90",
            "0.1000000000000000055511151231257827",
            "1e-400",
            "123456789012345678901",
            "-0.0",
            "1E5",
        ] {
            let number: Number = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
        }
    }

    #[test]
    fn spellings_that_json_does_not_know_are_normalised() {
        for (text, json) in [
            ("+.5", "0.5"),
            ("1.", "1.0"),
            ("nan", "\"NaN\""),
            ("-inf", "\"-Infinity\""),
            ("007", "7.0"),
            ("1e999", "\"Infinity\""),
        ] {
            let number = Number::parse(text).unwrap();
            assert_eq!(serde_json::to_string(&number).unwrap(), json);
            let again: Number = serde_json::from_str(json).unwrap();
            assert_eq!(again, number);
        }
        assert_eq!(Number::parse("abc"), None);
        assert_eq!(Number::parse(""), None);
    }

    #[test]
    fn a_document_has_numbers_and_three_words() {
        for refused in ["\"0.5\"", "\"nan\"", "null", "true", "[1]"] {
            assert!(
                serde_json::from_str::<Number>(refused).is_err(),
                "{refused}"
            );
        }
        let endless = "1".repeat(MAX_CHARS + 1);
        assert!(serde_json::from_str::<Number>(&endless).is_err());
    }

    proptest! {
        #[test]
        fn what_a_program_prints_is_read_as_the_same_value(value in any::<f64>()) {
            let number = Number::parse(&format!("{value:?}")).unwrap();
            prop_assert!(number.value() == value || value.is_nan() && number.value().is_nan());
            let json = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), number);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = (Number::parse(&text), Number::from_json(&text));
        }
    }
}
