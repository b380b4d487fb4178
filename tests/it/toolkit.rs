//! A job's variables and arguments beside those that the SageMaker training toolkit makes of the
//! same folder, which `tests/toolkit/record.py` recorded.

use std::path::Path;

use serde_json::{Value, json};

use crate::project::{Project, stdout};

const CONFIG: &str = r#"[project]
name = "toolkit"
[data.train]
path = "data"
[data.my-val]
path = "data"
[training]
entry_point = "src/train.py"
[training.hyperparameters]
epochs = 10
rate = 0.25
name = "abc"
flag = true
layers = [1, 2]
batch-size = 32
x = 3
[destinations.process]
kind = "process"
python = "PYTHON"
"#;

const SHOW: &str = r#"
import json, os, sys
variables = {name: value for name, value in os.environ.items() if name.startswith("SM_")}
print("SEEN " + json.dumps({"arguments": sys.argv[1:], "variables": variables}))
"#;

/// What a program says that it got, without what belongs to this machine and run.
fn given(program: &str, python: &str) -> Value {
    let project = Project::empty();
    project.write("mlaction.toml", &CONFIG.replace("PYTHON", python));
    project.write("src/train.py", program);
    project.write("data/rows.csv", "1\n");
    project.run(&["train"], 0);
    let run = project.runs().pop().unwrap();
    let log = stdout(&project.run(&["logs"], 0));
    let line = log.lines().find_map(|line| line.split_once("SEEN "));
    let text = line.unwrap().1;
    let base: Value = serde_json::from_str(text).unwrap();
    let base = Path::new(base["variables"]["SM_MODEL_DIR"].as_str().unwrap());
    let text = text
        .replace(base.parent().unwrap().to_str().unwrap(), "/opt/ml")
        .replace(run.file_name().unwrap().to_str().unwrap(), "RUN");
    let mut given: Value = serde_json::from_str(&text).unwrap();
    for value in given["variables"].as_object_mut().unwrap().values_mut() {
        // The toolkit and mlaction may write the same JSON with other spaces and in another order.
        if let Ok(parsed) = serde_json::from_str(value.as_str().unwrap()) {
            *value = parsed;
        }
    }
    for processors in ["cpus", "gpus"] {
        given["variables"][format!("SM_NUM_{}", processors.to_uppercase())] = json!(0);
        given["variables"]["SM_TRAINING_ENV"][format!("num_{processors}")] = json!(0);
    }
    given
}

#[test]
fn a_program_is_given_what_the_toolkit_would_give_it() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toolkit/recorded.json");
    if let Ok(python) = std::env::var("RECORD_TOOLKIT") {
        let toolkit = given(include_str!("../toolkit/record.py"), &python);
        let text = serde_json::to_string_pretty(&toolkit).unwrap();
        std::fs::write(&recorded, text + "\n").unwrap();
    }
    let toolkit: Value = serde_json::from_str(&std::fs::read_to_string(recorded).unwrap()).unwrap();
    let ours = given(SHOW, "python3");
    assert_eq!(ours["arguments"], toolkit["arguments"]);
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(&ours["variables"]), names(&toolkit["variables"]));
    for (name, value) in toolkit["variables"].as_object().unwrap() {
        assert_eq!(&ours["variables"][name], value, "{name}");
    }
}
