//! Whether the files that a Dockerfile names will be there, asked before the build.

use std::path::Path;

use super::{FileUse, Mistake, Reads};
use crate::image::context::{Context, Listing};
use crate::image::ignore::Ignore;

impl Reads {
    /// Files that the Dockerfile names, and that are kept out because they hold credentials
    /// ([`crate::image::context::KEPT_OUT`]).
    #[must_use]
    pub fn kept_out(&self, context: &Context) -> Vec<Mistake> {
        let named = self.files.iter().filter_map(|read| {
            let name = guarded(read, context)?;
            let FileUse {
                line, instruction, ..
            } = read;
            let message = format!("{instruction} {name}: credentials are kept out of the image");
            let hint = format!(
                "give {name} to the step that needs it as a build secret \
                 (`RUN --mount=type=secret,id=…`); if it may be public, write `!{name}` \
                 into {}",
                context.ignore_file()
            );
            Some(Mistake::new(*line, message).hint(hint))
        });
        named.collect()
    }

    /// Files that the Dockerfile names and the context does not have. Patterns, and what
    /// [`Reads::kept_out`] tells of, are left out.
    #[must_use]
    pub fn missing(&self, context: &Context, listing: &Listing) -> Vec<Mistake> {
        let missing = self.files.iter().filter_map(|read| {
            let FileUse {
                line,
                instruction,
                name,
            } = read;
            if name == "." || is_pattern(name) || guarded(read, context).is_some() {
                return None;
            }
            let meta = context.root().join(name).symlink_metadata();
            if let Err(error) = meta {
                let message = format!("{instruction} {name}: {}", absent(&error));
                return Some(Mistake::new(*line, message));
            }
            // An ignored folder counts when it holds something.
            if context.keeps(name) || listing.entries.iter().any(|entry| entry.name == *name) {
                return None;
            }
            let file = context.ignore_file();
            let message = format!("{instruction} {name}: {file} keeps it out");
            let hint = format!("write `!{name}` as the last line of {file}");
            Some(Mistake::new(*line, message).hint(hint))
        });
        missing.collect()
    }
}

fn absent(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file in the build context".to_owned(),
        _ => error.to_string(),
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '\\'])
}

/// The guarded file that is asked for by name, or by a pattern that nothing else matches.
fn guarded(read: &FileUse, context: &Context) -> Option<String> {
    let name = read.name.as_str();
    if !is_pattern(name) {
        let exists = context.root().join(name).symlink_metadata().is_ok();
        return (exists && context.is_guarded(name)).then(|| name.to_owned());
    }
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    if is_pattern(folder) || last.bytes().all(|byte| byte == b'*') {
        return None;
    }
    let pattern = Ignore::new([last]).ok()?;
    let listed = context.root().join(Path::new(folder)).read_dir().ok()?;
    let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<String> = names
        .filter(|name| pattern.is_ignored(name))
        .map(|name| match folder {
            "" => name,
            folder => format!("{folder}/{name}"),
        })
        .collect();
    found.sort_unstable();
    match found.iter().any(|name| context.keeps(name)) {
        true => None,
        false => found.into_iter().find(|name| context.is_guarded(name)),
    }
}
