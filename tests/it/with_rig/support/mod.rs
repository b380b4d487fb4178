//! Real counterparts for tests, started by the test that needs them and gone with it.

pub(crate) mod images;
pub(crate) mod registry;

use std::path::PathBuf;

/// A program of the test rig: in the folder named by `MLACTION_TEST_TOOLS`, else on `PATH`.
#[track_caller]
pub(crate) fn tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("MLACTION_TEST_TOOLS").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&folder).chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| {
        let direct = folder.join(name);
        let program = [direct.clone(), folder.join("bin").join(name)];
        program.into_iter().find(|path| path.is_file())
    });
    found.unwrap_or_else(|| {
        panic!(
            "this test needs the program `{name}`: it is neither in MLACTION_TEST_TOOLS nor on PATH"
        )
    })
}
