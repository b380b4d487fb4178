//! What a runner gives to a container, and what it does not.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Lab, check_out, start};
use crate::project::Project;
use crate::with_rig::images::left;
use crate::with_rig::support::github::GitHub;
use crate::with_rig::support::runner::{Kind, Runner};

#[test]
fn inputs_that_there_are_not_and_folders_that_are_not_mounted_are_none_of_its_business() {
    let lab = Lab::new("image-bare");
    lab.github.pull(&json!({}));
    let mut runner = lab.job("pull_request?number=1");
    runner.kind.has_temp = false;
    let step = runner.step();
    let before = lab.project.read("mlaction.toml");
    // The runner hands on what `action.yml` does not have, and says so itself.
    lab.trains(
        &step,
        &[("working-directory", "nowhere"), ("Some.Thing", "x")],
    );
    assert_eq!(step.outputs()["status"], "passed");
    assert_eq!(lab.project.read("mlaction.toml"), before);
    assert_eq!(left("image-bare"), "");
}

#[test]
fn without_an_engine_it_says_what_is_missing_and_tells_the_pull_request() {
    let lab = Lab::new("image-alone");
    let number = lab.github.pull(&json!({}));
    let mut runner = lab.job(&format!("pull_request?number={number}"));
    runner.kind.has_engine = false;
    let step = runner.step();
    let ended = lab.run(&step, &[]);
    assert_eq!(ended.code, Some(10), "{}", ended.log);
    for words in ["cannot use the Docker Engine", "/var/run/docker.sock"] {
        assert!(ended.log.contains(words), "{}", ended.log);
    }
    assert_eq!(lab.github.checks()[0]["conclusion"], "failure");
    let comments = lab.github.comments(number);
    assert_eq!(comments.len(), 1, "{comments:?}");
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("cannot use the Docker Engine"), "{body}");
    lab.github.no_invalid_requests();
}

#[test]
fn a_wrong_input_is_named_before_anything_is_done() {
    let lab = Lab::new("image-inputs");
    lab.github.pull(&json!({}));
    let runner = lab.job("pull_request?number=1");
    let ended = lab.run(&runner.step(), &[("force", "yes"), ("wait", "true")]);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    for words in ["`force` is `yes`", "`wait` is for the command `collect`"] {
        assert!(ended.log.contains(words), "{}", ended.log);
    }
    assert!(lab.github.asked().is_empty());
}

/// A certificate for `localhost` that nobody has signed, and who shows it.
fn certificate(folder: &Path) -> TlsAcceptor {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ]);
    openssl.args([
        "-keyout",
        "key.pem",
        "-out",
        "own.pem",
        "-subj",
        "/CN=localhost",
    ]);
    for extension in [
        "subjectAltName=DNS:localhost",
        "basicConstraints=critical,CA:FALSE",
    ] {
        openssl.args(["-addext", extension]);
    }
    let output = openssl.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let own = CertificateDer::from_pem_file(folder.join("own.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Puts TLS before a server of this machine, for as long as the test runs; the port.
fn tls(acceptor: TlsAcceptor, inside: &str) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let inside = inside.to_owned();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (outside, _) = listener.accept().await.unwrap();
                let (acceptor, inside) = (acceptor.clone(), inside.clone());
                tokio::spawn(async move {
                    // Whoever does not trust the certificate breaks off.
                    let Ok(mut outside) = acceptor.accept(outside).await else {
                        return;
                    };
                    let mut inside = TcpStream::connect(inside).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
    });
    port
}

/// Nothing of the system is in the image but the certificates of the web.
#[test]
fn it_finds_names_and_certificates() {
    let github = GitHub::start();
    let project = Project::empty();
    let port = tls(
        certificate(project.path()),
        github.site().trim_start_matches("http://"),
    );
    let number = github.pull(&json!({}));
    github.set("collaborators", &json!({"alice": "write"}));
    let comment = github.says("alice", number, "/train");
    let mut runner = Runner::new(
        &github,
        &format!("issue_comment?comment={comment}"),
        project.path(),
    );
    check_out(&runner, &project);
    // `localhost` is a name of the machine's own network.
    runner.kind = Kind {
        network: Some("host"),
        ..Kind::default()
    };
    runner.set("GITHUB_API_URL", &format!("https://localhost:{port}"));
    let asks = |runner: &Runner| start(&github, &runner.step(), &[("command", "chat")]).wait();

    let ended = asks(&runner);
    assert_ne!(ended.code, Some(0), "{}", ended.log);
    let is_unknown = ended.log.contains("UnknownIssuer") || ended.log.contains("unknown issuer");
    assert!(
        is_unknown,
        "the web's certificates are not what it went by: {}",
        ended.log
    );
    assert!(github.asked().is_empty());

    runner.set("SSL_CERT_FILE", "/github/workspace/own.pem");
    let ended = asks(&runner);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(github.all("reactions").len(), 1);
}
