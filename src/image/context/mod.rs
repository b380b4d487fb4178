//! The build context: which files belong to it, and their deterministic tar stream.

mod file;
mod guard;
mod tar;
#[cfg(test)]
mod tests;
mod walk;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use super::ignore::Ignore;
use super::{BuildRequest, SecretSource};
use crate::data::fingerprint::{DataError, hash_files};
use crate::data::known::{Inode, Known};
use crate::data::opened::Opened;
use crate::error::{Error, ExitCode, Result};

pub use file::FileReader;
pub use guard::KEPT_OUT;
use guard::{Rules, Verdict};
pub use tar::TIME;

/// Longest Dockerfile and `.dockerignore` that are read, in bytes.
const LONGEST_TEXT: u64 = 1024 * 1024;

/// A build context: a folder, what of it belongs to the build, and the Dockerfile.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
    /// What it holds, once that may not change any more.
    frozen: Option<Arc<Listing>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    folder: OwnedFd,
    rules: Rules,
    dockerfile: Vec<u8>,
    dockerfile_name: Option<String>,
    ignore_file: String,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// In bytes.
        size: u64,
    },
    /// A symbolic link, never followed.
    Link {
        /// What is written in it.
        target: String,
    },
}

/// A file, folder or link of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the context, its parts separated by `/`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits (`0o777`).
    pub mode: u32,
    /// When it was modified, in nanoseconds since 1970 (UTC).
    pub modified: i64,
    seen: Inode,
}

/// What a context holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of [`Context::entries`].
    pub entries: Vec<Entry>,
    /// Credentials that [`KEPT_OUT`] alone leaves out: whoever copies the whole context may miss
    /// them. The repository is not named, nor more than a hundred.
    pub kept_out: Vec<String>,
}

impl Context {
    /// The context of a build. `<Dockerfile>.dockerignore` beside the Dockerfile is preferred to
    /// the context's `.dockerignore`; [`KEPT_OUT`] holds as well.
    ///
    /// # Errors
    /// A folder or Dockerfile that cannot be read, patterns that are not valid.
    pub fn open(root: &Path, dockerfile: &Path) -> Result<Self> {
        Self::with(root, dockerfile, true, Vec::new())
    }

    /// As [`Context::open`]; the files of the build's secrets are kept out as well.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn open_with<'s>(
        root: &Path,
        dockerfile: &Path,
        secrets: impl Iterator<Item = &'s SecretSource>,
    ) -> Result<Self> {
        let names = secrets.filter_map(|secret| match secret {
            SecretSource::File(path) => name_in(root, path),
            SecretSource::Env(_) => None,
        });
        Self::with(root, dockerfile, true, names.collect())
    }

    /// The context of a build that was decided.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn of(build: &BuildRequest) -> Result<Self> {
        Self::open_with(&build.context, &build.dockerfile, build.secrets.values())
    }

    /// The context as `docker build` has it: credentials are kept out by `.dockerignore` only.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn open_unguarded(root: &Path, dockerfile: &Path) -> Result<Self> {
        Self::with(root, dockerfile, false, Vec::new())
    }

    fn with(
        root: &Path,
        dockerfile: &Path,
        is_guarded: bool,
        secrets: Vec<String>,
    ) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(root, flags, Mode::empty()).map_err(|error| {
            let message = format!("cannot open the build context {}", root.display());
            Error::new(ExitCode::Build, message).because(error)
        })?;
        let text = text(dockerfile)?.ok_or_else(|| {
            let message = format!("there is no Dockerfile {}", dockerfile.display());
            Error::new(ExitCode::Config, message)
                .hint("create it, or name another one: `dockerfile` in `[image]`")
        })?;
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let mut ignore = Ignore::default();
        let mut ignore_file = None;
        for path in [PathBuf::from(own), root.join(".dockerignore")] {
            if let Some(text) = self::text(&path)? {
                ignore = Ignore::parse(&text).map_err(|error| {
                    let message = format!("{} is not valid", path.display());
                    Error::new(ExitCode::Config, message).because(error)
                })?;
                ignore_file = name_in(root, &path).or(Some(path.display().to_string()));
                break;
            }
        }
        Ok(Self {
            shared: Arc::new(Shared {
                root: root.to_owned(),
                folder,
                rules: Rules {
                    ignore,
                    is_guarded,
                    secrets,
                },
                ignore_file: ignore_file.unwrap_or_else(|| ".dockerignore".to_owned()),
                dockerfile: text,
                dockerfile_name: name_in(root, dockerfile),
            }),
            frozen: None,
        })
    }

    /// The context's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// The Dockerfile's bytes, as they were when the context was opened.
    #[must_use]
    pub fn dockerfile(&self) -> &[u8] {
        &self.shared.dockerfile
    }

    /// The Dockerfile's name in the context; none when it lies outside.
    #[must_use]
    pub fn dockerfile_name(&self) -> Option<&str> {
        self.shared.dockerfile_name.as_deref()
    }

    /// The file of patterns that decides here, or that would if there were one.
    #[must_use]
    pub fn ignore_file(&self) -> &str {
        &self.shared.ignore_file
    }

    /// What belongs to the context, depth first, the names of each folder sorted by their bytes.
    /// A folder that is ignored is there when something in it is kept.
    ///
    /// What cannot be built with (special files, names that are not UTF-8, files that may not be
    /// read) comes as one error at the end, which names all of it.
    pub fn entries(&self) -> Box<dyn Iterator<Item = Result<Entry>> + Send> {
        match &self.frozen {
            Some(listing) => {
                let listing = Arc::clone(listing);
                let all = 0..listing.entries.len();
                Box::new(all.map(move |index| Ok(listing.entries[index].clone())))
            }
            None => Box::new(walk::Walk::new(Arc::clone(&self.shared))),
        }
    }

    /// The same context with what it holds now: a file that is read must be the one that was
    /// listed, with no change since.
    ///
    /// # Errors
    /// As [`Context::entries`].
    pub fn frozen(self) -> Result<Self> {
        let frozen = Some(Arc::new(self.listing()?));
        Ok(Self { frozen, ..self })
    }

    /// Whether a name belongs to the context if it exists.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.shared.rules.verdict_from_root(name) == Verdict::Kept
    }

    /// Whether a name is kept out by [`KEPT_OUT`], and by no pattern of the project.
    #[must_use]
    pub fn is_guarded(&self, name: &str) -> bool {
        self.shared.rules.verdict_from_root(name) == Verdict::Guarded
    }

    /// All of [`Context::entries`] at once, with the credentials that are left out.
    ///
    /// # Errors
    /// As [`Context::entries`].
    pub fn listing(&self) -> Result<Listing> {
        if let Some(listing) = &self.frozen {
            return Ok(Listing::clone(listing));
        }
        let mut walk = walk::Walk::new(Arc::clone(&self.shared));
        let entries = walk.by_ref().collect::<Result<Vec<Entry>>>()?;
        let mut kept_out = walk.into_guarded();
        kept_out.retain(|name| {
            let last = name.rsplit('/').next().unwrap_or_default();
            ![".git", ".mlaction"].contains(&last)
        });
        Ok(Listing { entries, kept_out })
    }

    /// Opens a file of the context, beneath its root and through no link.
    ///
    /// # Errors
    /// The entry is no file, or not the one any more that was listed.
    pub fn reader(&self, entry: &Entry) -> Result<FileReader> {
        let reader = FileReader::new(&entry.name, self.file(entry)?, entry.seen);
        match reader.check() {
            Ok(()) => Ok(reader),
            Err(_) => Err(file::changed(&entry.name)),
        }
    }

    /// Opens a file, which may be another one than was listed.
    fn file(&self, entry: &Entry) -> Result<OwnedFd> {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(ExitCode::Build, format!("cannot read {}", entry.name)).because(cause)
        };
        if !matches!(entry.kind, Kind::File { .. }) {
            return Err(failed(&"it is no file"));
        }
        match file::open_beneath(&self.shared.folder, &entry.name) {
            Ok(opened) => Ok(opened),
            Err(error) if file::is_gone(error) => Err(file::changed(&entry.name)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The BLAKE3 hashes of files, by all processors. A file that is [`Known`] is not opened.
    pub(super) fn hashes(&self, files: &[&Entry], known: &Known) -> Result<Vec<blake3::Hash>> {
        let mut hashes: Vec<Option<blake3::Hash>> =
            files.iter().map(|file| known.get_any(&file.seen)).collect();
        let unknown: Vec<usize> = (0..files.len())
            .filter(|index| hashes[*index].is_none())
            .collect();
        let open = |index: usize| {
            let entry = files[unknown[index]];
            let path = Path::new(&entry.name);
            let file = self
                .file(entry)
                .map_err(|error| DataError::new(path, error))?;
            let opened = Opened::from_file(path, File::from(file))?;
            match Inode::from(opened.meta()) == entry.seen {
                true => Ok(opened),
                false => Err(opened.changed()),
            }
        };
        let read = hash_files(unknown.len(), open, known).map_err(|error| {
            Error::new(ExitCode::Build, "the build context cannot be hashed")
                .because(error)
                .hint("build again when nothing writes to it, or name the file in `.dockerignore`")
        })?;
        for (index, (hash, _)) in unknown.into_iter().zip(read) {
            known.note_any(files[index].seen, hash);
            hashes[index] = Some(hash);
        }
        Ok(hashes.into_iter().flatten().collect())
    }

    /// The context as a tar archive that is made while it is read; memory does not grow with it.
    /// `more` are files beside those of the context, or instead of them.
    pub fn tar(
        &self,
        more: Vec<(String, Vec<u8>)>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        tar::stream(self.clone(), more)
    }
}

/// The bytes of a small file; nothing when it does not exist.
fn text(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::new(ExitCode::Build, format!("cannot read {}", path.display())).because(cause)
    };
    // NOTE: without O_NONBLOCK, opening a pipe waits for somebody to write to it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let is_file = file.metadata().map_err(|error| failed(&error))?.is_file();
    if !is_file {
        return Err(failed(&"it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_TEXT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    match bytes.len() as u64 > LONGEST_TEXT {
        true => Err(failed(&format!("it has more than {LONGEST_TEXT} bytes"))),
        false => Ok(Some(bytes)),
    }
}

/// The name of a path relative to a folder that it lies in.
fn name_in(root: &Path, path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
    let path = folder.join(path.file_name()?);
    let name = path.strip_prefix(root.canonicalize().ok()?).ok()?;
    name.to_str().map(str::to_owned)
}
