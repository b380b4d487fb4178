//! How a container ended, in words.

use bollard::models::{ContainerState, ContainerStateStatusEnum as Status};

/// The end of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    /// The exit code; 128 and the signal's number for one that a signal ended.
    pub(super) code: i64,
    /// Whether the kernel ended it, or a part of it, because memory ran out.
    pub(super) is_out_of_memory: bool,
}

impl Exit {
    /// The end, once there is one.
    pub(super) fn of(state: &ContainerState) -> Option<Self> {
        let has_ended = matches!(state.status, Some(Status::EXITED | Status::DEAD));
        has_ended.then(|| Self {
            code: state.exit_code.unwrap_or(-1),
            is_out_of_memory: state.oom_killed.unwrap_or(false),
        })
    }

    /// How it ended. `last` is the last line that it wrote.
    pub(super) fn words(&self, memory: Option<u64>, last: Option<&str>) -> String {
        let code = self.code;
        let foreign = last.is_some_and(|last| last.to_lowercase().contains("exec format error"));
        match code {
            _ if self.is_out_of_memory && code != 0 => match memory {
                Some(limit) => format!("memory ran out: the limit is {}", binary(limit)),
                None => "memory ran out: the engine's machine has no more".to_owned(),
            },
            _ if foreign => {
                format!("exit code {code}: the image is for another platform than the engine's")
            }
            126 => "exit code 126: the entry point, or what it calls, is not executable".to_owned(),
            127 => "exit code 127: the entry point, or what it calls, was not found".to_owned(),
            137 => "killed from outside, and not for memory (exit code 137)".to_owned(),
            139 => "exit code 139: it accessed memory that is not its own".to_owned(),
            143 => "ended by a SIGTERM from outside (exit code 143)".to_owned(),
            _ => format!("exit code {code}"),
        }
    }

    /// How it ended after we told it to stop.
    pub(super) fn after_stop(&self, grace: u64) -> String {
        match self.code {
            137 => format!("it did not end within {grace} s of SIGTERM, or was killed at once"),
            code => format!("it ended by itself after it was told to (exit code {code})"),
        }
    }
}

/// A limit as it is written: `64 MiB`.
fn binary(bytes: u64) -> String {
    for (size, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let words = |code, is_out_of_memory, memory, last| {
            let exit = Exit {
                code,
                is_out_of_memory,
            };
            exit.words(memory, last)
        };
        let limit = Some(64 << 20);
        assert_eq!(
            words(137, true, limit, None),
            "memory ran out: the limit is 64 MiB"
        );
        assert!(words(1, true, None, None).contains("machine"));
        assert!(words(137, false, limit, None).contains("not for memory"));
        assert!(words(1, false, None, Some("exec /x: exec format error")).contains("platform"));
        assert_eq!(words(3, false, None, Some("oh")), "exit code 3");
    }
}
