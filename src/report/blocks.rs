//! What Markdown for GitHub is built of: folds, fences and tables of bounded size.

/// Bytes of one table or list.
pub(crate) const SECTION: usize = 12_000;

/// Characters of a name, and of a sentence.
pub(crate) const NAME: usize = 80;
pub(crate) const TEXT: usize = 600;

/// Something that is shown when its summary is clicked at.
pub(crate) fn fold(summary: &str, text: &str) -> String {
    format!("<details><summary>{summary}</summary>\n\n{text}\n</details>\n")
}

/// Text as it is, in a fence longer than any run of backticks in it.
pub(crate) fn fence(text: &str) -> String {
    // The sender finds its comment by an HTML comment in it: other text must not forge one.
    let text = text.replace("<!--", "<!\u{200b}--");
    let runs = text.split(|char| char != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0).max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n")
}

/// A hash in a form that is copied as it is; what is no hash does not get that form.
pub(crate) fn digest(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b':';
    match !text.is_empty() && text.len() <= NAME && text.bytes().all(is_plain) {
        true => format!("`{text}`"),
        false => "`not a hash`".to_owned(),
    }
}

/// A table of bounded size.
pub(crate) struct Table {
    /// Without a word about what found no room.
    pub(super) text: String,
    /// Whether something found no room.
    pub(super) full: bool,
}

impl Table {
    /// Columns whose name begins with `:` are aligned to the right.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let names: Vec<&str> = columns
            .iter()
            .map(|name| name.trim_start_matches(':'))
            .collect();
        let rules: String = columns
            .iter()
            .map(|name| {
                if name.starts_with(':') {
                    "---:|"
                } else {
                    "---|"
                }
            })
            .collect();
        Self {
            text: format!("| {} |\n|{rules}\n", names.join(" | ")),
            full: false,
        }
    }

    /// Adds a line of cells that are Markdown already, if there is room.
    pub(crate) fn push(&mut self, cells: &[String]) -> bool {
        let line = format!("| {} |\n", cells.join(" | "));
        self.full |= self.text.len() + line.len() > SECTION;
        if !self.full {
            self.text += &line;
        }
        !self.full
    }

    pub(crate) fn finish(mut self) -> String {
        if self.full {
            self.text += "\nThe rest is left out to fit a comment.\n";
        }
        self.text
    }
}
