//! Files of a context, opened beneath its root and held to be what the listing saw.

use std::fs::File;
use std::io::{self, Read};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::data::known::Inode;
use crate::error::{Error, ExitCode};

/// The bytes of a file of the context. A file that does not stay the same until its last byte was
/// read is an error instead of its end.
#[derive(Debug)]
pub struct FileReader {
    name: String,
    file: File,
    seen: Inode,
    left: u64,
    is_checked: bool,
}

impl FileReader {
    pub(super) fn new(name: &str, file: OwnedFd, seen: Inode) -> Self {
        Self {
            name: name.to_owned(),
            file: File::from(file),
            seen,
            left: seen.size(),
            is_checked: false,
        }
    }

    /// Whether the file is the one that was listed, unchanged.
    pub(super) fn check(&self) -> io::Result<()> {
        match rustix::fs::fstat(&self.file) {
            Ok(stat) if Inode::from(&stat) == self.seen => Ok(()),
            Ok(_) => Err(io::Error::other(changed(&self.name))),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most > 0 {
            let read = self.file.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(io::Error::other(changed(&self.name)));
            }
            self.left -= read as u64;
            // With the last byte, so that who reads as many bytes as were announced is told, too.
            if self.left == 0 {
                self.check()?;
                self.is_checked = true;
            }
            return Ok(read);
        }
        if !self.is_checked {
            self.check()?;
            self.is_checked = true;
        }
        Ok(0)
    }
}

/// A file that is not what it was.
pub(super) fn changed(name: &str) -> Error {
    Error::new(
        ExitCode::Build,
        format!("{name} changed while the build context was read"),
    )
    .hint("build again when nothing writes to it, or name it in `.dockerignore`")
}

/// Whether a name that was listed leads to something else now.
pub(super) fn is_gone(error: Errno) -> bool {
    [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::LOOP,
        Errno::XDEV,
        Errno::NXIO,
    ]
    .contains(&error)
}

/// Opens a name below a folder for reading; a link anywhere in it is an error.
pub(super) fn open_beneath(root: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    // NOTE: without O_NONBLOCK, opening a pipe waits for somebody to write to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(root.as_fd(), name, flags, Mode::empty(), resolve) {
            // Kernels before 5.6, and containers whose filter does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            result => return result,
        }
    }
    step_by_step(root, name, flags)
}

fn step_by_step(root: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut folder: Option<OwnedFd> = None;
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        if ["", ".", ".."].contains(&part) {
            return Err(Errno::INVAL);
        }
        let flags = match parts.peek() {
            Some(_) => flags | OFlags::DIRECTORY,
            None => flags,
        };
        let parent = folder
            .as_ref()
            .map_or(root.as_fd(), |folder| folder.as_fd());
        folder = Some(rustix::fs::openat(parent, part, flags, Mode::empty())?);
    }
    folder.ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_whichever_way_it_is_opened() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("inside");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(inside.join("a/b/file"), "x").unwrap();
        std::fs::write(place.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("..", inside.join("out")).unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("leak")).unwrap();
        let root = File::open(&inside).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        for name in ["out/secret", "leak", "../secret"] {
            assert!(open_beneath(&root, name).is_err(), "{name}");
            assert!(step_by_step(&root, name, flags).is_err(), "{name}");
        }
        assert!(open_beneath(&root, "a/b/file").is_ok());
        assert!(step_by_step(&root, "a/b/file", flags).is_ok());
    }
}
