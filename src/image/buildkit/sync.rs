//! Files for the engine: it is told what is there and asks for what it has not.
//!
//! The order is fsutil's: a STAT for each entry, depth first and sorted by name, and an empty one
//! at the end; for each file that is asked for by its number, DATA until an empty one; FIN.
//! <https://github.com/tonistiigi/fsutil/blob/master/send.go>

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::filter::{Filter, Wanted};
use super::session::{Failure, Meter};
use crate::error::{Error, ExitCode};
use crate::image::context::{Context, Entry, Kind};

/// Bytes of a file in one message. With those that wait this bounds the memory of a build.
const PIECE: usize = 256 * 1024;

/// Batches of messages that wait for the connection.
const WAITING: usize = 16;

/// STATs of one batch: a thread that is woken for each of them does little else.
const BATCH: usize = 128;

/// Files that are read at once.
const READERS: usize = 4;

/// Bits of Go's `os.FileMode`: <https://pkg.go.dev/io/fs#FileMode>.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;

/// What is sent in place of the project's `.dockerignore`: its rules were applied here already, and
/// so they are not applied again. It makes the engine look for no other one.
const NO_RULES: &[u8] = b"# applied by mlaction\n";

type Message = Result<Packet, Status>;
type Batch = Result<Vec<Packet>, Status>;
type Messages = mpsc::Sender<Batch>;

/// The name under which the engine gets the Dockerfile, wherever it lies.
pub(super) fn dockerfile_name(dockerfile: &Path) -> String {
    let name = dockerfile
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "Dockerfile".to_owned())
}

/// The folders that the engine may ask for: `context` and `dockerfile`.
#[derive(Clone)]
pub(super) struct Files {
    context: Context,
    memory: Arc<Vec<(String, Vec<u8>)>>,
    meter: Arc<Meter>,
    failure: Failure,
}

impl Files {
    pub(super) fn new(
        context: Context,
        dockerfile: &Path,
        meter: Arc<Meter>,
        failure: Failure,
    ) -> Self {
        let name = dockerfile_name(dockerfile);
        let rules = (format!("{name}.dockerignore"), NO_RULES.to_vec());
        let memory = vec![(name, context.dockerfile().to_vec()), rules];
        Self {
            context,
            memory: Arc::new(memory),
            meter,
            failure,
        }
    }
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = BoxStream<'static, Message>;
    type TarStreamStream = BoxStream<'static, Message>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = Wanted::from_metadata(request.metadata());
        let is_context = match wanted.folder.as_str() {
            "context" => true,
            "dockerfile" => false,
            other => return Err(Status::not_found(format!("there is no folder {other:?}"))),
        };
        let requests = request.into_inner();
        let (messages, receiver) = mpsc::channel(WAITING);
        let transfer = Arc::new(Transfer {
            files: self.clone(),
            messages,
            sources: Mutex::default(),
        });
        let walking = Arc::clone(&transfer);
        tokio::task::spawn_blocking(move || {
            let walked = match is_context {
                true => walking.tell_context(&wanted),
                false => walking.tell_memory(&wanted),
            };
            // Who does not listen any more has said why elsewhere.
            if let Err(Stop::Failed(error)) = walked {
                walking.fail(error);
            }
        });
        tokio::spawn(serve(transfer, requests));
        let messages = ReceiverStream::new(receiver).flat_map(|batch| {
            let messages = match batch {
                Ok(packets) => packets.into_iter().map(Ok).collect(),
                Err(status) => vec![Err(status)],
            };
            futures_util::stream::iter(messages)
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("no engine asks for archives"))
    }
}

/// Why a transfer ends early.
enum Stop {
    /// Nobody listens.
    Closed,
    Failed(Error),
}

/// One call.
struct Transfer {
    files: Files,
    messages: Messages,
    /// What may be asked for, by number.
    sources: Mutex<HashMap<u32, Source>>,
}

enum Source {
    File(Entry),
    /// By its place in [`Files::memory`].
    Memory(usize),
}

/// Answers the engine's requests until it has all.
async fn serve(transfer: Arc<Transfer>, mut requests: Streaming<Packet>) {
    let (queue, queued) = channel();
    let queued = Arc::new(Mutex::new(queued));
    let mut readers = 0;
    while let Some(Ok(packet)) = requests.next().await {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::PacketReq) => {
                let source = transfer.take(packet.id);
                let Some(source) = source else {
                    let status = Status::invalid_argument(format!("no file {}", packet.id));
                    let _ = transfer.messages.send(Err(status)).await;
                    return;
                };
                start_reader(&transfer, &queued, &mut readers);
                // The readers live as long as this queue.
                let _ = Sender::send(&queue, (packet.id, source));
            }
            Ok(PacketType::PacketFin) => {
                let _ = transfer
                    .messages
                    .send(Ok(vec![message(PacketType::PacketFin)]))
                    .await;
                return;
            }
            // What is wrong there is in the answer to the build.
            Ok(PacketType::PacketErr) => return,
            Ok(PacketType::PacketStat | PacketType::PacketData) | Err(_) => {}
        }
    }
}

type Queue = Arc<Mutex<Receiver<(u32, Source)>>>;

fn start_reader(transfer: &Arc<Transfer>, queued: &Queue, readers: &mut usize) {
    if *readers == READERS {
        return;
    }
    *readers += 1;
    let (transfer, queued) = (Arc::clone(transfer), Arc::clone(queued));
    tokio::task::spawn_blocking(move || {
        loop {
            let next = queued.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, source)) = next else {
                return;
            };
            match transfer.send(number, &source) {
                Ok(()) => {}
                Err(Stop::Closed) => return,
                Err(Stop::Failed(error)) => return transfer.fail(error),
            }
        }
    });
}

impl Transfer {
    fn tell_context(&self, wanted: &Wanted) -> Result<(), Stop> {
        let context = &self.files.context;
        let filter = Filter::new(wanted, Some(context)).map_err(|error| {
            let error = Error::new(
                ExitCode::Build,
                "the engine asks for files by a pattern that is not valid",
            )
            .because(error);
            Stop::Failed(error)
        })?;
        let mut batch = Vec::with_capacity(BATCH);
        for (number, entry) in (0..).zip(filter.entries(context.entries())) {
            let entry = entry.map_err(Stop::Failed)?;
            let mut stat = Stat {
                path: entry.name.clone(),
                mode: entry.mode,
                mod_time: entry.modified,
                ..Stat::default()
            };
            match &entry.kind {
                Kind::Folder => stat.mode |= FOLDER,
                Kind::Link { target } => {
                    stat.mode |= LINK;
                    // NOTE: the engine compares it with the size of the link that it made.
                    stat.size = signed(target.len() as u64);
                    stat.linkname.clone_from(target);
                }
                Kind::File { size } => {
                    stat.size = signed(*size);
                    self.offer(number, Source::File(entry));
                }
            }
            batch.push(tell(stat));
            if batch.len() == BATCH {
                self.put(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))?;
            }
        }
        batch.push(message(PacketType::PacketStat));
        self.put(batch)
    }

    fn tell_memory(&self, wanted: &Wanted) -> Result<(), Stop> {
        let filter = Filter::new(wanted, None).unwrap_or_default();
        let mut batch = Vec::new();
        let memory = self.files.memory.iter().enumerate();
        let told = memory.filter(|(_, (name, _))| filter.wants(name));
        for (number, (place, (name, bytes))) in (0..).zip(told) {
            // Another text is another time, even if it is as long.
            let hash = blake3::hash(bytes);
            let mut head = [0; 8];
            head.copy_from_slice(&hash.as_bytes()[..8]);
            let time = i64::from_le_bytes(head).unsigned_abs() >> 3;
            self.offer(number, Source::Memory(place));
            batch.push(tell(Stat {
                path: name.clone(),
                mode: 0o644,
                size: signed(bytes.len() as u64),
                mod_time: signed(time),
                ..Stat::default()
            }));
        }
        batch.push(message(PacketType::PacketStat));
        self.put(batch)
    }

    fn offer(&self, number: u32, source: Source) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.insert(number, source);
    }

    fn take(&self, number: u32) -> Option<Source> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.remove(&number)
    }

    fn send(&self, number: u32, source: &Source) -> Result<(), Stop> {
        match source {
            Source::File(entry) => {
                let reader = self.files.context.reader(entry).map_err(Stop::Failed)?;
                let Kind::File { size } = entry.kind else {
                    return Ok(());
                };
                let meter = &self.files.meter;
                let count = |bytes| meter.add_bytes(bytes);
                self.send_bytes(number, size, reader, &entry.name, count)?;
                meter.add_file();
                Ok(())
            }
            Source::Memory(place) => {
                let Some((name, bytes)) = self.files.memory.get(*place) else {
                    return Ok(());
                };
                self.send_bytes(number, bytes.len() as u64, bytes.as_slice(), name, |_| ())
            }
        }
    }

    fn send_bytes(
        &self,
        number: u32,
        size: u64,
        mut reader: impl Read,
        name: &str,
        sent: impl Fn(usize),
    ) -> Result<(), Stop> {
        let mut left = size;
        loop {
            let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let mut batch = Vec::with_capacity(2);
            if most > 0 {
                let mut data = vec![0; most];
                let read = reader.read_exact(&mut data);
                read.map_err(|error| Stop::Failed(unread(name, error)))?;
                left -= most as u64;
                sent(most);
                batch.push(Packet {
                    id: number,
                    data,
                    ..message(PacketType::PacketData)
                });
            }
            if left == 0 {
                batch.push(Packet {
                    id: number,
                    ..message(PacketType::PacketData)
                });
            }
            self.put(batch)?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    fn put(&self, batch: Vec<Packet>) -> Result<(), Stop> {
        self.messages
            .blocking_send(Ok(batch))
            .map_err(|_| Stop::Closed)
    }

    /// Ends the build with an error of ours.
    fn fail(&self, error: Error) {
        let status = Status::aborted(error.to_string());
        self.files.failure.set(error);
        // Nobody may listen any more.
        let _ = self.messages.blocking_send(Err(status));
    }
}

/// A file that could not be read to its end: the reader's own words, when it has some.
fn unread(name: &str, error: std::io::Error) -> Error {
    let own = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    own.cloned().unwrap_or_else(|| {
        Error::new(ExitCode::Build, format!("cannot read {name}")).because(error)
    })
}

fn tell(stat: Stat) -> Packet {
    Packet {
        stat: Some(stat),
        ..message(PacketType::PacketStat)
    }
}

fn message(kind: PacketType) -> Packet {
    Packet {
        r#type: kind.into(),
        ..Packet::default()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
