//! What a runner gives to a container, and what it does not.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Lab, check_out, start};
use crate::project::Project;
use crate::with_rig::images::{docker, left};
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

/// A network of a job with a service, as the runner makes one; both are gone when it is dropped.
struct Network {
    name: String,
    _service: std::process::Child,
}

impl Network {
    /// A server of files that has the name `service` there; it has none.
    #[track_caller]
    fn with_service() -> Self {
        let name = format!("mlaction-test-network-{}", std::process::id());
        docker(&["network", "create", &name]);
        let base =
            std::env::var("MLACTION_TEST_BASE").expect("tests/rig/up names MLACTION_TEST_BASE");
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--name", &name, "--network", &name]);
        command.args([
            "--network-alias",
            "service",
            &base,
            "python3",
            "-u",
            "-m",
            "http.server",
            "80",
        ]);
        let mut service = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(service.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(line.contains("port 80"), "{line}");
        Self {
            name,
            _service: service,
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for arguments in [
            ["rm", "--force", &self.name].as_slice(),
            &["network", "rm", &self.name],
        ] {
            let _ = Command::new("docker").args(arguments).output();
        }
    }
}

/// A static program asks for names by itself.
#[test]
fn it_finds_the_services_of_a_job_by_name() {
    let lab = Lab::new("image-names");
    let number = lab.github.pull(&json!({}));
    let comment = lab.github.says("alice", number, "/train");
    let network = Network::with_service();
    let mut runner = lab.job(&format!("issue_comment?comment={comment}"));
    runner.kind.network = Some(network.name.clone());
    runner.set("GITHUB_API_URL", "http://service");
    let ended = lab.run(&runner.step(), &[("command", "chat")]);
    assert_eq!(ended.code, Some(40), "{}", ended.log);
    assert!(ended.log.contains("Error code: 404"), "{}", ended.log);
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
fn it_trusts_the_web_and_who_else_is_named() {
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
        network: Some("host".to_owned()),
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
