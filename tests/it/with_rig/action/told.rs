//! One comment and one check, from the plan to the report.

use std::path::Path;

use serde_json::json;

use super::{Site, commands};

const PULL: &str = "pull_request?number=1";

#[test]
fn a_pull_request_gets_one_comment_and_a_check_and_the_next_run_writes_them_anew() {
    let site = Site::with_pull();
    let step = site.run(PULL, &["train"], 0);
    let (id, body) = site.comment(1);
    let marker = "<!-- mlaction:v1:train:demo:process -->\n";
    assert!(body.starts_with(marker), "{body}");
    let bodies = site.bodies();
    assert!(bodies[0].starts_with(marker), "{}", bodies[0]);
    assert!(bodies[0].contains("demo: planned"), "{}", bodies[0]);
    assert_eq!(bodies.last().unwrap(), &body);
    assert!(body.contains("| accuracy | 0.97 |"), "{body}");
    assert!(body.contains("/actions/runs/19000000001)"), "{body}");

    let check = site.check();
    let head = site.github.all("pulls")[0]["head"]["sha"].clone();
    assert_eq!(check["name"], "mlaction: demo (process)");
    assert_eq!(check["head_sha"], head);
    assert_eq!(check["external_id"], *step.outputs["run"]);
    assert_eq!(check["conclusion"], "neutral");
    let summary = check["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("| accuracy | 0.97 |"), "{summary}");
    let note = &check["annotations"][0];
    assert_eq!(note["path"], "mlaction.toml");
    assert_eq!(note["start_line"], site.line_of("[gates.accuracy]"));
    assert_eq!(note["annotation_level"], "warning");
    let writes = site.writes();
    assert_eq!(writes[..2], ["checks/create", "issues/create-comment"]);

    assert_eq!(step.outputs["status"], "inconclusive");
    assert_eq!(step.outputs["outcome"], "neutral");
    assert_eq!(step.outputs["passed"], "true");
    let url = &step.outputs["comment_url"];
    assert!(
        url.ends_with(&format!("/pull/1#issuecomment-{id}")),
        "{url}"
    );
    let record = Path::new(&step.outputs["record"]);
    assert!(record.is_relative(), "{}", record.display());
    for file in ["report.json", "report.md", "report.html", "model.tar.gz"] {
        assert!(
            site.project.path().join(record).join(file).is_file(),
            "{file}"
        );
    }
    assert!(
        step.summary.contains("| accuracy | 0.97 |"),
        "{}",
        step.summary
    );
    assert_eq!(commands(&step.err), Vec::<&str>::new());
    assert!(step.out.contains("accuracy"), "{}", step.out);

    site.project.replace("data/train/rows.csv", "0.97", "0.88");
    site.run(PULL, &["train"], 0);
    let (again, body) = site.comment(1);
    assert_eq!(again, id);
    assert!(body.contains("| accuracy | 0.88 |"), "{body}");
    let made = site.writes().into_iter();
    assert_eq!(
        made.filter(|name| name == "issues/create-comment").count(),
        1
    );
    let checks = site.github.checks();
    assert!(
        checks.iter().all(|check| check["status"] == "completed"),
        "{checks:#?}"
    );
}

#[test]
fn a_gate_that_fails_is_shown_where_it_stands() {
    let site = Site::with_pull().without_regression();
    site.run(PULL, &["train"], 0);
    assert_eq!(site.check()["conclusion"], "success");
    assert_eq!(site.check()["annotations"], json!([]));
    site.project
        .replace("mlaction.toml", "min = 0.5", "min = 0.99");
    let step = site.run(PULL, &["train"], 30);
    assert_eq!(step.outputs["status"], "gate_failed");
    assert_eq!(step.outputs["passed"], "false");
    let check = site.github.checks().pop().unwrap();
    assert_eq!(check["conclusion"], "failure");
    let note = &check["annotations"][0];
    assert_eq!(note["annotation_level"], "failure");
    assert_eq!(note["start_line"], site.line_of("[gates.accuracy]"));
    let [error] = commands(&step.err)[..] else {
        panic!("{}", step.err);
    };
    assert!(error.starts_with("::error title=demo::"), "{error}");
}

#[test]
fn a_job_that_fails_is_told_with_its_reason() {
    let site = Site::with_pull();
    let fails = "raise ValueError('no rows left')\n";
    site.project.write("model/train.py", fails);
    let step = site.run(PULL, &["train"], 20);
    let (_, body) = site.comment(1);
    assert!(body.contains("no rows left"), "{body}");
    let check = site.check();
    assert_eq!(check["conclusion"], "failure");
    let title = check["output"]["title"].as_str().unwrap();
    assert!(title.contains("no rows left"), "{title}");
    assert_eq!(step.outputs["status"], "job_failed");
    assert!(step.summary.contains("no rows left"), "{}", step.summary);
}

#[test]
fn a_run_without_a_report_is_told_as_one() {
    let site = Site::with_pull();
    let destination = "name = \"demo\"\ndestination = \"docker\"";
    site.project
        .replace("mlaction.toml", "name = \"demo\"", destination);
    site.project
        .write("Dockerfile", "FROM scratch\nCOPY model /opt/ml/code\n");
    let mut job = site.job(PULL);
    job.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let step = site.step(&job, &["train"], 10);
    let (_, body) = site.comment(1);
    assert!(body.contains("nowhere"), "{body}");
    assert_eq!(site.check()["conclusion"], "failure");
    assert_eq!(commands(&step.err).len(), 1, "{}", step.err);
}

#[test]
fn a_broken_config_is_shown_where_it_is_broken() {
    let site = Site::with_pull().without_regression();
    site.project
        .replace("mlaction.toml", "min = 0.5", "minimum = 0.5\nmin = 0.5");
    let step = site.run(PULL, &["train"], 3);
    let file = site
        .project
        .path()
        .canonicalize()
        .unwrap()
        .join("mlaction.toml");
    let line = site.line_of("minimum");
    let wanted = format!("::error file={},line={line},", file.display());
    let [error] = commands(&step.err)[..] else {
        panic!("{}", step.err);
    };
    assert!(error.starts_with(&wanted), "{error}");
    // The pull request hears of it, too: whose project it is can be read.
    assert_eq!(site.check()["conclusion"], "failure");
    let (_, body) = site.comment(1);
    assert!(
        body.contains("there is no result") && body.contains("minimum"),
        "{body}"
    );
    assert_eq!(step.outputs["passed"], "false");
    assert!(step.summary.contains("minimum"), "{}", step.summary);
}

#[test]
fn neither_logs_nor_names_are_commands() {
    let site = Site::with_pull();
    let says = "print('::add-mask::a\\n ::stop-commands::z\\rx ##[group]y <!-- mlaction:v1:x:y:z -->')\nfor epoch in";
    site.project.replace("model/train.py", "for epoch in", says);
    let name = "[gates.\"::error::@all <!-- x --> | ##[group]\"]\nmin = 1\n[gates.accuracy]";
    site.project
        .replace("mlaction.toml", "[gates.accuracy]", name);
    let few = "{\"accuracy\": model[\"accuracy\"], \"loss\"";
    let more =
        "{\"::error::@all <!-- x --> | ##[group]\": 0, \"accuracy\": model[\"accuracy\"], \"loss\"";
    site.project.replace("model/validate.py", few, more);
    let step = site.run(PULL, &["train", "--verbose"], 30);
    let commands = commands(&step.err);
    assert_eq!(commands.len(), 1, "{commands:#?}");
    assert!(
        commands[0].starts_with("::error title=demo::"),
        "{commands:?}"
    );
    assert!(super::commands(&step.out).is_empty(), "{}", step.out);
    let (_, body) = site.comment(1);
    let (_, rest) = body.split_once('\n').unwrap();
    assert!(!rest.contains("@all") && !rest.contains("<!-- x"), "{rest}");
}

#[test]
fn many_gates_are_all_shown() {
    let site = Site::with_pull();
    let gates: String = (0..120)
        .map(|n| format!("[gates.g{n}]\nmin = 1\n"))
        .collect();
    let config = site.project.read("mlaction.toml") + &gates;
    site.project.write("mlaction.toml", &config);
    let few = "{\"accuracy\": model[\"accuracy\"],";
    let many = format!("{{**{{f\"g{{n}}\": 0 for n in range(120)}}, {}", &few[1..]);
    site.project.replace("model/validate.py", few, &many);
    site.run(PULL, &["train", "--require-report"], 30);
    let check = site.check();
    let notes = check["annotations"].as_array().unwrap();
    let failures = notes
        .iter()
        .filter(|note| note["annotation_level"] == "failure");
    assert_eq!(failures.count(), 120);
    assert_eq!(notes.len(), 121);
}

/// An Enterprise Server has its API below a folder.
#[test]
fn a_server_of_ones_own_is_told_too() {
    let site = Site::with_pull();
    let mut job = site.job(PULL);
    job.set("GITHUB_API_URL", &format!("{}/api/v3", site.github.site()));
    site.step(&job, &["train", "--require-report"], 0);
    assert!(site.comment(1).1.contains("| accuracy | 0.97 |"));
}
