//! Standard output, for logs.

use std::io::{self, IsTerminal as _, Write};

use crate::metrics::pieces::{End, Piece, Splitter};
use crate::report::text;
use crate::talk;

/// Standard output for a log: a terminal gets lines without what a program could do to it, a runner
/// of GitHub Actions lines that are no commands, anything else every byte.
#[derive(Debug)]
pub(super) struct LogScreen {
    splitter: Splitter,
    is_terminal: bool,
}

impl LogScreen {
    pub(super) fn new() -> Self {
        Self {
            splitter: Splitter::new(),
            is_terminal: io::stdout().is_terminal() || talk::reads_commands(),
        }
    }

    pub(super) fn finish(self) {
        self.splitter.finish(&mut line);
    }
}

impl Write for LogScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.is_terminal {
            true => self.splitter.push(bytes, &mut line),
            false => io::stdout().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

fn line(piece: Piece<'_>) {
    if piece.end == End::Line {
        // NOTE: whoever read has gone away.
        let _ = writeln!(io::stdout(), "{}", talk::shown(&text::plain(piece.text)));
    }
}
