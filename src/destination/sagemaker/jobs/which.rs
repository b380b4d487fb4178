//! How a job is named on the command line.

use std::convert::Infallible;
use std::str::FromStr;

/// A job: by its name, by the commit that it trained, or the newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest one of the project.
    Latest,
    /// The newest training job of a commit, of which at least the first seven digits are given.
    Commit(String),
    /// The one with the name.
    Name(String),
}

impl FromStr for Which {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let is_digit = |char: char| matches!(char, '0'..='9' | 'a'..='f');
        Ok(match text {
            "latest" => Self::Latest,
            _ if (7..=64).contains(&text.len()) && text.chars().all(is_digit) => {
                Self::Commit(text.to_owned())
            }
            _ => Self::Name(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_three_names() {
        let which = |text: &str| text.parse::<Which>().unwrap();
        assert_eq!(which("latest"), Which::Latest);
        for commit in ["5a33cd1", "5a33cd1e8b0f4a5a8d1a1c2d3e4f5a6b7c8d9e0f"] {
            assert_eq!(which(commit), Which::Commit(commit.to_owned()));
        }
        for name in ["5a33cd", "churn-5a33cd1e8b-1-train", "5A33CD1"] {
            assert_eq!(which(name), Which::Name(name.to_owned()));
        }
    }
}
