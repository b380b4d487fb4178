//! Where engines listen: sockets, TCP, TLS, and nobody at all.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use mlaction::image::engine::{Endpoint, Engine, Need};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::lab::{Lab, engines};

#[tokio::test]
async fn an_engine_says_what_it_has_and_space_is_looked_at() {
    for engine in engines().await {
        let facts = engine.facts();
        assert!(
            facts.api >= (1, 41) && facts.cpus > 0 && facts.memory > 0,
            "{facts:?}"
        );
        if facts.is_local {
            let free = engine.free_space().unwrap();
            let need = |context| Need {
                context,
                kept: 0,
                bases: 0,
            };
            assert!(engine.check_space(need(free / 4)).is_ok());
            let text = engine.check_space(need(free)).unwrap_err().render();
            assert!(text.contains("docker system prune"), "{text}");
            let kept = Need {
                kept: free,
                ..need(free)
            };
            assert_eq!(engine.expected_space(kept), free);
        }
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_apart_from_one_that_was_stopped() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("docker.sock");
    let at = |endpoint: &Endpoint| Engine::at(endpoint.clone());
    let endpoint = Endpoint::Unix(socket.clone());
    let absent = at(&endpoint).await.unwrap_err().render();
    assert!(
        absent.contains("no such socket") && absent.contains("-v /var/run"),
        "{absent}"
    );
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let stopped = at(&endpoint).await.unwrap_err().render();
    assert!(stopped.contains("nobody listens"), "{stopped}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = at(&Endpoint::Tcp(address)).await.unwrap_err().render();
    assert!(refused.contains("2376"), "{refused}");
}

fn openssl(folder: &Path, arguments: &str) {
    let words = shlex::split(arguments).unwrap();
    let output = Command::new("openssl")
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {error}");
}

/// An authority, and certificates for `localhost` and for us.
fn certificates(folder: &Path) {
    let new = "req -x509 -newkey rsa:2048 -nodes -days 2";
    openssl(
        folder,
        &format!("{new} -keyout ca-key.pem -out ca.pem -subj /CN=authority"),
    );
    for (name, file) in [("localhost", "server"), ("client", "client")] {
        let request = "req -newkey rsa:2048 -nodes";
        openssl(
            folder,
            &format!("{request} -keyout {file}-key.pem -out {file}.csr -subj /CN={name}"),
        );
        std::fs::write(folder.join("names"), format!("subjectAltName=DNS:{name}")).unwrap();
        let sign = "x509 -req -days 2 -CA ca.pem -CAkey ca-key.pem -CAcreateserial";
        openssl(
            folder,
            &format!("{sign} -extfile names -in {file}.csr -out {file}.pem"),
        );
    }
    std::fs::rename(folder.join("client.pem"), folder.join("cert.pem")).unwrap();
    std::fs::rename(folder.join("client-key.pem"), folder.join("key.pem")).unwrap();
}

/// What an engine has in front of it when it listens with TLS and asks for certificates.
fn acceptor(folder: &Path) -> TlsAcceptor {
    let read = |name: &str| -> Vec<CertificateDer<'static>> {
        let all = CertificateDer::pem_file_iter(folder.join(name)).unwrap();
        all.map(Result::unwrap).collect()
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(read("ca.pem").remove(0)).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let key = PrivateKeyDer::from_pem_file(folder.join("server-key.pem")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(read("server.pem"), key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn join(mut outside: impl AsyncRead + AsyncWrite + Unpin, engine: Endpoint) {
    let Endpoint::Unix(path) = engine else {
        panic!("{engine} is no socket");
    };
    let mut inside = UnixStream::connect(path).await.unwrap();
    // A connection that breaks off is what the other side sees as well.
    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
}

#[tokio::test]
async fn an_engine_behind_tcp_and_tls_builds_as_well() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    for engine in engines().await {
        for tls in [None, Some(acceptor(folder.path()))] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let certificates = tls.as_ref().map(|_| folder.path());
            let (socket, acceptor) = (engine.endpoint().clone(), tls.clone());
            let proxy = tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (socket, acceptor) = (socket.clone(), acceptor.clone());
                    tokio::spawn(async move {
                        match acceptor {
                            None => join(stream, socket).await,
                            Some(acceptor) => {
                                if let Ok(stream) = acceptor.accept(stream).await {
                                    join(stream, socket).await;
                                }
                            }
                        }
                    });
                }
            });
            let address = format!("tcp://localhost:{port}");
            let endpoint = Endpoint::parse(&address, certificates).unwrap();
            let remote = Engine::at(endpoint).await.unwrap();
            assert!(!remote.facts().is_local && remote.free_space().is_none());
            let mut lab = Lab::new(&remote, "FROM scratch\nCOPY . /\n");
            lab.write("data", &"x".repeat(3_000_000));
            let image = lab.build().await.unwrap();
            assert_eq!(lab.tree(&image).await["data"].len(), 4 + 3_000_000);
            lab.end().await;

            if tls.is_some() {
                // Without TLS there is no answer, and with a wrong authority no trust.
                let plain = Endpoint::parse(&address, None).unwrap();
                assert!(Engine::at(plain).await.is_err());
                let others = tempfile::tempdir().unwrap();
                self::certificates(others.path());
                let endpoint = Endpoint::parse(&address, Some(others.path())).unwrap();
                let error = Engine::at(endpoint).await.unwrap_err().render();
                assert!(error.contains("DOCKER_CERT_PATH"), "{error}");
            }
            proxy.abort();
        }
    }
}
