//! A line that breaks: it passes bytes on, and cuts each connection when it has carried a number
//! of them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

/// A line to `host:port` that is cut. It lasts as long as the process.
pub(crate) struct Cut {
    port: u16,
}

impl Cut {
    /// Carries so many bytes forth and so many back over the n-th connection, counted from 0.
    pub(crate) fn start(
        upstream: &str,
        limits: impl Fn(usize) -> (usize, usize) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = upstream.to_owned();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&upstream).unwrap());
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (forth, back) = limits(number);
                std::thread::spawn(move || carry(client, server, forth));
                std::thread::spawn(move || carry(ends.1, ends.0, back));
            }
        });
        Self { port }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, mut left: usize) {
    let mut buffer = [0; 16 * 1024];
    while left > 0 {
        let most = left.min(buffer.len());
        let Ok(read @ 1..) = from.read(&mut buffer[..most]) else {
            break;
        };
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        left -= read;
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
