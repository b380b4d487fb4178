//! What a job on SageMaker leaves behind and what it costs, against the stand-in.

use std::io::{self, Read as _, Write as _};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use serde_json::{Value, json};
use tar::{EntryType, Header};
use wiremock::matchers::{body_partial_json, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::sagemaker::{Site, TRAIN, signal};
use super::support::stand_in::BUCKET;
use crate::project::{stderr, stdout};

const PLACE: &str = "[destinations.cloud]\n";

impl Site {
    /// Adds a line to the destination.
    fn set(&self, line: &str) {
        self.project
            .replace("mlaction.toml", PLACE, &format!("{PLACE}{line}\n"));
    }

    /// No validation.
    fn only_trains(&self) {
        let text = self.project.read("mlaction.toml");
        let (start, rest) = text.split_once("[validation]").unwrap();
        let (_, end) = rest.split_once("[[metrics.definitions]]").unwrap();
        let text = format!("{start}[[metrics.definitions]]{end}");
        self.project.write("mlaction.toml", &text);
    }

    /// The report of the only run that the record has.
    fn report(&self) -> Value {
        let [run] = &self.project.runs()[..] else {
            panic!("one run is wanted");
        };
        let text = std::fs::read_to_string(run.join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Puts an archive in the place of the model that the only job left.
    fn replace_model(&self, archive: &[u8]) {
        let job = self.aws.jobs()[0]["name"].as_str().unwrap().to_owned();
        let key = format!("{BUCKET}/ml/output/{job}/output/model.tar.gz");
        self.aws.put(&key, archive);
    }
}

#[test]
fn a_report_says_of_every_job_what_it_did_and_cost() {
    let site = Site::new(TRAIN);
    site.set("validate_on = \"job\"");
    let report = site.train(0);
    let jobs = report["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2, "{report}");
    for (job, role) in jobs.iter().zip(["train", "validate"]) {
        assert_eq!(
            (&job["role"], &job["status"]),
            (&json!(role), &json!("Completed"))
        );
        assert!(
            job["arn"]
                .as_str()
                .unwrap()
                .ends_with(job["name"].as_str().unwrap())
        );
        let instances =
            json!([{"instance_type": "ml.m5.xlarge", "count": 1, "price_per_hour": 3600.0}]);
        assert_eq!(job["instances"], instances);
        let steps: Vec<&str> = job["phases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|phase| phase["name"].as_str().unwrap())
            .collect();
        assert_eq!(steps, ["Starting", "Downloading", "Training", "Uploading"]);
        // An hour costs as much as it has seconds.
        let billed = job["billed_seconds"].as_f64().unwrap();
        let cost = json!({"amount": billed, "price_source": "a test"});
        assert_eq!(job["cost"], cost);
    }
    for format in ["terminal", "markdown", "html"] {
        let text = stdout(&site.project.run(&["report", "--format", format], 0));
        assert!(text.contains(jobs[0]["name"].as_str().unwrap()), "{text}");
        assert!(text.contains("a test"), "{text}");
    }
}

#[test]
fn what_failed_or_was_cancelled_is_accounted_for_too() {
    let site = Site::new("/busybox sleep 1; exit 3");
    let failed = &site.train(20)["jobs"][0];
    assert_eq!(failed["status"], "Failed", "{failed}");
    assert!(
        failed["cost"]["amount"].as_f64().unwrap() >= 1.0,
        "{failed}"
    );

    let site = Site::new("trap 'exit 0' TERM\n/busybox sleep 300 &\nwait\n");
    let mut child = site.training();
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report = site.report();
    assert_eq!(report["status"], "cancelled");
    let cancelled = &report["jobs"][0];
    assert_eq!(cancelled["status"], "Stopped", "{cancelled}");
    let seconds = cancelled["billed_seconds"].as_f64();
    assert_eq!(cancelled["cost"]["amount"].as_f64(), seconds, "{cancelled}");
    assert!(seconds.is_some());
}

#[test]
fn what_neither_file_nor_log_says_is_taken_from_sagemaker_and_says_so() {
    let site = Site::new(TRAIN);
    let denied = ["GetLogEvents", "DescribeLogStreams"]
        .map(|operation| json!({"fault": "denied", "operation": operation, "times": 10_000}));
    site.aws.set("faults", &json!(denied));
    let report = site.train(0);
    let metrics = report["metrics"].as_array().unwrap();
    let of = |name: &str| {
        metrics
            .iter()
            .find(|metric| metric["name"] == name)
            .unwrap()
    };
    assert_eq!(of("accuracy")["source"], "file");
    assert_eq!(of("loss")["source"], "destination");
    assert_eq!(of("loss")["value"].to_string(), "0.25");
}

fn tar_gz(name: &str, kind: EntryType, target: &str, length: u64) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(length);
    // NOTE: the library itself refuses such names.
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    if !target.is_empty() {
        header.set_link_name_literal(target).unwrap();
    }
    header.set_cksum();
    // NOTE: who believes the length of a bomb refuses it at once.
    let content = io::repeat(0).take(length.min(100_000));
    tar.append(&header, content).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_hostile_model_is_refused() {
    let site = Site::new(TRAIN);
    site.train(0);
    let file = EntryType::Regular;
    let whole = tar_gz("model.txt", file, "", 100_000);
    for (archive, words) in [
        (
            tar_gz("../../../escaped", file, "", 1),
            "leads out of its folder",
        ),
        (
            tar_gz("model.txt", EntryType::Symlink, "/etc/passwd", 0),
            "is a link",
        ),
        (
            whole[..whole.len() / 2].to_vec(),
            "cannot read what the job left behind",
        ),
        (
            tar_gz("zeros", file, "", 4_000_000_000),
            "out of all proportion",
        ),
    ] {
        site.replace_model(&archive);
        site.forget();
        let report = site.train(20);
        assert_eq!(report["status"], "job_failed", "{report}");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{words}: {reason}");
        // Its training was paid for all the same.
        assert_eq!(report["jobs"][0]["status"], "Completed");
        assert!(!site.project.path().join(".mlaction/escaped").exists());
    }
    assert_eq!(site.aws.jobs().len(), 1);
}

/// The highest memory of a process in bytes, as long as it runs.
fn highest_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[test]
fn a_large_model_stays_in_s3_and_its_metrics_are_read_in_constant_memory() {
    const LARGE: usize = 200 * 1024 * 1024;
    let written = r#"echo '{"accuracy": 0.5}' > /opt/ml/model/metrics.json"#;
    let site = Site::new(&format!("/busybox {written}"));
    site.only_trains();
    site.set("keep_model = false");
    assert_eq!(site.train(0)["metrics"][0]["value"].to_string(), "0.5");

    let mut noise = vec![0; LARGE];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    let metrics: &[u8] = b"{\"accuracy\": 0.75}";
    for (name, content) in [("weights.bin", &noise[..]), ("metrics.json", metrics)] {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    }
    let mut archive = tar.into_inner().unwrap();
    archive.flush().unwrap();
    site.replace_model(&archive.finish().unwrap());
    site.forget();

    let mut command = site.command(&["train", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let process = child.id();
    // A process that has ended and is waited for has no memory any more.
    let watching = std::thread::spawn(move || {
        let mut highest = 0;
        while let Some(bytes) = highest_memory(process) {
            highest = bytes;
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        highest
    });
    let output = child.wait_with_output().unwrap();
    let highest = watching.join().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["metrics"][0]["value"].to_string(), "0.75");
    let model = &report["lineage"]["model"];
    assert!(
        model["file"].as_str().unwrap().starts_with("s3://"),
        "{model}"
    );
    assert!(model["bytes"].as_u64().unwrap() > LARGE as u64, "{model}");
    assert!(highest > 0 && highest < LARGE as u64 / 2, "{highest} bytes");
    let kept = site.project.runs()[0].join("model.tar.gz");
    assert!(!kept.exists());
}

/// The answer of `GetProducts`, in the form that AWS documents: JSON in texts.
/// <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>
fn price_list(amount: &str) -> Value {
    let document = json!({
        "product": {
            "productFamily": "ML Instance",
            "attributes": {
                "regionCode": "us-east-1", "instanceName": "ml.m5.xlarge", "component": "Training",
                "servicecode": "AmazonSageMaker", "locationType": "AWS Region",
            },
            "sku": "ABCDEFGH12345678",
        },
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {"ABCDEFGH12345678.JRTCKXETXF": {
            "priceDimensions": {"ABCDEFGH12345678.JRTCKXETXF.6YS6EN2CT7": {
                "unit": "Hrs", "endRange": "Inf", "beginRange": "0", "appliesTo": [],
                "rateCode": "ABCDEFGH12345678.JRTCKXETXF.6YS6EN2CT7",
                "pricePerUnit": {"USD": amount},
            }},
            "sku": "ABCDEFGH12345678", "effectiveDate": "2026-01-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF", "termAttributes": {},
        }}},
        "version": "20260131120000", "publicationDate": "2026-01-31T12:00:00Z",
    });
    json!({"FormatVersion": "aws_v1", "PriceList": [document.to_string()]})
}

#[tokio::test]
async fn a_price_is_looked_up_when_the_run_begins_and_never_for_a_plan() {
    let prices = MockServer::start().await;
    let filters = json!({"ServiceCode": "AmazonSageMaker", "Filters": [
        {"Field": "regionCode", "Type": "TERM_MATCH", "Value": "us-east-1"},
        {"Field": "instanceName", "Type": "TERM_MATCH", "Value": "ml.m5.xlarge"},
        {"Field": "component", "Type": "TERM_MATCH", "Value": "Training"},
    ]});
    let asked = || {
        Mock::given(header("x-amz-target", "AWSPriceListService.GetProducts"))
            .and(body_partial_json(&filters))
    };
    let listed = asked()
        .respond_with(ResponseTemplate::new(200).set_body_json(price_list("7200.0000000000")));
    let listed = listed.mount_as_scoped(&prices).await;

    let site = Site::new(TRAIN);
    site.project.replace(
        "mlaction.toml",
        "price_per_hour = 3600\nprice_source = \"a test\"\n",
        "look_up_price = true\n",
    );
    let train = |arguments: &[&str], code: i32| {
        let mut command = site.command(arguments);
        let output = command
            .env("AWS_ENDPOINT_URL_PRICING", prices.uri())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        output
    };
    let plan = train(&["plan"], 0);
    assert!(
        stdout(&plan).contains("looked up in the AWS Price List"),
        "{}",
        stdout(&plan)
    );
    assert!(prices.received_requests().await.unwrap().is_empty());

    let report: Value = serde_json::from_str(&stdout(&train(&["train", "--json"], 0))).unwrap();
    let job = &report["jobs"][0];
    let billed = job["billed_seconds"].as_f64().unwrap();
    let cost = json!({
        "amount": billed * 2.0, "currency": "USD",
        "price_source": "AWS Price List, on demand", "price_date": "2026-01-31",
    });
    assert_eq!(job["cost"], cost);

    // Ten minutes cost 1200 at most: that is too much, and nothing is launched.
    site.set("max_cost = 1000");
    site.forget();
    let refused = stderr(&train(&["train", "--force"], 3));
    assert!(refused.contains("the run may cost 1200.00"), "{refused}");
    drop(listed);

    // Nobody answers as he should: a cost that is not to be exceeded cannot be kept.
    let denied = json!({"__type": "AccessDeniedException", "message": "not you"});
    let denied = ResponseTemplate::new(400).set_body_json(denied);
    asked().respond_with(denied).mount(&prices).await;
    let refused = stderr(&train(&["train", "--force"], 4));
    assert!(
        refused.contains("pricing:GetProducts") && refused.contains("max_cost"),
        "{refused}"
    );
    assert_eq!(site.aws.jobs().len(), 1);

    site.project
        .replace("mlaction.toml", "max_cost = 1000\n", "");
    let output = train(&["train", "--json"], 0);
    assert!(
        stderr(&output).contains("stays unknown"),
        "{}",
        stderr(&output)
    );
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["jobs"][0]["cost"], Value::Null, "{report}");
    assert_eq!(site.aws.jobs().len(), 1);
}
