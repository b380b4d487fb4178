//! `/train` in a comment: who may ask, what is answered, and the training that follows.

use serde_json::json;

use super::Site;

impl Site {
    /// Has `chat` read a new comment, and gives the outputs of the step.
    #[track_caller]
    fn chat(&self, login: &str, number: u64, body: &str) -> Vec<(String, String)> {
        let event = self.comment_event(login, number, body);
        let step = self.run(&event, &["chat"], 0);
        assert!(!step.err.contains("warning"), "{}", step.err);
        step.outputs.into_iter().collect()
    }

    /// The signs under comments.
    fn signs(&self) -> Vec<String> {
        let reactions = self.github.all("reactions").into_iter();
        reactions
            .map(|one| one["content"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn outputs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_writers_command_is_answered_and_trained_where_it_was_said() {
    let site = Site::with_pull();
    let sha = site.commit();
    site.head(1, &sha);
    site.github.set("collaborators", &json!({"alice": "write"}));
    let found = site.chat("alice", 1, "/train --destination process\nplease");
    let wanted = [
        ("destination", "process"),
        ("is_fork", "false"),
        ("pull_request", "1"),
        ("sha", &*sha),
        ("train", "true"),
    ];
    assert_eq!(found, outputs(&wanted));
    assert_eq!(site.signs(), ["rocket"]);
    let (answer, body) = site.comment(1);
    assert!(body.contains(&sha), "{body}");

    // The second job of the workflow.
    let event = site.comment_event("alice", 1, "/train");
    let arguments = ["train", "--pull-request", "1", "--destination", "process"];
    site.run(&event, &arguments, 0);
    let comments = site.github.comments(1);
    let report = comments.last().unwrap();
    assert_ne!(report["id"], answer);
    assert!(
        report["body"]
            .as_str()
            .unwrap()
            .contains("| accuracy | 0.97 |")
    );
    assert_eq!(site.check()["head_sha"], *sha);

    // Another commit was pushed since: what was trained is not the head.
    site.head(1, &"1".repeat(40));
    site.run(&event, &arguments, 0);
    assert_eq!(site.github.checks().len(), 1);

    // Whoever asks again gets the same answer, not another comment.
    let before = site.github.comments(1).len();
    site.chat("alice", 1, "/train");
    assert_eq!(site.github.comments(1).len(), before + 1);
}

#[test]
fn nobody_else_gets_an_answer() {
    let site = Site::with_pull();
    let roles = json!({"bob": "read", "trish": "triage", "alice": "admin", "robot[bot]": "write"});
    site.github.set("collaborators", &roles);
    for (login, body) in [
        ("bob", "/train"),
        ("trish", "/train"),
        ("mallory", "/train"),
        ("robot[bot]", "/train"),
        ("alice", "please /train"),
        ("alice", "/training"),
        ("alice", " /train"),
    ] {
        let found = site.chat(login, 1, body);
        assert_eq!(found, outputs(&[("train", "false")]), "{login} {body}");
    }
    let issue = site.github.set("issues", &json!({}))["number"]
        .as_u64()
        .unwrap();
    assert_eq!(
        site.chat("alice", issue, "/train"),
        outputs(&[("train", "false")])
    );
    assert_eq!(site.writes(), Vec::<String>::new());
    let edited = site.comment_event("alice", 1, "/train") + "&action=edited";
    let step = site.run(&edited, &["chat"], 0);
    assert_eq!(step.outputs["train"], "false");
    assert_eq!(site.writes(), Vec::<String>::new());
    site.run("pull_request?number=1", &["chat"], 0);
}

#[test]
fn what_cannot_be_done_is_said_and_a_fork_needs_the_whole_commit() {
    let site = Site::new();
    let fork = site.github.pull_of_fork();
    site.github
        .set("collaborators", &json!({"alice": "maintain"}));
    let sha = site.github.all("pulls")[0]["head"]["sha"].clone();
    let sha = sha.as_str().unwrap();
    for (body, answer) in [
        ("/train @all <b>", "is not part of it"),
        ("/train", "comes from a fork"),
        (&format!("/train {}", &sha[..12]), "comes from a fork"),
    ] {
        assert_eq!(
            site.chat("alice", fork, body),
            outputs(&[("train", "false")])
        );
        let (_, said) = site.comment(fork);
        assert!(said.contains(answer), "{said}");
        assert!(!said.contains("@all") && !said.contains("<b>"), "{said}");
    }
    assert!(site.signs().iter().all(|sign| sign == "confused"));
    let found = site.chat("alice", fork, &format!("/train {sha}"));
    assert!(
        found.contains(&("is_fork".to_owned(), "true".to_owned())),
        "{found:?}"
    );
    assert!(
        found.contains(&("sha".to_owned(), sha.to_owned())),
        "{found:?}"
    );

    site.head(fork, &"2".repeat(40));
    let found = site.chat("alice", fork, &format!("/train {sha}"));
    assert_eq!(found, outputs(&[("train", "false")]));
    let (_, said) = site.comment(fork);
    assert!(said.contains(&"2".repeat(40)), "{said}");
}

#[test]
fn what_cannot_be_asked_is_not_trained_and_what_cannot_be_answered_is() {
    let site = Site::with_pull();
    site.github.set("collaborators", &json!({"alice": "write"}));
    let event = site.comment_event("alice", 1, "/train");
    let refused = json!({
        "fault": "error",
        "operation": "repos/get-collaborator-permission-level",
        "status": 403,
        "message": "Resource not accessible by integration",
    });
    site.github.faults(&refused);
    let step = site.run(&event, &["chat"], 40);
    assert_eq!(step.outputs["train"], "false");
    let only = json!({"issues": "none", "pull_requests": "read"});
    site.github.permissions(&only);
    let step = site.run(&event, &["chat"], 0);
    assert_eq!(step.outputs["train"], "true");
    assert!(step.err.contains("warning: cannot"), "{}", step.err);
    assert!(site.signs().is_empty() && site.github.comments(1).len() == 1);
}
