//! Commands in comments: `/train [--destination NAME] [SHA]`, on the first line, by itself.
//! Anybody can write a comment; who may give commands is decided where GitHub is asked.

use super::event::PullRequest;
use super::names;
use crate::report::text::markdown;

/// The word that begins a command.
pub const COMMAND: &str = "/train";

/// Longest name of a destination.
const LONGEST_NAME: usize = 64;

/// Digits of the shortest and the longest commit that are taken for one.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=40;

/// Digits of a commit in a repository with SHA-256.
const SHA256: usize = 64;

/// Characters of what is said back.
const WORD: usize = 80;

/// What somebody wants to be trained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Another destination than the config's.
    pub destination: Option<String>,
    /// The commit that was looked at, or the beginning of its digits.
    pub sha: Option<String>,
}

/// What a comment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nothing that concerns us.
    Nothing,
    /// A command.
    Wish(Wish),
    /// Something like a command; what is wrong with it, in Markdown.
    Wrong(String),
}

/// Reads the first line of a comment.
#[must_use]
pub fn parse(body: &str) -> Said {
    let mut words = body.lines().next().unwrap_or_default().split_whitespace();
    // NOTE: words may have white space before them, a command may not.
    if !body.starts_with(COMMAND) || words.next() != Some(COMMAND) {
        return Said::Nothing;
    }
    match wish(words) {
        Ok(wish) => Said::Wish(wish),
        Err(wrong) => Said::Wrong(wrong),
    }
}

fn wish<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Wish, String> {
    let mut wish = Wish::default();
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
        if option == "--destination" {
            let name = value.or_else(|| words.next()).unwrap_or_default();
            if !is_name(name) {
                return Err("`--destination` needs the name of a destination".to_owned());
            }
            set(&mut wish.destination, name.to_owned(), "one destination")?;
        } else if is_commit(word) {
            set(&mut wish.sha, word.to_ascii_lowercase(), "one commit")?;
        } else {
            return Err(format!("“{}” is not part of it", markdown(word, WORD)));
        }
    }
    Ok(wish)
}

fn set(place: &mut Option<String>, value: String, what: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("it takes {what}")),
    }
}

/// Letters, digits, `-` and `_`, and no option.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_part) && !text.starts_with('-')
}

fn is_commit(text: &str) -> bool {
    let is_length = DIGITS.contains(&text.len()) || text.len() == SHA256;
    is_length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Wish {
    /// The commit to train: the pull request's head, once and for all.
    ///
    /// Between the look at it and the command, the head may have moved. Who names a commit is
    /// held to it, and of a fork it must be named whole: a commit with the same first digits is
    /// made in minutes.
    ///
    /// # Errors
    /// What to answer instead of training.
    pub fn commit(&self, pull_request: &PullRequest) -> Result<String, Answer> {
        let head = pull_request.head_sha.clone();
        match &self.sha {
            Some(sha) if !head.starts_with(sha.as_str()) => Err(Answer::Moved {
                asked: sha.clone(),
                head,
            }),
            Some(sha) if pull_request.is_fork && *sha != head => Err(Answer::ForkNeedsCommit),
            None if pull_request.is_fork => Err(Answer::ForkNeedsCommit),
            _ => Ok(head),
        }
    }
}

/// What is answered to a command. Who may not give commands gets no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The training begins.
    Started {
        /// The commit.
        sha: String,
        /// The destination that was asked for.
        destination: Option<String>,
    },
    /// The command cannot be read; why, in Markdown, from [`Said::Wrong`].
    Wrong(String),
    /// A fork's commit must be named whole.
    ForkNeedsCommit,
    /// The commit that was named is not the head.
    Moved {
        /// What was named.
        asked: String,
        /// What the head is.
        head: String,
    },
}

/// An answer as Markdown.
#[must_use]
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Started { sha, destination } => {
            let place = destination.as_ref();
            let place = place.map(|name| format!(" on {}", markdown(name, WORD)));
            format!(
                "Training of {} has begun{}. The result will be told here.",
                commit(sha),
                place.unwrap_or_default()
            )
        }
        Answer::Wrong(why) => format!(
            "Nothing was started: {why}. The command is `{COMMAND} [--destination NAME] [SHA]`."
        ),
        Answer::ForkNeedsCommit => format!(
            "Nothing was started: this pull request comes from a fork, so its code would run with this repository's rights. Read it, then name the commit that you read, all digits of it: `{COMMAND} SHA`."
        ),
        Answer::Moved { asked, head } => format!(
            "Nothing was started: the last commit of this pull request is {}, not {}. Look at it, then name it: `{COMMAND} SHA`.",
            commit(head),
            commit(asked)
        ),
    }
}

/// A commit in a form that is copied as it is.
fn commit(sha: &str) -> String {
    match is_commit(sha) || names::sha(sha).is_some() {
        true => format!("`{sha}`"),
        false => markdown(sha, WORD),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";

    fn wish(destination: Option<&str>, sha: Option<&str>) -> Said {
        Said::Wish(Wish {
            destination: destination.map(str::to_owned),
            sha: sha.map(str::to_owned),
        })
    }

    #[test]
    fn a_command_is_the_whole_first_line() {
        for (body, said) in [
            ("/train", wish(None, None)),
            ("/train \r\nthanks!", wish(None, None)),
            ("/train --destination gpu", wish(Some("gpu"), None)),
            (
                "/train --destination=gpu-1 EC26C3E",
                wish(Some("gpu-1"), Some("ec26c3e")),
            ),
            (&format!("/train {HEAD}"), wish(None, Some(HEAD))),
        ] {
            assert_eq!(parse(body), said, "{body:?}");
        }
    }

    #[test]
    fn what_is_no_command_concerns_nobody() {
        for body in [
            "",
            " /train",
            "\n/train",
            "please /train",
            "/training",
            "/train-now",
            "/Train",
            "> /train",
            "`/train`",
            "/tra\u{200b}in",
            "/",
            "train",
        ] {
            assert_eq!(parse(body), Said::Nothing, "{body:?}");
        }
    }

    #[test]
    fn a_command_with_anything_else_is_wrong_and_says_so_harmlessly() {
        for body in [
            "/train --destination",
            "/train --destination -x",
            "/train --destination a/b",
            "/train --destination=",
            "/train --destination ä",
            "/train --force",
            "/train abc",
            "/train abcdefg",
            "/train ec26c3e ec26c3f",
            "/train --destination a --destination b",
            "/train && rm -rf /",
            "/train $(id)",
            "/train @team <!-- mlaction:v1 -->",
            &format!("/train {HEAD}0"),
            &format!("/train --destination {}", "a".repeat(65)),
        ] {
            let Said::Wrong(why) = parse(body) else {
                panic!("{body}");
            };
            let text = answer(&Answer::Wrong(why));
            for part in ["@team", "<!--", "$("] {
                assert!(!text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn a_fork_is_trained_at_the_commit_that_was_read() {
        let pull_request = |is_fork| PullRequest {
            number: 7,
            head_sha: HEAD.to_owned(),
            head_repository: None,
            head_ref: "changes".to_owned(),
            base_ref: "main".to_owned(),
            base_sha: HEAD.to_owned(),
            is_fork,
        };
        let moved = |asked: &str| {
            Err(Answer::Moved {
                asked: asked.to_owned(),
                head: HEAD.to_owned(),
            })
        };
        for (sha, is_fork, expected) in [
            (None, false, Ok(HEAD.to_owned())),
            (Some("ec26c3e"), false, Ok(HEAD.to_owned())),
            (Some("ec26c3f"), false, moved("ec26c3f")),
            (None, true, Err(Answer::ForkNeedsCommit)),
            (Some("ec26c3e"), true, Err(Answer::ForkNeedsCommit)),
            (Some(HEAD), true, Ok(HEAD.to_owned())),
            (Some("ec26c3f"), true, moved("ec26c3f")),
        ] {
            let wish = Wish {
                destination: None,
                sha: sha.map(str::to_owned),
            };
            assert_eq!(
                wish.commit(&pull_request(is_fork)),
                expected,
                "{sha:?} {is_fork}"
            );
        }
    }

    #[test]
    fn answers_in_full() {
        let sha = HEAD.to_owned();
        let Said::Wrong(why) = parse("/train **now**") else {
            panic!("it is no command");
        };
        for (given, text) in [
            (
                Answer::Started {
                    sha: sha.clone(),
                    destination: Some("gpu_1".to_owned()),
                },
                "Training of `ec26c3e57ca3a959ca5aad62de7213c562f8c821` has begun on gpu_1. The result will be told here.",
            ),
            (
                Answer::Moved {
                    asked: "ec26c3f".to_owned(),
                    head: sha,
                },
                "Nothing was started: the last commit of this pull request is `ec26c3e57ca3a959ca5aad62de7213c562f8c821`, not `ec26c3f`. Look at it, then name it: `/train SHA`.",
            ),
            (
                Answer::ForkNeedsCommit,
                "Nothing was started: this pull request comes from a fork, so its code would run with this repository's rights. Read it, then name the commit that you read, all digits of it: `/train SHA`.",
            ),
            (
                Answer::Wrong(why),
                "Nothing was started: “&#42;&#42;now&#42;&#42;” is not part of it. The command is `/train [--destination NAME] [SHA]`.",
            ),
        ] {
            assert_eq!(answer(&given), text);
        }
    }

    proptest! {
        #[test]
        fn only_plain_words_come_out(body in "/train[ \t](--destination[ =])?\\PC{0,20}( \\PC{0,50})?") {
            if let Said::Wish(Wish { destination, sha }) = parse(&body) {
                prop_assert!(destination.is_none_or(|name| is_name(&name)));
                prop_assert!(sha.is_none_or(|sha| is_commit(&sha)));
            }
        }
    }
}
