//! The project's own workflows, held to the linters.

use std::path::Path;

use crate::template::run_tool;

#[test]
fn the_projects_own_workflows_pass_the_linters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    run_tool(root, &["actionlint", ".github/workflows/ci.yml"]);
    run_tool(root, &["zizmor", "--offline", "--no-progress", ".github"]);
}
