//! `chat`: the comment that started the workflow, read once. The steps after this one train what
//! its outputs say.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::runtime;
use crate::context::environment;
use crate::error::{Error, ExitCode, Result};
use crate::github::api::{Api, Problem};
use crate::github::body;
use crate::github::chat::{self, Answer, Said, Wish};
use crate::github::comment::Sticky;
use crate::github::event::{Comment, Event};
use crate::github::runner::Runner;
use crate::run::{self, unless_interrupted};
use crate::talk::{Talk, always};

/// Who may give commands: `permission` of a collaborator, where `maintain` counts as `write`.
/// <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
const MAY_WRITE: &[&str] = &["admin", "write"];

/// How long GitHub is asked to take the answer; the command itself goes on without.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the comment, answers it, and sets the step's outputs.
pub(super) fn run(talk: &Talk) -> Result<u8> {
    let env = environment();
    let (Some(runner), Some(event)) = (Runner::of(&env), Event::read(&env)?) else {
        return Err(Error::new(
            ExitCode::Usage,
            "`chat` works in a job of GitHub Actions only",
        )
        .hint("workflows-examples/chatops.yml shows how"));
    };
    runner.output("train", "false")?;
    let Some((comment, said)) = command(&event) else {
        talk.say("the comment gives no command");
        return Ok(0);
    };
    runtime()?.block_on(async {
        let mut interrupts = run::interrupts(run::STOPPING)?;
        let answering = answer(&env, &runner, &comment, said, talk);
        unless_interrupted(answering, &mut interrupts).await
    })?;
    Ok(0)
}

/// Does what the comment's author may ask for.
async fn answer(
    env: &BTreeMap<String, String>,
    runner: &Runner,
    comment: &Comment,
    said: Result<Wish, String>,
    talk: &Talk,
) -> Result<()> {
    let Some(api) = Api::of(env)? else {
        return Err(Error::new(ExitCode::Config, "there is no token for GitHub")
            .hint("the input `github_token`, or the variable `GITHUB_TOKEN`"));
    };
    let permission = api.permission(&comment.author).await?;
    if !MAY_WRITE.contains(&permission.as_str()) {
        talk.say("the comment is of somebody who may not write here: nothing is done");
        return Ok(());
    }
    let pull_request = api.pull_request(comment.number).await?;
    let wanted = match said {
        Ok(wish) => wish.commit(&pull_request).map(|sha| (wish, sha)),
        Err(wrong) => Err(Answer::Wrong(wrong)),
    };
    let (sign, answer) = match wanted {
        Ok((wish, sha)) => {
            let destination = wish.destination;
            runner.output("sha", &sha)?;
            runner.output("pull_request", &comment.number.to_string())?;
            runner.output("destination", destination.as_deref().unwrap_or_default())?;
            runner.output("is_fork", &pull_request.is_fork.to_string())?;
            runner.output("train", "true")?;
            ("rocket", Answer::Started { sha, destination })
        }
        Err(answer) => ("confused", answer),
    };
    let text = chat::answer(&answer);
    talk.say(&text);
    let workflow = env.get("GITHUB_WORKFLOW").map_or("", String::as_str);
    let telling = tell(&api, comment, workflow, sign, &text);
    let why = match timeout(PATIENCE, telling).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(problem)) => Error::from(problem).to_string(),
        Err(_) => "GitHub took too long to take the answer".to_owned(),
    };
    always(&format!("warning: {why}"));
    Ok(())
}

/// The command in a comment by a person; what is wrong with it, if it is none after all.
fn command(event: &Event) -> Option<(Comment, Result<Wish, String>)> {
    let comment = event
        .comment()
        .filter(|comment| comment.author_type == "User")?;
    match chat::parse(&comment.body) {
        Said::Nothing => None,
        Said::Wish(wish) => Some((comment, Ok(wish))),
        Said::Wrong(wrong) => Some((comment, Err(wrong))),
    }
}

/// One answer on the pull request, however often somebody asks.
async fn tell(
    api: &Api,
    comment: &Comment,
    workflow: &str,
    sign: &str,
    text: &str,
) -> Result<(), Problem> {
    let reacted = api.react(comment.id, sign).await;
    let marker = body::marker(workflow, "chat", "");
    let mut sticky = Sticky::new(comment.number, marker.clone());
    sticky.say(api, &format!("{marker}\n{text}\n")).await?;
    reacted
}
