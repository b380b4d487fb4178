//! Go's patterns and regular expressions, as far as `.dockerignore` reaches them.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Whether Go's `filepath.Match` takes a pattern: <https://pkg.go.dev/path/filepath#Match>.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' if rest.next().is_none() => return Err("a `\\` at its end".to_owned()),
            '[' => check_class(&mut rest).ok_or("a `[` without its end")?,
            _ => {}
        }
    }
    Ok(())
}

fn check_class(rest: &mut Peekable<Chars<'_>>) -> Option<()> {
    fn one(rest: &mut Peekable<Chars<'_>>) -> Option<()> {
        match rest.next()? {
            '-' | ']' => return None,
            '\\' => rest.next().map(drop)?,
            _ => {}
        }
        rest.peek().map(drop)
    }
    rest.next_if_eq(&'^');
    loop {
        one(rest)?;
        if rest.next_if_eq(&'-').is_some() {
            one(rest)?;
        }
        if rest.next_if_eq(&']').is_some() {
            return Some(());
        }
    }
}

/// A regular expression in Go's syntax (<https://pkg.go.dev/regexp/syntax>), as far as compiled
/// patterns have it: Rust's has more signs inside `[]`, and escapes that mean something else.
pub(super) fn compile(go: &str) -> Result<Regex, String> {
    let mut rust = String::new();
    let mut rest = go.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next() {
                Some('d') => rust.push_str("[0-9]"),
                Some('D') => rust.push_str("[^0-9]"),
                Some('s') => rust.push_str(r"[\t\n\f\r ]"),
                Some('S') => rust.push_str(r"[^\t\n\f\r ]"),
                Some('w') => rust.push_str("[0-9A-Za-z_]"),
                Some('W') => rust.push_str("[^0-9A-Za-z_]"),
                Some('b') => rust.push_str(r"(?-u:\b)"),
                Some('A') => rust.push_str(r"\A"),
                Some('z') => rust.push_str(r"\z"),
                escaped => literal(&mut rust, unescape(escaped)?),
            },
            '[' => class(&mut rest, &mut rust)?,
            _ => rust.push(next),
        }
    }
    Regex::new(&rust).map_err(|_| "it is not valid".to_owned())
}

/// The rest of a `[…]`.
fn class(rest: &mut Peekable<Chars<'_>>, rust: &mut String) -> Result<(), String> {
    let unfinished = || "a `[` without its end".to_owned();
    rust.push('[');
    if rest.next_if_eq(&'^').is_some() {
        rust.push('^');
    }
    let mut first = true;
    while first || rest.next_if_eq(&']').is_none() {
        first = false;
        let mut one = || match rest.next().ok_or_else(unfinished)? {
            '\\' => unescape(rest.next()),
            '[' if rest.peek() == Some(&':') => Err("named classes are not supported".to_owned()),
            next => Ok(next),
        };
        let low = one()?;
        let mut after = rest.clone();
        let is_range = after.next() == Some('-') && after.next().is_some_and(|next| next != ']');
        literal(rust, low);
        if is_range {
            rest.next();
            rust.push('-');
            let high = match rest.next().ok_or_else(unfinished)? {
                '\\' => unescape(rest.next())?,
                next => next,
            };
            literal(rust, high);
        }
    }
    rust.push(']');
    Ok(())
}

/// What stands behind a `\`. Go takes any ASCII sign as itself, and few letters.
fn unescape(escaped: Option<char>) -> Result<char, String> {
    match escaped {
        Some('a') => Ok('\x07'),
        Some('f') => Ok('\x0C'),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('v') => Ok('\x0B'),
        Some(sign) if sign.is_ascii() && !sign.is_ascii_alphanumeric() => Ok(sign),
        Some(other) => Err(format!("`\\{other}` is not valid")),
        None => Err("a `\\` at its end".to_owned()),
    }
}

fn literal(rust: &mut String, sign: char) {
    rust.push_str(&format!("\\x{{{:X}}}", u32::from(sign)));
}
