use std::fs::Permissions;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use futures_util::StreamExt as _;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("Dockerfile", "FROM scratch\nCOPY . /\n");
        for (name, text) in files {
            place.write(name, text);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Two changes within one tick of the clock look the same: what was written is made old.
    fn write_long_ago(&self, name: &str, text: &str) {
        self.write(name, text);
        let file = File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    fn context(&self) -> Context {
        Context::open(self.0.path(), &self.path("Dockerfile")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = self.context().entries();
        entries.map(|entry| entry.unwrap().name).collect()
    }
}

async fn bytes(context: &Context, more: Vec<(String, Vec<u8>)>) -> io::Result<Vec<u8>> {
    let mut stream = Box::pin(context.tar(more));
    let mut all = Vec::new();
    while let Some(part) = stream.next().await {
        all.extend(part?);
    }
    Ok(all)
}

#[test]
fn entries_come_depth_first_and_folders_only_with_what_they_hold() {
    let place = Place::new(&[
        ("a/z", ""),
        ("a.txt", ""),
        ("a-b", ""),
        ("data/drop", ""),
        ("data/deep/keep", ""),
        ("gone/deep/x", ""),
        (
            ".dockerignore",
            "Dockerfile\n.dockerignore\ndata\n!data/deep/keep\n**/x\ngone\n",
        ),
        (".git/HEAD", ""),
    ]);
    std::fs::create_dir(place.path("empty")).unwrap();
    symlink("/etc", place.path("link")).unwrap();
    assert_eq!(
        place.names(),
        [
            "a",
            "a/z",
            "a-b",
            "a.txt",
            "data",
            "data/deep",
            "data/deep/keep",
            "empty",
            "link"
        ]
    );
}

#[test]
fn the_dockerfiles_own_patterns_are_preferred() {
    let place = Place::new(&[
        ("a", ""),
        ("b", ""),
        (".dockerignore", "a\nD*\n.d*"),
        ("Dockerfile.dockerignore", "b\nD*\n.d*"),
    ]);
    assert_eq!(place.names(), ["a"]);
    let outside = Place::new(&[("other", "FROM scratch")]);
    let context = Context::open(place.0.path(), &outside.path("other")).unwrap();
    let names: Vec<_> = context.entries().map(|entry| entry.unwrap().name).collect();
    assert_eq!(names, ["b"]);
    assert_eq!(context.dockerfile(), b"FROM scratch");
    assert_eq!(context.dockerfile_name(), None);
    assert_eq!(place.context().dockerfile_name(), Some("Dockerfile"));
}

#[test]
fn credentials_that_are_left_out_are_named() {
    let place = Place::new(&[
        ("a/.env", ""),
        ("x.pem", ""),
        (".git/HEAD", ""),
        (".aws/config", ""),
        ("ignored/.env", ""),
        (".dockerignore", "ignored"),
    ]);
    assert_eq!(
        place.context().listing().unwrap().kept_out,
        [".aws", "a/.env", "x.pem"]
    );
    assert_eq!(place.names(), [".dockerignore", "Dockerfile", "a"]);
    let all = Context::open_unguarded(place.0.path(), &place.path("Dockerfile")).unwrap();
    let Listing { entries, kept_out } = all.listing().unwrap();
    assert_eq!((entries.len(), kept_out), (9, Vec::new()));
}

#[test]
fn all_that_cannot_be_built_with_is_one_error() {
    let place = Place::new(&[("fine", "")]);
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    let pipe = place.path("pipe");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(status.unwrap().success());
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"a\xFF");
    std::fs::write(place.0.path().join(odd), "").unwrap();
    let results: Vec<_> = place.context().entries().collect();
    let errors: Vec<_> = results
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "the build context cannot be read: a\u{FFFD}: the name is not UTF-8\n  \
         pipe: it is a special file (pipe, socket or device)\n  \
         socket: it is a special file (pipe, socket or device)"
    );
    place.write(".dockerignore", "socket\npipe\na?");
    assert!(place.context().entries().all(|entry| entry.is_ok()));
}

#[test]
fn a_frozen_context_gives_what_it_had_or_an_error() {
    let place = Place::new(&[("fine", "1")]);
    place.write_long_ago("data", "12345678");
    let context = place.context().frozen().unwrap();
    let names = |context: &Context| -> Vec<String> {
        let entries = context.entries();
        entries.map(|entry| entry.unwrap().name).collect()
    };
    let before = names(&context);
    place.write("more", "");
    assert_eq!(names(&context), before);
    // There and back: the content is the same, the file is not.
    place.write("data", "xxxxxxxx");
    place.write_long_ago("data", "12345678");
    for (name, is_there) in [("data", false), ("fine", true)] {
        let mut entries = context.entries().map(|entry| entry.unwrap());
        let entry = entries.find(|entry| entry.name == name).unwrap();
        assert_eq!(context.reader(&entry).is_ok(), is_there, "{name}");
    }
}

#[test]
fn a_file_that_changes_is_an_error_that_names_it() {
    let place = Place::new(&[]);
    place.write_long_ago("data", "12345678");
    let context = place.context();
    let data = || {
        let mut entries = context.entries().map(|entry| entry.unwrap());
        entries.find(|entry| entry.name == "data").unwrap()
    };
    let mut all = String::new();
    context
        .reader(&data())
        .unwrap()
        .read_to_string(&mut all)
        .unwrap();
    assert_eq!(all, "12345678");

    // Between listing and opening: other bytes of the same length, another file, a link.
    let entry = data();
    place.write("data", "87654321");
    assert!(
        context
            .reader(&entry)
            .unwrap_err()
            .to_string()
            .starts_with("data changed")
    );
    let entry = data();
    std::fs::remove_file(place.path("data")).unwrap();
    assert!(
        context
            .reader(&entry)
            .unwrap_err()
            .to_string()
            .starts_with("data changed")
    );
    symlink("/etc/passwd", place.path("data")).unwrap();
    assert!(
        context
            .reader(&entry)
            .unwrap_err()
            .to_string()
            .starts_with("data changed")
    );

    // While it is read: shorter, longer, other bytes.
    for changed in ["1", "123456789", "87654321"] {
        std::fs::remove_file(place.path("data")).unwrap();
        place.write_long_ago("data", "12345678");
        let mut reader = context.reader(&data()).unwrap();
        reader.read_exact(&mut [0; 4]).unwrap();
        place.write("data", changed);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("data changed"), "{error}");
    }
}

#[tokio::test]
async fn the_same_tree_is_the_same_archive() {
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(150));
    let files = [
        ("b", "2"),
        ("a/x", "1"),
        (long.as_str(), "long"),
        ("empty", ""),
    ];
    let one = Place::new(&files);
    let mut reversed = files;
    reversed.reverse();
    let other = Place::new(&reversed);
    for place in [&one, &other] {
        symlink("t".repeat(140), place.path("link")).unwrap();
        let executable = Permissions::from_mode(0o750);
        std::fs::set_permissions(place.path("a/x"), executable).unwrap();
    }
    let old = File::options().write(true).open(other.path("b")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let more = || vec![("b".to_owned(), b"replaced".to_vec())];
    let archive = bytes(&one.context(), more()).await.unwrap();
    assert_eq!(archive, bytes(&other.context(), more()).await.unwrap());

    let mut seen = Vec::new();
    let mut archive = ::tar::Archive::new(archive.as_slice());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, TIME));
        if let Some(target) = entry.link_name().unwrap() {
            text = target.to_str().unwrap().to_owned();
        }
        let mode = header.mode().unwrap();
        seen.push((
            entry.path().unwrap().to_str().unwrap().to_owned(),
            mode,
            text,
        ));
    }
    let find = |name: &str| seen.iter().find(|(seen, ..)| seen == name).unwrap();
    assert_eq!(find("a/x").1, 0o750);
    assert_eq!(find(&long).2, "long");
    assert_eq!(find("link").2, "t".repeat(140));
    assert_eq!(find("b").2, "replaced");
    assert_eq!(seen.iter().filter(|(name, ..)| name == "b").count(), 1);
}

#[tokio::test]
async fn an_archive_that_cannot_be_finished_ends_with_an_error() {
    let place = Place::new(&[]);
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    let error = bytes(&place.context(), Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("socket"), "{error}");
}
