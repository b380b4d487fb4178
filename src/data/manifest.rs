//! The files of a channel, each as it was when it was fingerprinted: what is sent somewhere is
//! what the fingerprint says, or it is not sent.

use std::path::{Path, PathBuf};

use super::fingerprint::{Content, DataError, combined, hash_files, walk};
use super::known::Known;
use super::opened::{Opened, Seen};

/// The files of a channel, in the order of their names.
#[derive(Debug, Clone)]
pub struct Manifest {
    root: PathBuf,
    is_file: bool,
    files: Vec<Listed>,
    hash: String,
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Relative to the folder; the file's own name for a channel that is a file.
    pub(crate) name: PathBuf,
    pub(crate) seen: Seen,
}

impl Manifest {
    /// Lists and fingerprints a file or folder. Links are followed, as data caches link files.
    ///
    /// # Errors
    /// As those of [`fingerprint`](super::fingerprint::fingerprint).
    pub fn read(root: &Path, known: &Known) -> Result<Self, DataError> {
        let mut files = walk(root, Content::Data)?;
        let hashed = hash_files(files.len(), |index| Opened::new(&files[index].1), known)?;
        let is_file = matches!(files.as_slice(), [(name, _)] if name.as_os_str().is_empty());
        if is_file {
            // A folder with only this file is the same data.
            files[0].0 = root.file_name().unwrap_or_default().into();
        }
        let names = files.iter().map(|(name, _)| name.as_path());
        let hash = combined(names.zip(&hashed));
        let listed = |((name, _), (_, meta)): ((PathBuf, PathBuf), &_)| Listed {
            name,
            seen: Seen::from(meta),
        };
        Ok(Self {
            root: root.to_path_buf(),
            is_file,
            files: files.into_iter().zip(&hashed).map(listed).collect(),
            hash,
        })
    }

    /// `b3:` and 64 hexadecimal digits. For a folder it is its fingerprint; for a file it is that
    /// of a folder with only this file, as its name counts where it is sent.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.seen.size()).sum()
    }

    /// The path that was listed.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn files(&self) -> &[Listed] {
        &self.files
    }

    /// Where a file is read.
    pub(crate) fn path(&self, file: &Listed) -> PathBuf {
        match self.is_file {
            true => self.root.clone(),
            false => self.root.join(&file.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fingerprint::fingerprint;

    #[test]
    fn a_file_is_a_folder_with_only_that_file() {
        let place = tempfile::tempdir().unwrap();
        let known = Known::default();
        std::fs::write(place.path().join("a.csv"), "1,2").unwrap();
        let folder = Manifest::read(place.path(), &known).unwrap();
        let file = Manifest::read(&place.path().join("a.csv"), &known).unwrap();
        assert_eq!(folder.hash(), file.hash());
        assert_eq!(file.path(&file.files()[0]), place.path().join("a.csv"));
        let fingerprinted = fingerprint(place.path(), Content::Data, &known).unwrap();
        assert_eq!(folder.hash(), fingerprinted.hash);
        assert_eq!((folder.bytes(), fingerprinted.bytes), (3, 3));
        std::fs::rename(place.path().join("a.csv"), place.path().join("b.csv")).unwrap();
        let other = Manifest::read(&place.path().join("b.csv"), &known).unwrap();
        assert_ne!(file.hash(), other.hash());
    }
}
