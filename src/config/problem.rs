//! What is wrong in `mlaction.toml`, with the place, an excerpt and advice.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, as a title.
    pub message: String,
    /// Where, in bytes; nothing when the whole file is meant.
    pub span: Option<Range<usize>>,
    /// A few words at the place itself.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Whether it is only the value that is wrong, and not the document's form.
    pub is_readable: bool,
}

impl Problem {
    /// A mistake at a place.
    pub fn new(
        message: impl Into<String>,
        span: Option<Range<usize>>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            message: message.into(),
            span,
            label: label.into(),
            help: None,
            is_readable: false,
        }
    }

    /// It is only the value that is wrong.
    #[must_use]
    pub fn readable(mut self) -> Self {
        self.is_readable = true;
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Line and column (in characters), both from 1.
    #[must_use]
    pub fn position(&self, source: &str) -> Option<(usize, usize)> {
        let start = self.span.as_ref()?.start.min(source.len());
        let before = source.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Some((
            before.matches('\n').count() + 1,
            before.get(line_start..)?.chars().count() + 1,
        ))
    }
}

/// Renders problems with excerpts of the source, in the file's order.
#[must_use]
pub fn render(problems: &[Problem], path: &str, source: &str, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
    .decor_style(DecorStyle::Unicode);
    let rendered: Vec<String> = problems
        .iter()
        .map(|problem| {
            let title = Level::ERROR.primary_title(&*problem.message);
            let mut group = match &problem.span {
                Some(span) => title.element(
                    Snippet::source(source).path(path).annotation(
                        AnnotationKind::Primary
                            .span(clamp(span, source))
                            .label(&*problem.label),
                    ),
                ),
                None => title.element(annotate_snippets::Origin::path(path)),
            };
            if let Some(help) = &problem.help {
                group = group.element(Level::HELP.message(&**help));
            }
            renderer.render(&[group])
        })
        .collect();
    rendered.join("\n\n")
}

/// A span that the source really has: an empty one at the end of the file gets a character.
fn clamp(span: &Range<usize>, source: &str) -> Range<usize> {
    let end = span.end.min(source.len());
    let start = span.start.min(end);
    start..end
}

/// The nearest of `known` to what was written, when it is near enough to be meant.
#[must_use]
pub fn did_you_mean<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= 1.max(name.chars().count() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `a`, `b` or `c`.
#[must_use]
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
