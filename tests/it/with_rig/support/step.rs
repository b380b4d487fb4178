//! A step of a build, as a process of this machine.

/// The process of a build step, by words in its command line.
#[track_caller]
pub(crate) fn running(words: &str) -> rustix::fd::OwnedFd {
    let Some(process) = process_of(words) else {
        panic!("no process has {words} in its command line");
    };
    let flags = rustix::process::PidfdFlags::NONBLOCK;
    rustix::process::pidfd_open(process, flags).unwrap()
}

/// The process with some words in its command line.
pub(crate) fn process_of(words: &str) -> Option<rustix::process::Pid> {
    let mut entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let name = entry.file_name();
        let number = name.to_str()?.parse::<i32>().ok()?;
        let fits = String::from_utf8_lossy(&line).contains(words);
        fits.then(|| rustix::process::Pid::from_raw(number))?
    })
}

/// Waits until the step has ended.
pub(crate) async fn ended(process: rustix::fd::OwnedFd) {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, and this owns its descriptor"
    )]
    let process = tokio::io::unix::AsyncFd::new(process).unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), process.readable());
    drop(
        ended
            .await
            .expect("the step goes on after its build was cancelled"),
    );
}
