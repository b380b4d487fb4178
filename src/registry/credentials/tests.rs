use super::*;

const HANGS: &str = "sleep 600";

/// A home with a Docker config and helpers (name, shell script).
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &str, helpers: &[(&str, &str)]) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".docker")).unwrap();
        std::fs::write(home.path().join(".docker/config.json"), config).unwrap();
        for (name, script) in helpers {
            let path = home.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(home)
    }

    fn credentials(&self, more: &[(&str, &str)]) -> Credentials {
        let home = self.0.path().to_str().unwrap().to_owned();
        let mut env: BTreeMap<String, String> = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        env.insert("PATH".to_owned(), format!("{home}:/usr/bin:/bin"));
        env.insert("HOME".to_owned(), home);
        Credentials::from_environment(&env)
    }

    async fn ask(&self, host: &str) -> Option<(String, String, bool)> {
        shown(self.credentials(&[]).for_host(host).await.unwrap())
    }
}

fn shown(login: Option<Login>) -> Option<(String, String, bool)> {
    let shown = |login: Login| {
        let password = login.password.expose_secret().to_owned();
        (login.user, password, login.is_token)
    };
    login.map(shown)
}

fn answer(user: &str, password: &str, is_token: bool) -> Option<(String, String, bool)> {
    Some((user.to_owned(), password.to_owned(), is_token))
}

#[tokio::test]
async fn auths_are_found_by_host_url_and_docker_hubs_old_key() {
    let entry = |text: &str| BASE64_STANDARD.encode(text);
    let config = format!(
        r#"{{"auths": {{
            "https://index.docker.io/v1/": {{"auth": "{}"}},
            "plain.example": {{"auth": "{}"}},
            "https://url.example/v2/": {{"username": "u", "password": "p"}},
            "token.example": {{"auth": "{}", "identitytoken": "it"}},
            "empty.example": {{}}
        }}, "HttpHeaders": {{"a": "b"}}}}"#,
        entry("hub:secret"),
        entry("me:pass:with:colons"),
        entry("me:"),
    );
    let home = Home::new(&config, &[]);
    for name in DOCKER_HUB {
        assert_eq!(home.ask(name).await, answer("hub", "secret", false));
    }
    assert_eq!(
        home.ask("plain.example").await,
        answer("me", "pass:with:colons", false)
    );
    assert_eq!(home.ask("url.example").await, answer("u", "p", false));
    assert_eq!(home.ask("token.example").await, answer("me", "it", true));
    assert_eq!(home.ask("empty.example").await, None);
    assert_eq!(home.ask("other.example").await, None);
    assert_eq!(home.ask("plain.example:5000").await, None);
}

#[tokio::test]
async fn helpers_are_asked_and_may_know_nothing() {
    let config = r#"{"credsStore": "all", "credHelpers": {"one.example": "one"},
        "auths": {"left.example": {"username": "file", "password": "f"}}}"#;
    let all = r#"read server; case "$server" in
        left.example) echo "credentials not found in native keychain"; exit 1;;
        https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"h"}';;
        *) printf '{"ServerURL":"x","Username":"<token>","Secret":"%s %s"}' "$1" "$server";; esac"#;
    // It does not even read what it is asked.
    let one = r#"echo '{"Username":"one","Secret":"1"}'"#;
    let home = Home::new(config, &[("all", all), ("one", one)]);
    assert_eq!(home.ask("one.example").await, answer("one", "1", false));
    assert_eq!(
        home.ask("any.example:5000").await,
        answer("<token>", "get any.example:5000", true)
    );
    assert_eq!(home.ask("left.example").await, answer("file", "f", false));
    assert_eq!(home.ask("docker.io").await, answer("hub", "h", false));
}

#[tokio::test]
async fn broken_sources_are_errors_that_show_no_secret() {
    let with = |helper: &str| format!(r#"{{"credsStore": "{helper}"}}"#);
    let helpers = [
        ("fails", "echo vault is sealed; exit 1"),
        ("nonsense", "echo hunter2"),
        (
            "halves",
            r#"echo '{"Username":"u","Secret":"hunter2"}'; echo disk full >&2; exit 1"#,
        ),
        ("endless", "yes hunter2"),
    ];
    for (config, words) in [
        (r#"{"auths": "hunter2"}"#.to_owned(), "line 1, column 19"),
        ("{".to_owned(), "line 1"),
        (
            r#"{"auths": {"x.example": {"auth": "aHVudGVyMg=="}}}"#.to_owned(),
            "`auth` is not",
        ),
        (
            r#"{"auths": {"x.example": {"auth": "hunter2!"}}}"#.to_owned(),
            "`auth` is not",
        ),
        (
            with("absent"),
            "no credential helper `docker-credential-absent`",
        ),
        (with("../../evil"), "letters, digits"),
        (with("fails"), "vault is sealed"),
        (with("halves"), "disk full"),
        (with("nonsense"), "answered nonsense"),
        (with("endless"), "longer than 256 KiB"),
    ] {
        let home = Home::new(&config, &helpers);
        let error = home
            .credentials(&[])
            .for_host("x.example")
            .await
            .unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Credentials);
        let text = error.render();
        assert!(text.contains(words), "{words}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_helper_that_hangs_is_ended() {
    let home = Home::new(r#"{"credsStore": "hangs"}"#, &[("hangs", HANGS)]);
    let error = home
        .credentials(&[])
        .for_host("x.example")
        .await
        .unwrap_err();
    assert!(
        error.render().contains("did not answer in 30 s"),
        "{}",
        error.render()
    );
}

#[tokio::test]
async fn variables_win_for_one_host_only() {
    let home = Home::new(
        r#"{"auths": {"a.example": {"username": "f", "password": "f"}}}"#,
        &[],
    );
    let both = [
        ("MLACTION_REGISTRY_USER", "u"),
        ("MLACTION_REGISTRY_PASSWORD", "p"),
    ];
    let unbound = home.credentials(&both);
    assert_eq!(
        shown(unbound.for_host("a.example").await.unwrap()),
        answer("f", "f", false)
    );
    let bound = unbound.configured("a.example");
    assert_eq!(
        shown(bound.for_host("a.example").await.unwrap()),
        answer("u", "p", false)
    );
    assert!(bound.for_host("b.example").await.unwrap().is_none());

    let named = [both[0], both[1], ("MLACTION_REGISTRY_HOST", "b.example")];
    let named = home.credentials(&named).configured("a.example");
    assert_eq!(
        shown(named.for_host("a.example").await.unwrap()),
        answer("f", "f", false)
    );
    assert_eq!(
        shown(named.for_host("b.example").await.unwrap()),
        answer("u", "p", false)
    );

    let half = home.credentials(&both[..1]).configured("a.example");
    let error = half.for_host("a.example").await.unwrap_err().render();
    assert!(
        error.contains("`MLACTION_REGISTRY_PASSWORD` is not set"),
        "{error}"
    );
    let given = half.with("a.example", Login::new("AWS", "t"));
    assert_eq!(
        shown(given.for_host("a.example").await.unwrap()),
        answer("AWS", "t", false)
    );
    assert!(!format!("{given:?}").contains("\"t\""));
}

#[tokio::test]
async fn podmans_file_comes_after_dockers() {
    let home = Home::new(
        r#"{"auths": {"a.example": {"username": "docker", "password": "d"}}}"#,
        &[],
    );
    let path = home.0.path().join("auth.json");
    let podman = r#"{"auths": {"a.example": {"auth": "cDpx"}, "b.example": {"auth": "cDpx"}}}"#;
    std::fs::write(&path, podman).unwrap();
    let credentials = home.credentials(&[("REGISTRY_AUTH_FILE", path.to_str().unwrap())]);
    assert_eq!(
        shown(credentials.for_host("a.example").await.unwrap()),
        answer("docker", "d", false)
    );
    assert_eq!(
        shown(credentials.for_host("b.example").await.unwrap()),
        answer("p", "q", false)
    );
}
