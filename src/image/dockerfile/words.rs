//! Words of an instruction, and the variables in them
//! (<https://docs.docker.com/reference/dockerfile/#environment-replacement>).

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Variables with a value.
pub(super) type Variables = HashMap<String, String>;

/// Longest word with its variables replaced, in bytes: variables made of each other grow fast.
const LONGEST: usize = 16 * 1024;

/// How deep defaults may be nested: `${a:-${b:-…}}`.
const DEEPEST: usize = 32;

/// A word with its variables replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Variables that had no value where one was needed.
    pub(super) unset: Vec<String>,
}

/// The strings of a JSON list, the other way to write arguments.
pub(super) fn json(arguments: &str) -> Option<Vec<String>> {
    match arguments.starts_with('[') {
        true => serde_json::from_str(arguments).ok(),
        false => None,
    }
}

/// The first word of a flag, without its quotes, and what is behind it.
pub(super) fn first(text: &str) -> (String, &str) {
    let (mut word, mut quote) = (String::new(), None);
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match (sign, quote) {
            ('\\', _) => word.extend(signs.next().map(|(_, escaped)| escaped)),
            (_, Some(open)) if sign == open => quote = None,
            ('"' | '\'', None) => quote = Some(sign),
            (_, None) if sign.is_whitespace() => return (word, &text[at..]),
            _ => word.push(sign),
        }
    }
    (word, "")
}

/// Words with their quotes; nothing when a quote has no end.
pub(super) fn split_raw(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        match (sign, quote) {
            ('\\', None | Some('"')) => {
                word.push(sign);
                word.extend(signs.next());
                continue;
            }
            (_, Some(open)) if sign == open => quote = None,
            ('"' | '\'', None) => quote = Some(sign),
            (_, None) if sign.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(sign);
    }
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// Replaces variables and takes quotes and escapes away.
pub(super) fn expand(word: &str, variables: &Variables, escape: char) -> Result<Expanded, String> {
    let mut expander = Expander {
        rest: word.chars().peekable(),
        variables,
        escape,
        unset: Vec::new(),
        depth: 0,
    };
    let text = expander.until(None, false)?;
    Ok(Expanded {
        text,
        unset: expander.unset,
    })
}

struct Expander<'a> {
    rest: Peekable<Chars<'a>>,
    variables: &'a Variables,
    escape: char,
    unset: Vec<String>,
    depth: usize,
}

impl Expander<'_> {
    fn until(&mut self, stop: Option<char>, keeps_escapes: bool) -> Result<String, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("variables are nested too deep".to_owned());
        }
        let mut text = String::new();
        loop {
            let Some(sign) = self.rest.next() else {
                match stop {
                    None => break,
                    Some(stop) => return Err(format!("`{stop}` is missing")),
                }
            };
            match sign {
                sign if stop == Some(sign) => break,
                '$' => text.push_str(&self.variable()?),
                '\'' => loop {
                    match self.rest.next() {
                        Some('\'') => break,
                        Some(sign) => text.push(sign),
                        None => return Err("`'` is missing".to_owned()),
                    }
                },
                '"' => self.quoted(&mut text)?,
                sign if sign == self.escape => {
                    if keeps_escapes {
                        text.push(sign);
                    }
                    text.extend(self.rest.next());
                }
                sign => text.push(sign),
            }
            if text.len() > LONGEST {
                return Err("it becomes too long".to_owned());
            }
        }
        self.depth -= 1;
        Ok(text)
    }

    fn quoted(&mut self, text: &mut String) -> Result<(), String> {
        loop {
            match self.rest.next() {
                Some('"') => return Ok(()),
                Some('$') => text.push_str(&self.variable()?),
                Some(sign) if sign == self.escape => {
                    let escape = self.escape;
                    let can = |next: &char| ['"', '$', escape].contains(next);
                    text.push(self.rest.next_if(can).unwrap_or(sign));
                }
                Some(sign) => text.push(sign),
                None => return Err("`\"` is missing".to_owned()),
            }
        }
    }

    /// What is behind a `$`.
    fn variable(&mut self) -> Result<String, String> {
        let variables = self.variables;
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(match name.is_empty() {
                true => "$".to_owned(),
                false => self.value(&name),
            });
        }
        let name = self.name();
        let mut sign = self.rest.next();
        let empty_counts = sign != Some(':');
        if !empty_counts {
            sign = self.rest.next();
        }
        let value = variables.get(&name);
        let set = value.filter(|value| empty_counts || !value.is_empty());
        if name.is_empty() {
            return Err("a variable without a name".to_owned());
        }
        match sign {
            Some('}') if empty_counts => Ok(self.value(&name)),
            Some('-') => {
                // What is not used need not have a value.
                let before = self.unset.len();
                let default = self.until(Some('}'), false)?;
                Ok(match set {
                    Some(value) => {
                        self.unset.truncate(before);
                        value.clone()
                    }
                    None => default,
                })
            }
            Some('+') => {
                let before = self.unset.len();
                let other = self.until(Some('}'), false)?;
                Ok(match set {
                    Some(_) => other,
                    None => {
                        self.unset.truncate(before);
                        String::new()
                    }
                })
            }
            Some('?') => {
                let message = self.until(Some('}'), false)?;
                set.cloned().ok_or_else(|| match message.is_empty() {
                    true => format!("`{name}` has no value"),
                    false => format!("`{name}`: {message}"),
                })
            }
            Some(end @ ('#' | '%')) if empty_counts => {
                let longest = self.rest.next_if_eq(&end).is_some();
                let pattern = self.until(Some('}'), true)?;
                cut(&self.value(&name), &pattern, end == '#', longest)
            }
            Some('/') if empty_counts => {
                let all = self.rest.next_if_eq(&'/').is_some();
                let pattern = self.until(Some('/'), true)?;
                let with = self.until(Some('}'), true)?;
                let (value, pattern) = (self.value(&name), shell_pattern(&pattern)?);
                let with = regex::NoExpand(&with);
                Ok(match all {
                    true => pattern.replace_all(&value, with).into_owned(),
                    false => pattern.replace(&value, with).into_owned(),
                })
            }
            _ => Err(format!("`${{{name}` does not go on as it may")),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(sign) = self
            .rest
            .next_if(|sign| sign.is_alphanumeric() || *sign == '_')
        {
            name.push(sign);
        }
        name
    }

    fn value(&mut self, name: &str) -> String {
        match self.variables.get(name) {
            Some(value) => value.clone(),
            None => {
                self.unset.push(name.to_owned());
                String::new()
            }
        }
    }
}

/// A shell's pattern with `*` and `?`, anywhere in a text.
fn shell_pattern(pattern: &str) -> Result<Regex, String> {
    let mut expression = String::new();
    let mut rest = pattern.chars();
    while let Some(sign) = rest.next() {
        match sign {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            sign => {
                let literal = match sign {
                    '\\' => rest.next().unwrap_or('\\'),
                    sign => sign,
                };
                expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
            }
        }
    }
    Regex::new(&expression).map_err(|_| format!("`{pattern}` is not valid"))
}

/// `${value#pattern}` and its relatives: without the shortest or longest match at one end.
fn cut(value: &str, pattern: &str, at_start: bool, longest: bool) -> Result<String, String> {
    let pattern = shell_pattern(pattern)?;
    let whole = Regex::new(&format!("^(?:{})$", pattern.as_str()))
        .map_err(|_| format!("`{pattern}` is not valid"))?;
    let places = value.char_indices().map(|(at, _)| at).chain([value.len()]);
    let matches = places.filter(|at| {
        let (start, end) = value.split_at(*at);
        whole.is_match(if at_start { start } else { end })
    });
    let matches: Vec<usize> = matches.collect();
    let at = match at_start == longest {
        true => matches.last(),
        false => matches.first(),
    };
    Ok(match (at, at_start) {
        (Some(at), true) => value[*at..].to_owned(),
        (Some(at), false) => value[..*at].to_owned(),
        (None, _) => value.to_owned(),
    })
}
