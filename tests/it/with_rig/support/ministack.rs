//! ministack: a stand-in for AWS with a registry that takes real pushes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::tool;

/// A running ministack. It ends when it is dropped.
pub(crate) struct Ministack {
    process: Child,
    port: u16,
}

impl Ministack {
    /// Starts it and waits until it answers.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that refuses keys that it does not know: its own is `test`.
    #[track_caller]
    pub(crate) fn start_strict() -> Self {
        Self::start_with(&[("AUTH", "true")])
    }

    #[track_caller]
    fn start_with(variables: &[(&str, &str)]) -> Self {
        // It cannot choose a port by itself.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(tool("ministack"))
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ministack = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(300);
        while !ministack.answers() {
            let ended = ministack.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "ministack did not start: {ended:?}"
            );
            // NOTE: it says nowhere that it listens; an answer is the only sign.
            std::thread::sleep(Duration::from_millis(50));
        }
        ministack
    }

    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(self.host())?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n")?;
            let mut status = [0; 12];
            stream.read_exact(&mut status)?;
            Ok::<bool, std::io::Error>(status.ends_with(b" 200"))
        };
        ask().unwrap_or(false)
    }

    /// `127.0.0.1:PORT`, of the API and of the registry.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
