//! `model.tar.gz`: reproducible bytes, no links, no paths that lead out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::atomic;

/// A packed archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of the archive, hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It holds something that is neither a file nor a folder.
    #[error("`{0}` is a link or a special file; a model archive holds files and folders only")]
    NotAFile(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Packs the content of a folder: sorted, without times and owners, streamed, to a temporary
/// name that is renamed. The same files give the same bytes.
///
/// # Errors
/// Links and special files are refused; a name that cannot be read or written fails, and so does
/// everything once `stop` is set.
pub fn pack(folder: &Path, archive: &Path, stop: &AtomicBool) -> Result<Packed, ArchiveError> {
    if !folder.symlink_metadata()?.is_dir() {
        return Err(ArchiveError::NotAFile(folder.display().to_string()));
    }
    let temporary = atomic::file_in(atomic::folder_of(archive))?;
    let hashing = Hashing {
        inner: io::BufWriter::new(temporary.reopen()?),
        hasher: Sha256::new(),
        bytes: 0,
    };
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(hashing, Compression::default());
    let mut tar = tar::Builder::new(gzip);
    let mut files = 0;
    for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let meta = entry.path().symlink_metadata()?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        if meta.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, name, io::empty())?;
        } else if meta.is_file() {
            header.set_mode(if meta.permissions().mode() & 0o111 == 0 {
                0o644
            } else {
                0o755
            });
            header.set_size(meta.len());
            tar.append_data(
                &mut header,
                name,
                Stoppable {
                    inner: File::open(entry.path())?.take(meta.len()),
                    stop,
                },
            )?;
            files += 1;
        } else {
            return Err(ArchiveError::NotAFile(name.display().to_string()));
        }
    }
    let mut hashing = tar.into_inner()?.finish()?;
    hashing.flush()?;
    let packed = Packed {
        sha256: hex(&hashing.hasher.finalize()),
        bytes: hashing.bytes,
        files,
    };
    temporary.persist(archive).map_err(|error| error.error)?;
    Ok(packed)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A reader that fails once it is told to stop.
struct Stoppable<'s, R> {
    inner: R,
    stop: &'s AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::Error::other("it was stopped")),
            false => self.inner.read(buffer),
        }
    }
}

/// SHA-256 of what passes through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_whatever_their_times() {
        let place = tempfile::tempdir().unwrap();
        let mut packed = Vec::new();
        for name in ["one", "two"] {
            let folder = place.path().join(name);
            std::fs::create_dir_all(folder.join("sub")).unwrap();
            std::fs::write(folder.join("sub/model.bin"), "weights").unwrap();
            std::fs::write(folder.join("a.json"), "{}").unwrap();
            let file = File::open(folder.join("a.json")).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH
                + std::time::Duration::from_secs(packed.len() as u64 * 1000);
            file.set_modified(time).unwrap();
            packed.push(
                pack(
                    &folder,
                    &place.path().join(format!("{name}.tar.gz")),
                    &AtomicBool::new(false),
                )
                .unwrap(),
            );
        }
        assert_eq!(packed[0], packed[1]);
        assert_eq!(packed[0].files, 2);
        let bytes = std::fs::read(place.path().join("one.tar.gz")).unwrap();
        assert_eq!(hex(&Sha256::digest(&bytes)), packed[0].sha256);
        let mut names = Vec::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(&*bytes))
            .entries()
            .unwrap()
        {
            names.push(entry.unwrap().path().unwrap().display().to_string());
        }
        assert_eq!(names, ["a.json", "sub", "sub/model.bin"]);
    }

    #[test]
    fn links_are_refused_by_name_and_no_archive_is_left() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("weights")).unwrap();
        let archive = place.path().join("model.tar.gz");
        assert!(
            pack(&folder, &archive, &AtomicBool::new(false))
                .unwrap_err()
                .to_string()
                .starts_with("`weights` is a link")
        );
        assert!(!archive.exists());
    }

    proptest! {
        #[test]
        fn any_names_come_out_as_they_went_in_and_none_leads_out(
            names in proptest::collection::btree_set("[a-zA-Z0-9 ._\\\\é\n-]{1,120}", 1..8),
            folder in "[a-z.]{1,3}/[a-z]{1,200}",
        ) {
            let place = tempfile::tempdir().unwrap();
            let model = place.path().join("model");
            let mut expected = std::collections::BTreeSet::new();
            for name in names.iter().filter(|name| *name != "." && *name != "..") {
                for inner in ["", &folder] {
                    let parent = model.join(inner);
                    if inner.starts_with('.') || std::fs::create_dir_all(&parent).is_err() || parent.join(name).is_dir() {
                        continue;
                    }
                    if std::fs::write(parent.join(name), name).is_ok() {
                        expected.insert(Path::new(inner).join(name));
                    }
                }
            }
            std::fs::create_dir_all(&model).unwrap();
            let archive = place.path().join("model.tar.gz");
            prop_assert_eq!(pack(&model, &archive, &AtomicBool::new(false)).unwrap().files, expected.len() as u64);
            let mut found = std::collections::BTreeSet::new();
            let bytes = std::fs::read(&archive).unwrap();
            for entry in tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).entries().unwrap() {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().into_owned();
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{:?}", path);
                if entry.header().entry_type().is_file() {
                    found.insert(path);
                } else {
                    prop_assert!(entry.header().entry_type().is_dir());
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
