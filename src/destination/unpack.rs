//! Archives that a job left behind, unpacked. Whatever a job left is taken as hostile.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use tar::EntryType;

use crate::data::archive::ArchiveError;
use crate::error::{Error, ExitCode, IoContext as _, Result};

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;

/// Most files and folders of one archive.
const MAX_ENTRIES: u64 = 1_000_000;

/// Most of an archive between two contents: headers, long names and the like, which are held in
/// memory.
const MAX_HEADERS: u64 = 1024 * 1024;

/// What the names in an archive begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// The folder that was packed.
    OfFolder,
    /// Nothing: what was in that folder.
    Bare,
}

/// What to do about links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// A model archive holds files and folders only.
    Refuse,
    /// Those that stay inside are kept, others are left out.
    Keep,
}

/// A folder that archives are unpacked to. No link is made in it before the last file is there,
/// so that nothing is ever written through one.
#[derive(Debug)]
pub(super) struct Unpacked {
    root: PathBuf,
    links: Links,
    /// Links to make: their names and what they point to.
    pending: Vec<(PathBuf, PathBuf)>,
    /// What was left out.
    left_out: BTreeSet<PathBuf>,
    entries: u64,
    names: Names,
    /// Bytes that files may have together, still.
    left: u64,
}

impl Unpacked {
    /// A new folder.
    pub(super) fn new(root: &Path, links: Links, names: Names) -> Result<Self> {
        let what = || format!("cannot create `{}`", root.display());
        std::fs::create_dir_all(root.parent().unwrap_or(root)).doing(what)?;
        // NOTE: what is there already could be anything, a link to elsewhere as well.
        std::fs::create_dir(root).doing(what)?;
        Ok(Self {
            root: root.to_path_buf(),
            links,
            pending: Vec::new(),
            left_out: BTreeSet::new(),
            entries: 0,
            names,
            left: u64::MAX,
        })
    }

    /// Refuses files of more bytes together: a sparse one has many more than its archive.
    pub(super) fn at_most(mut self, bytes: u64) -> Self {
        self.left = bytes;
        self
    }

    /// Makes the links that stay inside, and names everything that was left out.
    pub(super) fn finish(mut self) -> Result<BTreeSet<PathBuf>> {
        for (name, target) in std::mem::take(&mut self.pending) {
            let path = self.root.join(&name);
            if path.symlink_metadata().is_ok() {
                continue;
            }
            if !self.is_in_folders(&name) || !stays_inside(&name, &target) {
                self.left_out.insert(name);
                continue;
            }
            std::os::unix::fs::symlink(&target, &path)
                .doing(|| format!("cannot link `{}`", path.display()))?;
        }
        Ok(self.left_out)
    }

    /// Whether the folders that a name lies in are there, and none of them is a link.
    fn is_in_folders(&self, name: &Path) -> bool {
        let folders = name.ancestors().skip(1);
        folders
            .map(|folder| self.root.join(folder).symlink_metadata())
            .all(|meta| meta.is_ok_and(|meta| meta.is_dir()))
    }

    /// Adds what is in an archive; what is there already stays.
    pub(super) fn unpack(&mut self, reader: impl Read) -> Result<()> {
        let mut buffer = vec![0; BUFFER];
        let room = Rc::new(Cell::new(0));
        let mut archive = tar::Archive::new(Headers {
            inner: reader,
            room: Rc::clone(&room),
        });
        let mut entries = archive.entries().map_err(unreadable)?;
        loop {
            room.set(MAX_HEADERS);
            let Some(entry) = entries.next() else {
                return Ok(());
            };
            let mut entry = entry.map_err(unreadable)?;
            room.set(u64::MAX);
            if entry.size() > self.left {
                return Err(unreadable(out_of_proportion()));
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                let many = format!("the job left more than {MAX_ENTRIES} files behind");
                return Err(Error::new(ExitCode::JobFailed, many)
                    .hint("write one archive or table instead of so many files"));
            }
            let name = self.names.inner(&entry.path_bytes())?;
            if name.as_os_str().is_empty() {
                self.pass(&mut entry, &mut buffer).map_err(unreadable)?;
                continue;
            }
            let path = self.root.join(&name);
            let kind = entry.header().entry_type();
            let unwritable = || format!("cannot write `{}`", path.display());
            match kind {
                EntryType::Directory => make_folder(&path).doing(unwritable)?,
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let mode = match entry.header().mode().unwrap_or(0) & 0o111 {
                        0 => 0o666,
                        _ => 0o777,
                    };
                    if let Some(mut file) = create(&path, mode).doing(unwritable)? {
                        loop {
                            let read = self.more(&mut entry, &mut buffer).map_err(unreadable)?;
                            if read == 0 {
                                break;
                            }
                            file.write_all(&buffer[..read]).doing(unwritable)?;
                        }
                    }
                }
                EntryType::Link => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = self.root.join(self.names.inner(&target)?);
                    let is_file = target.symlink_metadata().is_ok_and(|meta| meta.is_file());
                    match std::fs::hard_link(&target, &path) {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                        Err(_) if !is_file => self.leave_out(name)?,
                        Err(error) => return Err(error).doing(unwritable),
                    }
                }
                EntryType::Symlink => {
                    if self.links == Links::Refuse {
                        return Err(no_file(&name));
                    }
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = PathBuf::from(std::ffi::OsStr::from_bytes(&target));
                    self.pending.push((name, target));
                }
                EntryType::XGlobalHeader => {}
                _ => self.leave_out(name)?,
            }
            self.pass(&mut entry, &mut buffer).map_err(unreadable)?;
        }
    }

    /// The next bytes of a content.
    fn more(&mut self, content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let read = content.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(out_of_proportion)?;
        Ok(read)
    }

    /// Passes over what is left of a content.
    fn pass(&mut self, content: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
        while self.more(content, buffer)? > 0 {}
        Ok(())
    }

    fn leave_out(&mut self, name: PathBuf) -> Result<()> {
        if self.links == Links::Refuse {
            return Err(no_file(&name));
        }
        self.left_out.insert(name);
        Ok(())
    }
}

/// The content of the first regular file of a name in an archive, as far as `most` bytes. Nothing
/// behind it is read.
pub(super) fn find(
    reader: impl Read,
    names: Names,
    wanted: &str,
    most: u64,
) -> Result<Option<Vec<u8>>> {
    let room = Rc::new(Cell::new(0));
    let mut archive = tar::Archive::new(Headers {
        inner: reader,
        room: Rc::clone(&room),
    });
    let mut entries = archive.entries().map_err(unreadable)?;
    for _ in 0..MAX_ENTRIES {
        room.set(MAX_HEADERS);
        let Some(entry) = entries.next() else {
            return Ok(None);
        };
        let mut entry = entry.map_err(unreadable)?;
        room.set(u64::MAX);
        let is_file = entry.header().entry_type() == EntryType::Regular;
        if is_file && names.inner(&entry.path_bytes())? == Path::new(wanted) {
            let mut content = Vec::new();
            let mut entry = entry.take(most);
            entry.read_to_end(&mut content).map_err(unreadable)?;
            return Ok(Some(content));
        }
        // NOTE: a sparse file has as many bytes as it likes; the archive's own are passed over.
        if entry.header().entry_type() != EntryType::GNUSparse {
            io::copy(&mut entry, &mut io::sink()).map_err(unreadable)?;
        }
    }
    Ok(None)
}

/// An archive cannot be read.
pub(super) fn unreadable(error: io::Error) -> Error {
    Error::new(ExitCode::JobFailed, "cannot read what the job left behind").because(error)
}

/// The archive is a bomb.
pub(super) fn out_of_proportion() -> io::Error {
    io::Error::other("the archive is out of all proportion: it would fill the disk")
}

/// A reader of an archive that gives no more than there is room for between two contents: an
/// entry's long name may be as long as the archive, and is held in memory.
struct Headers<R> {
    inner: R,
    room: Rc<Cell<u64>>,
}

impl<R: Read> Read for Headers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let room = self.room.get().checked_sub(read as u64);
        let room = room.ok_or_else(|| io::Error::other("a header of the archive is too large"))?;
        self.room.set(room);
        Ok(read)
    }
}

fn no_file(name: &Path) -> Error {
    let cause = ArchiveError::NotAFile(name.display().to_string());
    Error::new(ExitCode::JobFailed, "cannot pack the model").because(cause)
}

impl Names {
    /// Where something in an archive belongs, below what was packed.
    fn inner(self, name: &[u8]) -> Result<PathBuf> {
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    let cause = format!("`{}` leads out of its folder", path.display());
                    let message = "cannot take what the job left behind";
                    return Err(Error::new(ExitCode::JobFailed, message).because(cause));
                }
            }
        }
        let before = match self {
            Self::OfFolder => 1,
            Self::Bare => 0,
        };
        Ok(parts.into_iter().skip(before).collect())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir_all(path) {
        // Another host has a file of that name, which stays.
        Err(error) if is_in_the_way(&error) => Ok(()),
        made => made,
    }
}

/// A new file; nothing when there is something of that name.
fn create(path: &Path, mode: u32) -> io::Result<Option<File>> {
    make_folder(path.parent().unwrap_or(path))?;
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_in_the_way(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_in_the_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory
    )
}

/// Whether a link leads to somewhere in the folder, by names alone. It may go up only before it
/// goes down: what it goes down through may be another link.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    let mut goes_down = false;
    for part in target.components() {
        match part {
            Component::Normal(_) => goes_down = true,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 && !goes_down => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            // NOTE: the library itself refuses such names.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.set_link_name_literal(content).unwrap();
            }
            let content = if is_link { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn unpacked(
        links: Links,
        entries: &[(&str, EntryType, &str)],
    ) -> (tempfile::TempDir, Result<BTreeSet<PathBuf>>) {
        let place = tempfile::tempdir().unwrap();
        let mut unpacked = Unpacked::new(&place.path().join("to"), links, Names::OfFolder).unwrap();
        let done = unpacked.unpack(&*tar_of(entries));
        let done = done.and_then(|()| unpacked.finish());
        (place, done)
    }

    const FILE: EntryType = EntryType::Regular;
    const LINK: EntryType = EntryType::Symlink;

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["model/../../x", "/etc/x", "../x"] {
            let (place, done) = unpacked(Links::Keep, &[(name, FILE, "x")]);
            assert!(
                done.unwrap_err().to_string().contains("leads out"),
                "{name}"
            );
            assert_eq!(place.path().read_dir().unwrap().count(), 1);
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (place, done) = unpacked(
            Links::Keep,
            &[
                ("d/out", LINK, "/tmp"),
                ("d/up", LINK, ".."),
                ("d/sub/up", LINK, "../../.."),
                ("d/out/x", FILE, "x"),
                ("d/a/b", EntryType::Directory, ""),
                ("d/a/b/up", LINK, ".."),
                ("d/a/b/up/z", LINK, "../../q"),
                ("d/twice", LINK, "a/b/up/../.."),
                ("d/a/latest", LINK, "../b/one"),
                ("d/b/one", FILE, "1"),
            ],
        );
        let left: Vec<_> = done.unwrap().into_iter().collect();
        let expected = ["a/b/up/z", "sub/up", "twice", "up"].map(Path::new);
        assert_eq!(left, expected);
        let root = place.path().join("to");
        assert_eq!(std::fs::read(root.join("out/x")).unwrap(), b"x");
        assert!(root.join("out").symlink_metadata().unwrap().is_dir());
        assert_eq!(std::fs::read(root.join("a/latest")).unwrap(), b"1");
    }

    #[test]
    fn neither_a_long_name_nor_a_sparse_file_is_a_bomb() {
        let name = "n".repeat(usize::try_from(MAX_HEADERS).unwrap());
        let long = tar_of(&[
            ("@LongLink", EntryType::GNULongName, &name),
            ("x", FILE, ""),
        ]);
        let place = tempfile::tempdir().unwrap();
        let to = |name: &str| Unpacked::new(&place.path().join(name), Links::Keep, Names::Bare);
        let error = to("long").unwrap().unpack(&*long).unwrap_err();
        assert!(error.render().contains("header"), "{}", error.render());

        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_path("sparse").unwrap();
        header.set_size(0);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize = *b"77777777777\0";
        gnu.sparse[0].offset = *b"77777777777\0";
        gnu.sparse[0].numbytes = *b"00000000000\0";
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, io::empty()).unwrap();
        let sparse = tar.into_inner().unwrap();
        let mut unpacked = to("sparse").unwrap().at_most(1024 * 1024);
        let error = unpacked.unpack(&*sparse).unwrap_err();
        assert!(error.render().contains("proportion"), "{}", error.render());
    }

    #[test]
    fn a_model_has_no_links_but_hard_ones_within_it() {
        let (_place, done) = unpacked(Links::Refuse, &[("model/x", LINK, "/etc/passwd")]);
        assert!(done.unwrap_err().to_string().contains("`x` is a link"));
        let (_place, done) = unpacked(Links::Refuse, &[("model/x", EntryType::Fifo, "")]);
        assert!(done.is_err());
        let outside = [("model/x", EntryType::Link, "/etc/passwd")];
        assert!(unpacked(Links::Refuse, &outside).1.is_err());
        let (place, done) = unpacked(
            Links::Refuse,
            &[
                ("model/a", FILE, "weights"),
                ("model/b", EntryType::Link, "model/a"),
            ],
        );
        done.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &place.path().join("to/b").metadata().unwrap().permissions(),
        );
        assert_eq!(mode & 0o7000, 0, "set-user-id bits are dropped");
        assert_eq!(
            std::fs::read(place.path().join("to/b")).unwrap(),
            b"weights"
        );
    }
}
