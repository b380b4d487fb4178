//! An interrupt in every phase of a run leaves no running job after five seconds, and none comes
//! later.

use std::fs::File;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Site, TRAIN, signal};
use crate::with_rig::support::stand_in::{StandIn, once};
use crate::with_rig::support::step::process_of;

/// No job runs this long after the word to stop.
const WITHIN: f64 = 5.0;

/// Longest wait for something to be seen.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program that ends when it is told to.
const ENDLESS: &str = "trap 'exit 0' TERM\n/busybox sleep 300 &\nwait\n";

/// A program that has to be killed.
const DEAF: &str = "trap '' TERM\n/busybox sleep 300\n";

/// A run that goes on until a test interrupts it.
struct Run<'s> {
    site: &'s Site,
    child: Child,
}

/// How a run ended that was interrupted.
struct Ended {
    code: Option<i32>,
    took: Duration,
    said: String,
}

impl<'s> Run<'s> {
    fn start(site: &'s Site) -> Self {
        let said = File::create(site.project.path().join("said.txt")).unwrap();
        let mut command = site.command(&["train"]);
        command.stdout(Stdio::null()).stderr(said);
        let child = command.spawn().unwrap();
        Self { site, child }
    }

    fn said(&self) -> String {
        self.site.project.read("said.txt")
    }

    #[track_caller]
    fn until(&mut self, is_so: impl Fn(&StandIn, &str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.site.aws, &self.said()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?} {}", self.said());
            assert!(Instant::now() < deadline, "{}", self.said());
            // NOTE: the journal and what is said are the only signs.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Interrupts it, and looks at what becomes of its jobs until it has ended.
    #[track_caller]
    fn interrupt(mut self, how: Signal) -> Ended {
        let (told, begun) = (now(), Instant::now());
        signal(&self.child, how);
        let deadline = begun + PATIENCE;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {}",
                self.said()
            );
            // NOTE: whoever waits without an end sees nothing when it hangs.
            thread::sleep(Duration::from_millis(20));
        };
        let took = begun.elapsed();
        for job in self.site.aws.jobs() {
            let ran = ran_until(&job) - told.max(begun_at(&job));
            assert!(ran < WITHIN, "{ran} s: {job}\n{}", self.said());
        }
        Ended {
            code,
            took,
            said: self.said(),
        }
    }
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

fn begun_at(job: &Value) -> f64 {
    job["transitions"][0]["StartTime"].as_f64().unwrap()
}

/// When a job began to stop, or ended. It must have.
#[track_caller]
fn ran_until(job: &Value) -> f64 {
    assert_ne!(job["status"], "InProgress", "{job}");
    let ends = ["Stopping", "Stopped", "Completed", "Failed"];
    let mut steps = job["transitions"].as_array().unwrap().iter();
    let end = steps.find(|step| ends.iter().any(|end| step["Status"] == *end));
    end.unwrap()["StartTime"].as_f64().unwrap()
}

/// Until a request of an operation is held or answered with a fault.
fn at_fault(operation: &'static str) -> impl Fn(&StandIn, &str) -> bool {
    move |aws: &StandIn, _: &str| {
        let requests = aws.requests(0);
        let mut requests = requests.iter();
        requests.any(|one| one["operation"] == operation && !one["fault"].is_null())
    }
}

/// Until the last job is in a state.
fn in_state(secondary: &'static str) -> impl Fn(&StandIn, &str) -> bool {
    move |aws: &StandIn, _: &str| {
        let jobs = aws.jobs();
        jobs.last().is_some_and(|job| job["secondary"] == secondary)
    }
}

/// Holds a request of an operation, interrupts the run then, and looks that it ends at once and
/// that nothing was launched.
#[track_caller]
fn held(operation: &'static str, how: Signal) {
    let site = Site::new(TRAIN);
    site.aws.set("faults", &once("timeout-before", operation));
    let mut run = Run::start(&site);
    run.until(at_fault(operation));
    let ended = run.interrupt(how);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    assert_eq!(site.aws.jobs(), [] as [Value; 0]);
    site.aws.forget_faults();
}

/// Keeps a job in a state, interrupts the run then, and looks that the job stops.
#[track_caller]
fn stopped_in(secondary: &'static str, how: Signal) {
    let site = Site::new(TRAIN);
    site.aws.set("scale", &json!({"minimum": {secondary: 8}}));
    let mut run = Run::start(&site);
    run.until(in_state(secondary));
    let ended = run.interrupt(how);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert_eq!(site.aws.jobs()[0]["status"], "Stopped");
}

/// Interrupts a run whose launch goes wrong, and gives how often the launch was asked for.
#[track_caller]
fn launching(faults: &Value, after: usize) -> (Site, usize) {
    let site = Site::new(ENDLESS);
    site.aws.set("faults", faults);
    let mut run = Run::start(&site);
    run.until(|aws, _| aws.asked("CreateTrainingJob") >= after);
    let asked = site.aws.asked("CreateTrainingJob");
    let ended = run.interrupt(Signal::INT);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    let more = site.aws.asked("CreateTrainingJob") - asked;
    site.aws.forget_faults();
    (site, more)
}

#[test]
fn while_the_image_is_built() {
    let site = Site::new(TRAIN);
    // A shell becomes its last command, and its words are gone then.
    let words = format!("sleep 300; : {}", site.name);
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox train.sh validate.sh /\nSHELL [\"/busybox\", \"sh\", \"-c\"]\nRUN /busybox {words}\n"
    );
    site.project.write("image/Dockerfile", &dockerfile);
    let mut run = Run::start(&site);
    run.until(|_, _| process_of(&words).is_some());
    let ended = run.interrupt(Signal::TERM);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    assert_eq!(site.aws.asked("CreateTrainingJob"), 0);
}

#[test]
fn while_amazon_ecr_is_asked() {
    held("BatchGetImage", Signal::INT);
}

#[test]
fn while_the_image_is_pushed() {
    held("PatchUpload", Signal::TERM);
}

#[test]
fn while_data_is_uploaded() {
    held("PutObject", Signal::INT);
}

#[test]
fn while_the_launch_is_not_answered_and_the_job_comes_later() {
    let slow = json!({"fault": "slow", "operation": "CreateTrainingJob", "milliseconds": 7000});
    let (site, more) = launching(&slow, 1);
    assert_eq!(more, 0);
    site.aws.until(|jobs| jobs[0]["status"] == "Stopped");
}

#[test]
fn while_the_launch_is_not_answered_and_the_job_is_there() {
    let (site, more) = launching(&once("timeout-after", "CreateTrainingJob"), 1);
    assert_eq!(more, 0);
    let begun = Instant::now();
    site.aws.until(|jobs| jobs[0]["status"] == "Stopped");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn while_a_launch_that_made_the_job_is_asked_about() {
    let faults = json!([
        once("reset-after", "CreateTrainingJob"),
        once("timeout-before", "DescribeTrainingJob"),
    ]);
    let (site, _) = launching(&faults, 2);
    site.aws.until(|jobs| jobs[0]["status"] == "Stopped");
}

#[test]
fn while_a_launch_is_tried_again_and_none_comes_after_that() {
    let lasting = json!({"fault": "internal", "operation": "CreateTrainingJob", "times": 1000});
    let (site, more) = launching(&lasting, 2);
    assert!(more <= 1, "{more}");
    assert_eq!(site.aws.jobs(), [] as [Value; 0]);
}

#[test]
fn while_the_job_starts() {
    stopped_in("Starting", Signal::INT);
}

#[test]
fn while_the_job_waits_for_instances() {
    let site = Site::new(TRAIN);
    site.aws.set("capacity", &json!({"ml.m5.xlarge": 0}));
    let mut run = Run::start(&site);
    run.until(|aws, _| aws.asked("DescribeTrainingJob") > 1);
    let ended = run.interrupt(Signal::TERM);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert_eq!(site.aws.jobs()[0]["status"], "Stopped");
}

#[test]
fn while_the_job_downloads_its_data() {
    stopped_in("Downloading", Signal::TERM);
}

#[test]
fn while_the_job_uploads_its_results() {
    stopped_in("Uploading", Signal::INT);
}

#[test]
fn while_the_program_runs_and_nobody_answers_questions() {
    let site = Site::new(ENDLESS);
    let hanging =
        |operation: &str| json!({"fault": "timeout-before", "operation": operation, "times": 1000});
    let mut run = Run::start(&site);
    run.until(in_state("Training"));
    site.aws.set(
        "faults",
        &json!([
            hanging("DescribeTrainingJob"),
            hanging("GetLogEvents"),
            hanging("DescribeLogStreams")
        ]),
    );
    run.until(at_fault("DescribeTrainingJob"));
    let begun = Instant::now();
    signal(&run.child, Signal::INT);
    site.aws.until(|jobs| jobs[0]["status"] != "InProgress");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    site.aws.forget_faults();
    assert_eq!(run.child.wait().unwrap().code(), Some(130));
}

#[test]
fn while_the_word_to_stop_gets_lost() {
    for faults in [
        json!([
            once("reset-before", "StopTrainingJob"),
            once("throttle", "StopTrainingJob")
        ]),
        json!([once("timeout-before", "StopTrainingJob")]),
        json!([
            once("internal", "StopTrainingJob"),
            once("cut", "StopTrainingJob")
        ]),
    ] {
        let site = Site::new(ENDLESS);
        let mut run = Run::start(&site);
        run.until(in_state("Training"));
        site.aws.set("faults", &faults);
        let ended = run.interrupt(Signal::INT);
        assert_eq!(ended.code, Some(130), "{}", ended.said);
        assert_eq!(site.aws.jobs()[0]["status"], "Stopped");
    }
}

#[test]
fn a_second_one_ends_the_command_at_once_and_the_job_stops_by_itself() {
    let site = Site::new(DEAF);
    let mut run = Run::start(&site);
    run.until(in_state("Training"));
    signal(&run.child, Signal::INT);
    run.until(in_state("Stopping"));
    let ended = run.interrupt(Signal::TERM);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
    assert_ne!(site.aws.jobs()[0]["status"], "InProgress");
}

#[test]
fn a_second_one_during_the_launch_says_how_to_stop_what_may_come() {
    let site = Site::new(ENDLESS);
    let slow = json!({"fault": "timeout-before", "operation": "CreateTrainingJob"});
    site.aws.set("faults", &slow);
    let mut run = Run::start(&site);
    run.until(at_fault("CreateTrainingJob"));
    signal(&run.child, Signal::INT);
    run.until(|aws, _| aws.asked("StopTrainingJob") > 0);
    let ended = run.interrupt(Signal::INT);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
    let words = "stop it: `aws sagemaker stop-training-job --region us-east-1 --training-job-name";
    assert!(ended.said.contains(words), "{}", ended.said);
}

#[test]
fn while_results_are_fetched() {
    let site = Site::new(TRAIN);
    site.aws.set("faults", &once("timeout-before", "GetObject"));
    let mut run = Run::start(&site);
    run.until(at_fault("GetObject"));
    let ended = run.interrupt(Signal::TERM);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    assert_eq!(site.aws.jobs()[0]["status"], "Completed");
    // It is not trained again.
    site.aws.forget_faults();
    site.train(0);
    assert_eq!(site.aws.jobs().len(), 1);
}

#[test]
fn while_the_last_lines_are_read() {
    let site = Site::new(TRAIN);
    let mut run = Run::start(&site);
    run.until(|aws, _| aws.asked("CreateTrainingJob") > 0);
    let lasting =
        json!({"fault": "timeout-before", "operation": "DescribeLogStreams", "times": 1000});
    site.aws.set("faults", &lasting);
    run.until(|aws, said| said.contains("Completed") && at_fault("DescribeLogStreams")(aws, said));
    let ended = run.interrupt(Signal::INT);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn while_the_model_is_validated() {
    let site = Site::new(TRAIN);
    site.project.write("image/validate.sh", ENDLESS);
    let mut run = Run::start(&site);
    run.until(|_, said| said.contains("validate …"));
    let ended = run.interrupt(Signal::INT);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert_eq!(site.aws.jobs().len(), 1);
}

#[test]
fn while_the_model_is_validated_by_a_job() {
    let site = Site::new(TRAIN);
    let place = "[destinations.cloud]\n";
    let there = format!("{place}validate_on = \"job\"\n");
    site.project.replace("mlaction.toml", place, &there);
    site.project.write("image/validate.sh", ENDLESS);
    let mut run = Run::start(&site);
    run.until(|aws, _| aws.jobs().len() == 2 && aws.jobs()[1]["secondary"] == "Training");
    let ended = run.interrupt(Signal::TERM);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert_eq!(site.aws.jobs()[1]["status"], "Stopped");
}

#[test]
fn a_job_that_is_to_be_left_runs_on_and_is_taken_up() {
    let site = Site::new(&format!("/busybox sleep 3\n{TRAIN}"));
    let place = "[destinations.cloud]\n";
    let leaves = format!("{place}on_cancel = \"leave\"\n");
    site.project.replace("mlaction.toml", place, &leaves);
    let mut run = Run::start(&site);
    run.until(in_state("Training"));
    signal(&run.child, Signal::INT);
    assert_eq!(run.child.wait().unwrap().code(), Some(130));
    assert_eq!(site.aws.asked("StopTrainingJob"), 0);
    assert_eq!(site.aws.jobs()[0]["status"], "InProgress");
    site.train(0);
    assert_eq!(site.aws.jobs().len(), 1);
}
