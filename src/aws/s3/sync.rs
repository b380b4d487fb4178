//! Local data to S3, each content once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{MissedTickBehavior, interval};

use super::upload::{self, Upload};
use super::{Bucket, Listed};
use crate::data::manifest::{self, Manifest};
use crate::error::{Error, ExitCode, Result};
use crate::report::text;

/// Files at once. What they hold together is bounded by [`upload::IN_FLIGHT`].
const FILES: usize = 64;

/// Lists at once, and the keys in one.
const LISTS: usize = 8;
const PAGE: usize = 1000;

/// The longest key, in bytes. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const LONGEST_KEY: usize = 1024;

/// How often progress is said at least.
const TICK: Duration = Duration::from_millis(200);

/// How much of the data is in S3: what was there already, and what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Whole files.
    pub files: u64,
    /// Bytes; those that are on their way count, and may have to be sent again.
    pub bytes: u64,
}

/// Data that is in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// `s3://BUCKET/PREFIX/b3-HASH/`, with the slash: without it, a prefix would mean other
    /// folders too.
    pub uri: String,
    /// What was not there before.
    pub sent: Progress,
}

/// The folder for data in a bucket, `PREFIX/b3-HASH/`, from the hash of its [`Manifest`].
#[must_use]
pub fn folder(under: &str, hash: &str) -> String {
    let (under, hash) = (under.trim_matches('/'), hash.replace(':', "-"));
    match under.is_empty() {
        true => format!("{hash}/"),
        false => format!("{under}/{hash}/"),
    }
}

/// A file with its key below the folder.
struct Wanted<'m> {
    name: &'m str,
    file: &'m manifest::Listed,
}

impl Bucket {
    /// Brings data into its [`folder`]. Objects that are there are not sent again, and a large
    /// file of which some parts arrived earlier goes on from there. When it returns without an
    /// error, S3 has exactly the files of the manifest there.
    ///
    /// # Errors
    /// A file changed since it was fingerprinted; S3 has something else in the folder; AWS refuses
    /// or does not answer.
    pub async fn sync(
        &self,
        data: &Manifest,
        under: &str,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Synced> {
        let folder = folder(under, data.hash());
        let wanted = wanted(data, &folder)?;
        let mut missing = self.missing(&folder, &wanted).await?;
        // The largest first: none is left to run alone at the end.
        missing.sort_by_key(|wanted| std::cmp::Reverse(wanted.file.seen.size()));
        let bytes = |files: &[&Wanted<'_>]| files.iter().map(|one| one.file.seen.size()).sum();
        let sent = Progress {
            files: missing.len() as u64,
            bytes: bytes(&missing),
        };
        let mut done = Progress {
            files: wanted.len() as u64 - sent.files,
            bytes: data.bytes() - sent.bytes,
        };
        progress(done);
        let is_large = |wanted: &&Wanted<'_>| wanted.file.seen.size() > upload::WHOLE;
        let mut unfinished = match missing.first().is_some_and(is_large) {
            true => self.unfinished(&folder).await?,
            false => HashMap::new(),
        };
        let total = Arc::new(AtomicU64::new(done.bytes));
        let upload = Upload::new(self, sent.bytes, total.clone());
        // NOTE: by number, as a future that borrows a closure's argument cannot change threads.
        let uploads = (0..missing.len()).map(|number| {
            let wanted = missing[number];
            let key = format!("{folder}{}", wanted.name);
            let begun = unfinished.remove(&key);
            upload.file(key, data.path(wanted.file), wanted.file.seen, begun)
        });
        let mut uploads = stream::iter(uploads).buffer_unordered(FILES);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = uploads.next() => match ended {
                    Some(result) => {
                        result?;
                        done.files += 1;
                    }
                    None => break,
                },
                _ = tick.tick() => {}
            }
            done.bytes = total.load(Ordering::Relaxed);
            progress(done);
        }
        Ok(Synced {
            uri: self.uri(&folder),
            sent,
        })
    }

    /// The files that are not in S3. They are looked for in as many lists as it takes to see all
    /// of them, side by side, as it is known where each list begins.
    async fn missing<'w, 'm>(
        &self,
        folder: &str,
        wanted: &'w [Wanted<'m>],
    ) -> Result<Vec<&'w Wanted<'m>>> {
        let lists = (0..wanted.len()).step_by(PAGE).map(|start| {
            let (before, rest) = wanted.split_at(start);
            let here = &rest[..rest.len().min(PAGE)];
            let is_end = here.len() == rest.len();
            self.missing_of(folder, before.last(), here, is_end)
        });
        let lists: Vec<_> = lists.collect();
        let missing: Vec<Vec<_>> = stream::iter(lists).buffered(LISTS).try_collect().await?;
        Ok(missing.into_iter().flatten().collect())
    }

    async fn missing_of<'w, 'm>(
        &self,
        folder: &str,
        before: Option<&Wanted<'m>>,
        wanted: &'w [Wanted<'m>],
        is_end: bool,
    ) -> Result<Vec<&'w Wanted<'m>>> {
        let mut is_there = vec![false; wanted.len()];
        let mut after = before.map(|before| format!("{folder}{}", before.name));
        let end = wanted.last().map(|last| last.name).filter(|_| !is_end);
        'pages: loop {
            let (page, is_last) = self.page(folder, after).await?;
            for object in &page {
                let name = object.key.strip_prefix(folder).unwrap_or(&object.key);
                if end.is_some_and(|end| name > end) {
                    break 'pages;
                }
                match wanted.binary_search_by(|wanted| wanted.name.cmp(name)) {
                    Ok(index) => {
                        let size = wanted[index].file.seen.size();
                        is_there[index] = object.size == size && !object.is_archived;
                    }
                    // The console makes an object for a folder.
                    Err(_) if name.is_empty() => {}
                    Err(_) => return Err(self.foreign(object)),
                }
            }
            after = page.into_iter().last().map(|last| last.key);
            let is_over = after.as_deref().and_then(|key| key.strip_prefix(folder)) >= end;
            if is_last || end.is_some() && is_over {
                break;
            }
        }
        let there = wanted.iter().zip(is_there);
        Ok(there
            .filter_map(|(one, is_there)| (!is_there).then_some(one))
            .collect())
    }

    fn foreign(&self, object: &Listed) -> Error {
        let uri = self.uri(&text::line(&object.key, LONGEST_KEY));
        let error = Error::new(ExitCode::Data, format!("`{uri}` is not part of the data"));
        error
            .because("a job would read it with the data, as it lies in the same folder")
            .hint(format!("delete it: `aws s3 rm '{uri}'`"))
    }
}

/// The files with their keys, in the order in which S3 lists them.
fn wanted<'m>(data: &'m Manifest, folder: &str) -> Result<Vec<Wanted<'m>>> {
    let refused = |file: &manifest::Listed, why: &str| {
        let path = data.path(file);
        let error = format!("cannot upload `{}`: {why}", path.display());
        Error::new(ExitCode::Data, error).hint("rename it")
    };
    if data.files().is_empty() {
        let error = format!("there are no files in `{}`", data.root().display());
        return Err(Error::new(ExitCode::Data, error));
    }
    let wanted = |file: &'m manifest::Listed| {
        let Some(name) = file.name.to_str() else {
            return Err(refused(file, "its name is not UTF-8"));
        };
        if name.contains(char::is_control) {
            return Err(refused(file, "its name has control characters"));
        }
        if folder.len() + name.len() > LONGEST_KEY {
            return Err(refused(file, "its key would be longer than 1024 bytes"));
        }
        Ok(Wanted { name, file })
    };
    data.files().iter().map(wanted).collect()
}
