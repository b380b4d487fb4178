//! Inside a build.

use std::process::Child;

use super::{SHELL, Site, engines, kill, until, until_said};
use crate::with_rig::support::step::{ended, running};

#[tokio::test]
async fn a_build_that_is_killed_in_a_step_ends_in_the_engine_and_names_nothing() {
    for engine in engines() {
        for builder in ["buildkit", "classic"] {
            let site = Site::new(&engine, "step", builder);
            let words = format!("waits-for-{}", site.name);
            let run = "RUN /bin/busybox echo started; /bin/busybox sleep 300; echo";
            let dockerfile = format!("{SHELL}{run} {words}\n");
            site.project.write("image/Dockerfile", &dockerfile);
            for command in [
                &["image", "build", "--verbose"][..],
                &["train", "--verbose"],
            ] {
                let mut child = site.start(command);
                until_said(&mut child, " started\n");
                let step = running(&words);
                kill(child);
                ended(step).await;
                until("the container of the step stays", || {
                    site.containers(&words).is_empty().then_some(())
                });
                assert_eq!(site.names(&site.name), Vec::<String>::new());
            }
            let dockerfile = format!("{SHELL}RUN /bin/busybox echo {words} > /done\n");
            site.project.write("image/Dockerfile", &dockerfile);
            let (built, _) = site.run(&["image", "build", "--json"]);
            assert_eq!(built["built"], true);
            let tag = built["tag"].as_str().unwrap();
            let image = format!("mlaction/{}:{tag}", site.name);
            assert_eq!(site.names(&site.name), std::slice::from_ref(&image));
            assert_eq!(
                site.prints(&image, &["/bin/busybox", "cat", "/done"]),
                [words]
            );
            assert_eq!(site.of_runs(), Vec::<String>::new());
        }
    }
}

/// Bytes that a process has read so far, of files and otherwise.
fn bytes_read(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_build_that_is_killed_while_its_context_is_sent_is_built_whole_by_the_next() {
    const SIZE: u64 = 1 << 30;
    const SENT: u64 = 32 << 20;
    for engine in engines() {
        for builder in ["buildkit", "classic"] {
            let site = Site::new(&engine, "context", builder);
            let run = "RUN /bin/busybox wc -c < /large > /size";
            let dockerfile = format!("{SHELL}COPY large /large\n{run}\n");
            site.project.write("image/Dockerfile", &dockerfile);
            let large = site.project.path().join("image/large");
            let file = std::fs::File::create(&large).unwrap();
            file.set_len(SIZE).unwrap();
            // Afterwards its hash is known, and only the build reads it.
            let (plan, _) = site.run(&["image", "build", "--dry-run", "--json"]);
            let child = site.start(&["image", "build"]);
            until("the context is not sent", || {
                (bytes_read(&child) > SENT).then_some(())
            });
            let read = bytes_read(&child);
            kill(child);
            assert!(read < SIZE, "it was sent whole before the kill");
            assert_eq!(site.names(&site.name), Vec::<String>::new());

            // As much of it as was sent, so that the rest of the test is fast.
            file.set_len(SENT).unwrap();
            let (built, _) = site.run(&["image", "build", "--json"]);
            assert_eq!(built["built"], true);
            assert_ne!(built["tag"], plan["tag"]);
            let image = format!("mlaction/{}:{}", site.name, built["tag"].as_str().unwrap());
            assert_eq!(site.names(&site.name), std::slice::from_ref(&image));
            let size = site.prints(&image, &["/bin/busybox", "cat", "/size"]);
            assert_eq!(size, [SENT.to_string()]);
        }
    }
}
