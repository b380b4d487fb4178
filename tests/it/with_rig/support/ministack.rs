//! ministack: a stand-in for AWS with a registry that takes real pushes.

use std::net::TcpListener;
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
        // It cannot choose a port by itself.
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let process = Command::new(tool("ministack"))
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ministack = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = ministack.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "ministack did not start: {ended:?}"
            );
            // NOTE: it says nowhere that it listens; a connection is the only sign.
            std::thread::sleep(Duration::from_millis(50));
        }
        ministack
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
