//! The context as a tar archive, made while it is read.
//!
//! The same tree is the same bytes on every machine: order by name, owner 0, one fixed time. The
//! permission bits stay, as Docker keeps them in the image.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tar::{EntryType, Header};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{Context, Kind};

/// The time of every file in the archive, in seconds since 1970: 1980-01-02T00:00:00Z. It is in the
/// range of ZIP archives (from 1980 on) in every time zone, which Python's packaging tools need.
pub const TIME: u64 = 315_619_200;

/// Bytes of one part of the stream.
const CHUNK: usize = 256 * 1024;

/// Parts that wait for the engine; with the two in work this is all memory that a context needs.
const WAITING: usize = 4;

const BLOCK: usize = 512;

/// A part of the archive, or its end: a thread that dies is no end.
type Part = io::Result<Option<Bytes>>;

/// Makes the archive in a thread of its own while the stream is read.
pub(super) fn stream(
    context: Context,
    more: Vec<(String, Vec<u8>)>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = channel(WAITING);
    let thread = std::thread::Builder::new().name("context".to_owned());
    // Without a thread the sender is dropped, and the stream says so.
    drop(thread.spawn(move || {
        let mut archive = Archive::new(sender);
        let end = match archive.write(&context, &more) {
            Ok(()) => Ok(None),
            Err(error) => Err(error),
        };
        // Nobody may listen any more.
        drop(archive.sender.blocking_send(end));
    }));
    parts(receiver)
}

fn parts(receiver: Receiver<Part>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(Some(receiver), async |receiver| {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(Some(bytes))) => Some((Ok(bytes), Some(receiver))),
            Some(Ok(None)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let error = io::Error::other("the context's archive was cut off");
                Some((Err(error), None))
            }
        }
    })
}

struct Archive {
    sender: Sender<Part>,
    chunk: BytesMut,
    filled: usize,
}

impl Archive {
    fn new(sender: Sender<Part>) -> Self {
        Self {
            sender,
            chunk: BytesMut::zeroed(CHUNK),
            filled: 0,
        }
    }

    fn write(&mut self, context: &Context, more: &[(String, Vec<u8>)]) -> io::Result<()> {
        let replaced: HashSet<&str> = more.iter().map(|(name, _)| name.as_str()).collect();
        for entry in context.entries() {
            let entry = entry.map_err(io::Error::other)?;
            match &entry.kind {
                Kind::Folder => {
                    let name = format!("{}/", entry.name);
                    self.header(&name, EntryType::Directory, entry.mode, 0, "")?;
                }
                Kind::Link { target } => {
                    self.header(&entry.name, EntryType::Symlink, 0o777, 0, target)?;
                }
                Kind::File { .. } if replaced.contains(entry.name.as_str()) => {}
                Kind::File { size } => {
                    let reader = context.reader(&entry).map_err(io::Error::other)?;
                    self.file(&entry.name, entry.mode, *size, reader)?;
                }
            }
        }
        for (name, bytes) in more {
            self.file(name, 0o644, bytes.len() as u64, bytes.as_slice())?;
        }
        self.bytes(&[0; 2 * BLOCK])?;
        self.send()
    }

    fn file(&mut self, name: &str, mode: u32, size: u64, mut data: impl Read) -> io::Result<()> {
        self.header(name, EntryType::Regular, mode, size, "")?;
        let mut left = size;
        while left > 0 {
            if self.filled == CHUNK {
                self.send()?;
            }
            let free = &mut self.chunk[self.filled..];
            let most = usize::try_from(left).map_or(free.len(), |left| left.min(free.len()));
            match data.read(&mut free[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.filled += read;
                    left -= read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // An empty file may have grown as well.
        if data.read(&mut [0])? > 0 {
            return Err(io::Error::other(format!("{name} is longer than it was")));
        }
        self.padding(size)
    }

    /// A header, with entries of GNU tar before it for names that do not fit.
    fn header(
        &mut self,
        name: &str,
        kind: EntryType,
        mode: u32,
        size: u64,
        target: &str,
    ) -> io::Result<()> {
        for (text, kind) in [
            (name, EntryType::GNULongName),
            (target, EntryType::GNULongLink),
        ] {
            if text.len() > 100 {
                let size = text.len() as u64 + 1;
                let header = header("././@LongLink", kind, 0o644, size, "");
                self.bytes(header.as_bytes())?;
                self.bytes(text.as_bytes())?;
                self.bytes(&[0])?;
                self.padding(size)?;
            }
        }
        self.bytes(header(name, kind, mode, size, target).as_bytes())
    }

    fn padding(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        self.bytes(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.filled == CHUNK {
                self.send()?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.filled));
            self.chunk[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        let mut full = std::mem::replace(&mut self.chunk, BytesMut::zeroed(CHUNK));
        full.truncate(self.filled);
        self.filled = 0;
        self.sender
            .blocking_send(Ok(Some(full.freeze())))
            .map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

fn header(name: &str, kind: EntryType, mode: u32, size: u64, target: &str) -> Header {
    let mut header = Header::new_gnu();
    let fields = header.as_old_mut();
    for (text, field) in [(name, &mut fields.name), (target, &mut fields.linkname)] {
        let fits = text.len().min(field.len());
        field[..fits].copy_from_slice(&text.as_bytes()[..fits]);
    }
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header.set_size(size);
    header.set_cksum();
    header
}
