//! Raw job output → pieces of clean text, streaming, in bounded memory.
//!
//! A piece ends at a line feed, a carriage return or a run of backspaces, as progress bars write
//! them. Bytes that are not UTF-8 are replaced, escape sequences and control characters dropped.

use std::borrow::Cow;

use memchr::memchr3;

/// Longest piece kept whole, in bytes; a longer line is cut.
const MAX_PIECE: usize = 2 * 1024 * 1024;

/// A line is cut at the last white space of this many bytes, so that no number is cut in two.
const CUT_WITHIN: usize = 64 * 1024;

/// What ended a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A line feed, or the end of the output.
    Line,
    /// A carriage return or backspaces: what follows is drawn over it.
    Return,
}

/// A piece of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The text: no control characters but tabs.
    pub text: &'a str,
    /// What ended it.
    pub end: End,
}

/// Splits a stream of bytes that comes in any chunks.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    /// A return was seen; a line feed right after it makes it a line's end.
    returned: bool,
}

impl Splitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and hands out the pieces that they complete.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let at = if self.returned {
                0
            } else {
                match memchr3(b'\n', b'\r', 8, bytes) {
                    Some(at) => at,
                    None => return self.hold(bytes, sink),
                }
            };
            let (text, after) = bytes.split_at(at);
            let returns = after
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | 8))
                .count();
            let (end, skipped) = match after.get(returns) {
                Some(b'\n') => (End::Line, returns + 1),
                Some(_) => (End::Return, returns),
                None => {
                    self.returned = true;
                    return self.hold(text, sink);
                }
            };
            self.returned = false;
            // Most lines lie in one chunk and need no copy.
            if self.pending.is_empty() && text.len() <= MAX_PIECE {
                emit(text, end, sink);
            } else {
                self.hold(text, sink);
                emit(&self.pending, end, sink);
                self.pending.clear();
            }
            bytes = &after[skipped..];
        }
    }

    /// The end of the stream: hands out what is left.
    pub fn finish(self, sink: &mut impl FnMut(Piece<'_>)) {
        if self.returned || !self.pending.is_empty() {
            emit(&self.pending, End::Line, sink);
        }
    }

    /// Keeps the start of a piece, and hands out what is too long to keep.
    fn hold(&mut self, mut text: &[u8], sink: &mut impl FnMut(Piece<'_>)) {
        while self.pending.len() + text.len() > MAX_PIECE {
            let (fits, rest) = text.split_at(MAX_PIECE - self.pending.len());
            self.pending.extend_from_slice(fits);
            text = rest;
            let from = MAX_PIECE - CUT_WITHIN;
            let space = self.pending[from..]
                .iter()
                .rposition(u8::is_ascii_whitespace);
            let cut = space.map_or(MAX_PIECE, |at| from + at + 1);
            emit(&self.pending[..cut], End::Line, sink);
            self.pending.drain(..cut);
        }
        self.pending.extend_from_slice(text);
    }
}

fn emit(bytes: &[u8], end: End, sink: &mut impl FnMut(Piece<'_>)) {
    let text = clean(bytes);
    sink(Piece { text: &text, end });
}

/// Drops escape sequences and control characters, and replaces what is not UTF-8.
fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let is_control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
    // No early exit: this way the compiler looks at many bytes at once.
    if !bytes
        .iter()
        .fold(false, |found, byte| found | is_control(byte))
    {
        // The plain check is several times as fast as the lossy one.
        return std::str::from_utf8(bytes)
            .map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            0x1b => rest = after_escape(rest),
            byte if is_control(&byte) => {}
            byte => kept.push(byte),
        }
    }
    let text = String::from_utf8(kept);
    Cow::Owned(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// What follows an escape sequence (ECMA-48): CSI, OSC and other strings, or two characters.
fn after_escape(bytes: &[u8]) -> &[u8] {
    match bytes.split_first() {
        Some((b'[', rest)) => match rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) {
            Some(end) => &rest[end + 1..],
            None => &[],
        },
        Some((b']' | b'P' | b'X' | b'^' | b'_', rest)) => {
            let end = rest.iter().position(|&byte| byte == 7 || byte == 0x1b);
            match end {
                Some(end) if rest[end] == 0x1b && rest.get(end + 1) == Some(&b'\\') => {
                    &rest[end + 2..]
                }
                Some(end) => &rest[end + 1..],
                None => &[],
            }
        }
        Some((0x20..=0x2f, rest)) => rest.get(1..).unwrap_or_default(),
        Some((_, rest)) => rest,
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(chunks: &[&[u8]]) -> Vec<(String, End)> {
        let mut all = Vec::new();
        let mut sink = |piece: Piece<'_>| all.push((piece.text.to_owned(), piece.end));
        let mut splitter = Splitter::new();
        for chunk in chunks {
            splitter.push(chunk, &mut sink);
        }
        splitter.finish(&mut sink);
        all
    }

    #[test]
    fn returns_and_backspaces_end_a_piece_and_windows_line_ends_are_one() {
        let all = pieces(&[b"a\r\nb\rc\x08\x08\x08d\r\r\nlast"]);
        let texts: Vec<(&str, End)> = all
            .iter()
            .map(|(text, end)| (text.as_str(), *end))
            .collect();
        assert_eq!(
            texts,
            [
                ("a", End::Line),
                ("b", End::Return),
                ("c", End::Return),
                ("d", End::Line),
                ("last", End::Line)
            ]
        );
    }

    #[test]
    fn escape_sequences_and_broken_utf8_do_not_reach_the_text() {
        let all = pieces(&[b"\x1b[34m\x1b[1mtrain: \x1b[0mok \x1b]0;title\x07\xff\x00end\n"]);
        assert_eq!(all[0].0, "train: ok \u{fffd}end");
    }

    #[test]
    fn a_line_of_a_megabyte_survives() {
        let line = vec![b'x'; 1 << 20];
        assert_eq!(pieces(&[&line, b"\n"])[0].0.len(), 1 << 20);
    }

    #[test]
    fn an_endless_line_is_cut_between_words() {
        let line = b"loss=0.123456 ".repeat(MAX_PIECE / 7);
        let all = pieces(&[&line]);
        assert_eq!(all.len(), 3);
        for (text, _) in &all {
            assert!(text.len() <= MAX_PIECE && text.starts_with("loss=") && text.ends_with(' '));
        }
        let chunked: Vec<&[u8]> = line.chunks(1_000).collect();
        assert_eq!(pieces(&chunked), all);
    }

    #[test]
    fn plain_text_in_utf_16_is_still_found() {
        let bytes: Vec<u8> = "loss=0.5\r\nloss=0.25\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let texts: Vec<String> = pieces(&[&bytes])
            .into_iter()
            .map(|(text, _)| text)
            .filter(|text| !text.is_empty())
            .collect();
        assert_eq!(texts, ["loss=0.5", "loss=0.25"]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_pieces(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(8u8), Just(0x1b), any::<u8>()], 0..200), cut in 0usize..200) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(pieces(&[&bytes]), pieces(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}
