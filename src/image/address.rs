//! The image's content address: one hash over everything that decides what is built.
//!
//! An image that was published under this name is the one that a build would make; times, owners
//! and inodes do not count, as they do not for Docker's own cache.

use indexmap::IndexMap;

use super::Network;
use super::context::{Context, Entry, Kind};
use crate::data::known::Known;
use crate::error::Result;

/// NOTE: the version changes with anything in [`address`] that changes hashes.
const SCHEMA: &str = "mlaction image address v1";

/// Hexadecimal digits of the tag: 160 bits, like a commit's name.
const DIGITS: usize = 40;

/// An image that a build takes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source<'a> {
    /// As the Dockerfile names it, variables replaced.
    pub reference: &'a str,
    /// Its digest for the platform (`sha256:…`); none when nobody could be asked. The address then
    /// stands for whatever the reference means at the time of the build.
    pub digest: Option<&'a str>,
}

/// Everything that decides what is built.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The files and the Dockerfile.
    pub context: &'a Context,
    /// What the context holds.
    pub entries: &'a [Entry],
    /// Build arguments, in any order.
    pub build_args: &'a IndexMap<String, String>,
    /// The stage that is built.
    pub target: Option<&'a str>,
    /// `os/architecture[/variant]`.
    pub platform: &'a str,
    /// Labels that count, in any order: not those that every commit changes.
    pub labels: &'a IndexMap<String, String>,
    /// The images of `FROM`, `COPY --from` and `RUN --mount=from=`, in any order.
    pub images: &'a [Source<'a>],
    /// The frontend of `# syntax=`.
    pub syntax: Option<Source<'a>>,
    /// What build steps may reach.
    pub network: Network,
    /// Ids of the build secrets, in any order; never their values.
    pub secrets: &'a [&'a str],
    /// The builder, with a version of the format of what it makes.
    pub builder: &'a str,
}

/// The name of an image by what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// [`Address::tag`] of the hash.
    pub tag: String,
    /// The whole hash, 64 hexadecimal digits.
    pub hash: String,
    /// Number of files in the context.
    pub files: u64,
    /// Size of the context in bytes.
    pub bytes: u64,
}

impl Address {
    /// `in-` and the first 40 digits of a hexadecimal hash.
    #[must_use]
    pub fn tag(hash: &str) -> String {
        format!("in-{}", &hash[..DIGITS.min(hash.len())])
    }
}

/// The content address of an image. Files that are [`Known`] are not read.
///
/// # Errors
/// A file that cannot be read, or changes while it is.
pub fn address(inputs: Inputs<'_>, known: &Known) -> Result<Address> {
    let Inputs {
        context,
        entries,
        build_args,
        target,
        platform,
        labels,
        images,
        syntax,
        network,
        secrets,
        builder,
    } = inputs;
    let mut all = Hasher(blake3::Hasher::new_derive_key(SCHEMA));
    all.text("builder", builder);
    all.bytes("dockerfile", context.dockerfile());
    all.optional("target", target);
    all.text("platform", platform);
    all.text(
        "network",
        match network {
            Network::Default => "default",
            Network::None => "none",
        },
    );
    all.pairs("argument", build_args);
    all.pairs("label", labels);
    let mut images = images.to_vec();
    images.sort_unstable();
    images.dedup();
    all.number("images", images.len() as u64);
    for Source { reference, digest } in images {
        all.text("image", reference);
        all.optional("digest", digest);
    }
    all.optional("syntax", syntax.map(|source| source.reference));
    all.optional("digest", syntax.and_then(|source| source.digest));
    let mut secrets = secrets.to_vec();
    secrets.sort_unstable();
    all.number("secrets", secrets.len() as u64);
    for secret in secrets {
        all.text("secret", secret);
    }
    let (files, bytes) = add_entries(&mut all, context, entries, known)?;
    let hash = all.0.finalize().to_hex();
    Ok(Address {
        tag: Address::tag(&hash),
        hash: hash.to_string(),
        files,
        bytes,
    })
}

/// The entries in the order of the walk, which their names alone decide.
fn add_entries(
    all: &mut Hasher,
    context: &Context,
    entries: &[Entry],
    known: &Known,
) -> Result<(u64, u64)> {
    let is_file = |entry: &&Entry| matches!(entry.kind, Kind::File { .. });
    let files: Vec<&Entry> = entries.iter().filter(is_file).collect();
    let mut hashes = context.hashes(&files, known)?.into_iter();
    let mut bytes = 0;
    all.number("entries", entries.len() as u64);
    for entry in entries {
        all.text("name", &entry.name);
        all.number("mode", u64::from(entry.mode));
        match &entry.kind {
            Kind::Folder => all.number("folder", 0),
            Kind::Link { target } => all.text("link", target),
            Kind::File { size } => {
                all.number("file", *size);
                let hash = hashes.next();
                all.bytes(
                    "hash",
                    hash.as_ref().map_or(&[][..], |hash| hash.as_bytes()),
                );
                bytes += size;
            }
        }
    }
    Ok((files.len() as u64, bytes))
}

/// Fields with their names and lengths, so that none can pass for a part of another.
struct Hasher(blake3::Hasher);

impl Hasher {
    fn bytes(&mut self, field: &str, bytes: &[u8]) {
        self.0.update(field.as_bytes()).update(b"=");
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, field: &str, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn number(&mut self, field: &str, number: u64) {
        self.bytes(field, &number.to_le_bytes());
    }

    fn optional(&mut self, field: &str, text: Option<&str>) {
        self.number(field, u64::from(text.is_some()));
        self.text(field, text.unwrap_or_default());
    }

    fn pairs(&mut self, field: &str, pairs: &IndexMap<String, String>) {
        let mut sorted: Vec<_> = pairs.iter().collect();
        sorted.sort_unstable();
        self.number(field, sorted.len() as u64);
        for (name, value) in sorted {
            self.text(field, name);
            self.text("value", value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        };
        std::fs::create_dir(place.path().join("empty")).unwrap();
        let open = Permissions::from_mode(0o755);
        std::fs::set_permissions(place.path().join("empty"), open).unwrap();
        write("Dockerfile", "FROM scratch\nCOPY . /\n");
        write(".dockerignore", "ignored\n");
        write("train.py", "print()");
        write("ignored", "1");
        symlink("train.py", place.path().join("link")).unwrap();
        place
    }

    fn open(place: &Path) -> Context {
        Context::open(place, &place.join("Dockerfile")).unwrap()
    }

    fn inputs<'a>(context: &'a Context, none: &'a IndexMap<String, String>) -> Inputs<'a> {
        Inputs {
            context,
            entries: &[],
            build_args: none,
            target: None,
            platform: "linux/amd64",
            labels: none,
            images: &[],
            syntax: None,
            network: Network::Default,
            secrets: &[],
            builder: "buildkit 1",
        }
    }

    /// With what the context holds now.
    fn address_of(inputs: Inputs<'_>, known: &Known) -> Address {
        let entries = &inputs.context.listing().unwrap().entries;
        address(Inputs { entries, ..inputs }, known).unwrap()
    }

    fn tag_of(inputs: Inputs<'_>) -> String {
        address_of(inputs, &Known::default()).tag
    }

    fn tag(place: &Path) -> String {
        tag_of(inputs(&open(place), &IndexMap::new()))
    }

    #[test]
    fn an_address_never_changes() {
        assert_eq!(
            tag(tree().path()),
            "in-f027c0cf7a5dbe549d3948582f5d4a8a1b7a4239"
        );
    }

    #[test]
    fn every_input_counts_and_what_does_not_decide_does_not() {
        let place = tree();
        let (path, before) = (place.path(), tag(place.path()));
        let pair = |name: &str| IndexMap::from([(name.to_owned(), "1".to_owned())]);
        let source = |digest| Source {
            reference: "python",
            digest,
        };
        let (one, other) = (pair("a"), pair("b"));
        let (context, none) = (open(path), IndexMap::new());
        let base = inputs(&context, &none);
        let mut all = vec![
            before,
            tag_of(Inputs {
                build_args: &one,
                ..base
            }),
            tag_of(Inputs {
                build_args: &other,
                ..base
            }),
            tag_of(Inputs {
                labels: &one,
                ..base
            }),
            tag_of(Inputs {
                target: Some("train"),
                ..base
            }),
            tag_of(Inputs {
                target: Some(""),
                ..base
            }),
            tag_of(Inputs {
                platform: "linux/arm64",
                ..base
            }),
            tag_of(Inputs {
                network: Network::None,
                ..base
            }),
            tag_of(Inputs {
                secrets: &["pip"],
                ..base
            }),
            tag_of(Inputs {
                builder: "buildkit 2",
                ..base
            }),
            tag_of(Inputs {
                syntax: Some(source(None)),
                ..base
            }),
        ];
        for digest in [None, Some("sha256:1"), Some("sha256:2")] {
            all.push(tag_of(Inputs {
                images: &[source(digest)],
                ..base
            }));
        }
        // What is in the context: one change after the other.
        let mut changed = |change: &dyn Fn()| {
            change();
            all.push(tag(path));
        };
        changed(&|| std::fs::write(path.join("train.py"), "print(1)").unwrap());
        changed(&|| {
            let executable = Permissions::from_mode(0o755);
            std::fs::set_permissions(path.join("train.py"), executable).unwrap();
        });
        changed(&|| std::fs::rename(path.join("train.py"), path.join("t.py")).unwrap());
        changed(&|| std::fs::remove_dir(path.join("empty")).unwrap());
        changed(&|| {
            std::fs::remove_file(path.join("link")).unwrap();
            symlink("t.py", path.join("link")).unwrap();
        });
        changed(&|| std::fs::write(path.join("Dockerfile"), "FROM scratch\n").unwrap());
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);

        let before = tag(path);
        std::fs::write(path.join("ignored"), "2").unwrap();
        let file = File::options().write(true).open(path.join("t.py")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(tag(path), before);
    }

    #[test]
    fn the_order_of_arguments_and_images_does_not_count() {
        let place = tree();
        let pairs = |names: [&str; 2]| {
            let pairs = names.map(|name| (name.to_owned(), name.to_owned()));
            IndexMap::from(pairs)
        };
        let source = |reference| Source {
            reference,
            digest: None,
        };
        let (context, none) = (open(place.path()), IndexMap::new());
        let base = inputs(&context, &none);
        let one = [source("a"), source("b")];
        let other = [source("b"), source("a"), source("b")];
        assert_eq!(
            tag_of(Inputs {
                images: &one,
                ..base
            }),
            tag_of(Inputs {
                images: &other,
                ..base
            })
        );
        let (one, other) = (pairs(["a", "b"]), pairs(["b", "a"]));
        assert_eq!(
            tag_of(Inputs {
                build_args: &one,
                ..base
            }),
            tag_of(Inputs {
                build_args: &other,
                ..base
            })
        );
    }

    #[test]
    fn what_is_known_is_not_read_again_unless_it_changed() {
        let (place, cache) = (tree(), tempfile::tempdir().unwrap());
        let path = place.path();
        let look = |now: i64| {
            let known = Known::load(cache.path(), path, now);
            let address = address_of(inputs(&open(path), &IndexMap::new()), &known);
            let read = known.bytes();
            known.save().unwrap();
            (address, read)
        };
        use std::os::unix::fs::MetadataExt as _;
        let now = path.join("train.py").metadata().unwrap().ctime();
        let (first, read) = look(now);
        assert_eq!((first.files, first.bytes), (3, read));
        // The files are too young to be trusted.
        assert_eq!(look(now + 10), (first.clone(), read));
        assert_eq!(look(now + 20), (first.clone(), 0));
        std::fs::write(path.join("train.py"), "PRINT()").unwrap();
        let file = File::options()
            .write(true)
            .open(path.join("train.py"))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let (second, read) = look(now + 30);
        assert_eq!(read, 7);
        assert_ne!(second, first);
    }
}
