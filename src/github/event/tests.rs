use proptest::prelude::*;
use serde_json::json;

use super::*;

const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
const BASE: &str = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e";
/// What the workflow runs on.
const OWN: &str = "0f9a8b7c6d5e4f3a8b0a5f2c9d1e4b7a6f3c2d1e";

fn event(name: &str, payload: Value) -> Event {
    Event {
        name: name.to_owned(),
        payload,
        sha: Some(OWN.to_owned()),
        actor: Some("octocat".to_owned()),
    }
}

/// A pull request from a repository of this id; ours has the id 1.
fn pull_request(repository: u64) -> Value {
    let owner = if repository == 1 {
        "octo-org"
    } else {
        "mallory"
    };
    json!({
        "number": 7,
        "title": "</script> ::set-output name=x::y",
        "head": {
            "ref": "changes",
            "sha": HEAD,
            "repo": { "id": repository, "full_name": format!("{owner}/octo-repo") },
        },
        "base": { "ref": "main", "sha": BASE, "repo": { "id": 1, "full_name": "octo-org/octo-repo" } },
    })
}

fn workflow_run(head_repository: &Value, pull_requests: &Value) -> Event {
    let run = json!({
        "event": "pull_request",
        "head_sha": HEAD,
        "head_branch": "changes",
        "head_repository": head_repository,
        "pull_requests": pull_requests,
    });
    let payload = json!({ "repository": { "id": 1 }, "workflow_run": run });
    event("workflow_run", payload)
}

/// A pull request in the short form of a `workflow_run`.
fn short(number: u64, into: u64, head: &str) -> Value {
    let repository = |id: u64| json!({ "id": id, "name": "octo-repo", "url": "https://api.github.com/repos/octo-org/octo-repo" });
    json!({
        "number": number,
        "head": { "ref": "changes", "sha": head, "repo": repository(1) },
        "base": { "ref": "main", "sha": BASE, "repo": repository(into) },
    })
}

fn comment(action: &str, issue: &Value) -> Event {
    let comment = json!({
        "id": 99,
        "body": "/train",
        "user": { "login": "octocat", "type": "User" },
    });
    let payload = json!({ "action": action, "issue": issue, "comment": comment });
    event("issue_comment", payload)
}

fn queue(reference: &str) -> Event {
    let group = json!({ "head_sha": HEAD, "head_ref": reference, "base_ref": "refs/heads/main" });
    event("merge_group", json!({ "merge_group": group }))
}

#[test]
fn every_event_of_a_pull_request_names_it_and_its_head() {
    for name in [
        "pull_request",
        "pull_request_target",
        "pull_request_review",
        "pull_request_review_comment",
    ] {
        let event = event(name, json!({ "pull_request": pull_request(1) }));
        let About::PullRequest(found) = event.about() else {
            panic!("{name}: {:?}", event.about());
        };
        assert_eq!((found.number, found.is_fork), (7, false));
        assert_eq!(event.report_sha().as_deref(), Some(HEAD), "{name}");
    }
}

#[test]
fn events_without_a_pull_request_concern_a_commit_or_nobody() {
    let push = |reference: &str, after: &str| {
        event(
            "push",
            json!({ "ref": reference, "after": after, "deleted": false }),
        )
    };
    let branch = push("refs/heads/main", HEAD);
    assert_eq!(branch.about(), About::Commit(HEAD.to_owned()));
    let tag = push("refs/tags/v1", BASE);
    assert_eq!(tag.report_sha().as_deref(), Some(OWN));
    let deleted = push("refs/heads/main", &"0".repeat(40));
    assert_eq!(
        (deleted.about(), deleted.report_sha()),
        (About::Nobody, None)
    );
    for name in [
        "schedule",
        "workflow_dispatch",
        "repository_dispatch",
        "issues",
        "",
    ] {
        let event = event(
            name,
            json!({ "pull_request": pull_request(2), "issue": { "number": 3 } }),
        );
        assert_eq!(event.about(), About::Nobody, "{name}");
        assert_eq!(event.report_sha().as_deref(), Some(OWN), "{name}");
        assert!(
            !event.is_privileged() && !event.is_unprivileged_fork(),
            "{name}"
        );
    }
}

#[test]
fn a_merge_group_names_its_last_pull_request() {
    let group = queue(&format!(
        "refs/heads/gh-readonly-queue/release/v1/pr-104-{BASE}"
    ));
    assert_eq!(group.about(), About::Numbers(vec![104]));
    assert_eq!(group.report_sha().as_deref(), Some(HEAD));
    for other in [
        format!("refs/heads/pr-104-{BASE}"),
        "refs/heads/gh-readonly-queue/main/pr-104-main".to_owned(),
        format!("refs/heads/gh-readonly-queue/main/pr-0-{BASE}"),
        format!("refs/heads/gh-readonly-queue/main/pr--1-{BASE}"),
        format!("refs/heads/gh-readonly-queue/main/pr-99999999999999999999-{BASE}"),
        String::new(),
    ] {
        assert_eq!(queue(&other).about(), About::Nobody, "{other}");
    }
}

#[test]
fn a_workflow_run_believes_only_pull_requests_that_lead_here_and_have_not_moved() {
    let own = json!({ "id": 1, "full_name": "octo-org/octo-repo" });
    let fork = json!({ "id": 2, "full_name": "mallory/octo-repo" });
    let branch = |owner: &str| About::Branch {
        owner: owner.to_owned(),
        branch: "changes".to_owned(),
        head_sha: HEAD.to_owned(),
    };
    let one = workflow_run(
        &own,
        &json!([short(2, 1, HEAD), short(3, 9, HEAD), short(4, 1, BASE)]),
    );
    let About::PullRequest(found) = one.about() else {
        panic!("{:?}", one.about());
    };
    assert_eq!((found.number, found.is_fork), (2, false));
    let two = workflow_run(&own, &json!([short(2, 1, HEAD), short(3, 1, HEAD)]));
    assert_eq!(two.about(), About::Numbers(vec![2, 3]));
    let elsewhere = workflow_run(&own, &json!([short(2, 9, HEAD)]));
    assert_eq!(elsewhere.about(), branch("octo-org"));
    assert_eq!(workflow_run(&fork, &json!([])).about(), branch("mallory"));
    assert_eq!(
        workflow_run(&Value::Null, &json!([])).about(),
        About::Commit(HEAD.to_owned())
    );
    assert_eq!(one.report_sha().as_deref(), Some(HEAD));
    assert_eq!(one.own_run().as_deref(), Some(HEAD));
    assert_eq!(workflow_run(&fork, &json!([])).own_run(), None);
}

#[test]
fn a_comment_counts_when_it_is_new_and_on_a_pull_request() {
    let pull_request =
        json!({ "number": 5, "pull_request": { "url": "https://api.github.com/x" } });
    let new = comment("created", &pull_request);
    assert_eq!(new.about(), About::Number(5));
    let said = new.comment().unwrap();
    assert_eq!((said.id, said.number), (99, 5));
    assert_eq!(
        (
            said.author.as_str(),
            said.author_type.as_str(),
            said.body.as_str()
        ),
        ("octocat", "User", "/train")
    );
    assert_eq!(comment("edited", &pull_request).comment(), None);
    let issue = comment("created", &json!({ "number": 5 }));
    assert_eq!((issue.about(), issue.comment()), (About::Nobody, None));
}

#[test]
fn a_label_is_that_of_a_pull_request_and_new() {
    let label = |name: &str, action: &str| {
        let event = event(
            name,
            json!({ "action": action, "label": { "name": "ml:train" } }),
        );
        event.label().map(str::to_owned)
    };
    assert_eq!(
        label("pull_request", "labeled").as_deref(),
        Some("ml:train")
    );
    assert_eq!(
        label("pull_request_target", "labeled").as_deref(),
        Some("ml:train")
    );
    assert_eq!(label("pull_request", "unlabeled"), None);
    assert_eq!(label("issues", "labeled"), None);
}

#[test]
fn rights_follow_from_the_event_and_who_caused_it() {
    for (name, repository, actor, privileged, unprivileged) in [
        ("pull_request", 1, "octocat", false, false),
        ("pull_request", 2, "octocat", false, true),
        ("pull_request", 1, "dependabot[bot]", false, true),
        ("pull_request_review", 2, "octocat", false, true),
        ("pull_request_target", 2, "octocat", true, false),
        ("issue_comment", 2, "octocat", true, false),
        ("workflow_run", 2, "octocat", true, false),
        ("push", 1, "octocat", false, false),
        ("push", 1, "dependabot[bot]", false, true),
        ("schedule", 1, "dependabot[bot]", false, false),
    ] {
        let mut event = event(name, json!({ "pull_request": pull_request(repository) }));
        event.actor = Some(actor.to_owned());
        assert_eq!(event.is_privileged(), privileged, "{name} {actor}");
        assert_eq!(event.is_unprivileged_fork(), unprivileged, "{name} {actor}");
    }
    let sender = json!({ "pull_request": pull_request(1), "sender": { "login": DEPENDABOT } });
    assert!(event("pull_request", sender).is_unprivileged_fork());
}

#[test]
fn the_event_is_read_where_the_runner_says() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("event.json");
    let env = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let on_runner = |name: &str| {
        env(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", name),
            ("GITHUB_EVENT_PATH", file.to_str().unwrap()),
            ("GITHUB_SHA", OWN),
        ])
    };
    assert_eq!(
        Event::read(&env(&[("GITHUB_EVENT_NAME", "push")])).unwrap(),
        None
    );
    assert!(Event::read(&on_runner("push")).is_err(), "there is no file");
    let payload = json!({ "ref": "refs/heads/main", "after": HEAD });
    std::fs::write(&file, payload.to_string()).unwrap();
    let read = Event::read(&on_runner("push")).unwrap().unwrap();
    assert_eq!(read.about(), About::Commit(HEAD.to_owned()));
    std::fs::write(&file, "{").unwrap();
    let error = Event::read(&on_runner("push")).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Internal);
    // NOTE: a file of nothing but its length takes no room.
    File::create(&file)
        .unwrap()
        .set_len(MOST_BYTES + 1)
        .unwrap();
    let error = Event::read(&on_runner("push")).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

/// Any JSON, with the keys and values of events in it so that deeper places are reached.
fn payload() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(vec![
            HEAD,
            BASE,
            "created",
            "labeled",
            "octo-org/octo-repo",
            "refs/heads/main",
            "../..",
            "\n",
            "[bot]"
        ])
        .prop_map(str::to_owned),
        "refs/heads/gh-readonly-queue/(é|[a-z-])*/pr-[0-9-]{0,30}",
        "\\PC{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "pull_request",
        "issue",
        "comment",
        "workflow_run",
        "merge_group",
        "pull_requests",
        "head",
        "base",
        "repo",
        "repository",
        "head_repository",
        "sha",
        "head_sha",
        "ref",
        "head_ref",
        "head_branch",
        "full_name",
        "url",
        "number",
        "id",
        "user",
        "login",
        "type",
        "body",
        "label",
        "name",
        "action",
        "after",
        "sender",
    ]);
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(
        name in prop::sample::select(vec![
            "pull_request", "pull_request_target", "workflow_run", "issue_comment", "merge_group",
            "push", "schedule", "x",
        ]),
        payload in payload(),
    ) {
        let event = event(name, payload);
        let is_name = |text: &str| names::repository(&format!("{text}/x")).is_some();
        match event.about() {
            About::PullRequest(found) => {
                prop_assert!(names::sha(&found.head_sha).is_some());
                prop_assert!(names::sha(&found.base_sha).is_some());
                prop_assert!(found.head_repository.is_none_or(|name| names::repository(&name).is_some()));
            }
            About::Branch { owner, head_sha, .. } => {
                prop_assert!(is_name(&owner) && names::sha(&head_sha).is_some());
            }
            About::Commit(sha) => prop_assert!(names::sha(&sha).is_some()),
            About::Number(_) | About::Numbers(_) | About::Nobody => {}
        }
        prop_assert!(event.report_sha().is_none_or(|sha| names::sha(&sha).is_some()));
        prop_assert!(event.comment().is_none_or(|comment| names::login(&comment.author).is_some()));
        let _ = (event.label(), event.is_unprivileged_fork(), event.own_run());
    }
}
