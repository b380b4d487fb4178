//! Addresses in S3.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an address in S3 begins with.
const SCHEME: &str = "s3://";

/// Whether a channel's path is an address in S3.
#[must_use]
pub fn is_s3(path: &str) -> bool {
    path.starts_with(SCHEME)
}

/// A bucket, and what the keys in it begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    bucket: String,
    /// Without `/` at its ends for a folder; as it was written for data.
    key: String,
}

impl Location {
    /// An address as it is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address like `s3://BUCKET/PREFIX`");
        let rest = text.strip_prefix(SCHEME).ok_or_else(wrong)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = (3..=63).contains(&bucket.len())
            && !bucket.contains("..")
            && bucket.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
            })
            && !bucket.starts_with(['.', '-'])
            && !bucket.ends_with(['.', '-']);
        if !is_bucket || key.chars().any(char::is_control) {
            return Err(wrong());
        }
        if text.chars().count() > 1024 {
            return Err(format!(
                "the address has more than 1024 characters: `{text}`"
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What the keys begin with.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// An address below this one.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        let key = self.key.trim_end_matches('/');
        Self {
            bucket: self.bucket.clone(),
            key: match key.is_empty() {
                true => below.to_owned(),
                false => format!("{key}/{below}"),
            },
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

impl TryFrom<String> for Location {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_bucket_and_a_key() {
        let data = Location::parse("s3://my-bucket/ml")
            .unwrap()
            .join("data/x/");
        assert_eq!((data.bucket(), data.key()), ("my-bucket", "ml/data/x/"));
        assert_eq!(data.to_string(), "s3://my-bucket/ml/data/x/");
        assert_eq!(Location::parse("s3://abc").unwrap().join("d").key(), "d");
        for bad in [
            "s3://ab/x",
            "s3://A-b/x",
            "https://abc/x",
            "s3://a..b/x",
            "s3://-abc",
            "s3://abc/\n",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
