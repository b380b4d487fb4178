use std::path::Path;

use indexmap::IndexMap;

use super::*;
use crate::image::context::Context;

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(text.as_bytes()).unwrap()
}

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = Dockerfile::parse(text.as_bytes()).unwrap_err();
    mistakes.iter().map(ToString::to_string).collect()
}

fn arguments(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn reads(text: &str, pairs: &[(&str, &str)], target: Option<&str>) -> Result<Reads, Vec<String>> {
    let reads = parse(text).reads(&arguments(pairs), target, "linux/amd64");
    reads.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn images(text: &str, pairs: &[(&str, &str)], target: Option<&str>) -> Vec<(usize, String)> {
    let images = reads(text, pairs, target).unwrap().images;
    images
        .into_iter()
        .map(|image| (image.line, image.reference))
        .collect()
}

fn image(text: &str, pairs: &[(&str, &str)]) -> String {
    images(text, pairs, None).remove(0).1
}

fn files(text: &str) -> Vec<(usize, String)> {
    let files = reads(text, &[], None).unwrap().files;
    files
        .into_iter()
        .map(|file| (file.line, file.name))
        .collect()
}

#[test]
fn directives_comments_continuation_and_here_documents_are_read_as_buildkit_does() {
    let text = "\u{FEFF}# syntax=docker/dockerfile:1 --more\n# escape=`\n# not=a directive\n\
                FROM python:3 `\n# a comment in between\n\n   AS base\n\
                RUN <<EOF\nCOPY not /an/instruction\nEOF\n\
                RUN cat <<-\"A B\" > x && true <<B\n\tA B\nFROM nothing\nB\n\
                COPY a `\n  b /\n";
    assert_eq!(parse(text).syntax(), Some("docker/dockerfile:1"));
    assert_eq!(images(text, &[], None), [(4, "python:3".to_owned())]);
    assert_eq!(files(text), [(15, "a".to_owned()), (15, "b".to_owned())]);
    assert_eq!(parse("# a\n# syntax=x\nFROM scratch").syntax(), None);
    assert_eq!(image("FROM a\\\\\nRUN x", &[]), "a\\");
}

#[test]
fn every_mistake_of_form_has_its_line() {
    assert_eq!(
        mistakes("# escape=x\nRUN <<EOF\n"),
        [
            "line 1: `escape` is either \\ or `",
            "line 2: the here-document `EOF` has no end"
        ]
    );
    assert_eq!(
        mistakes("FORM python\n\nCOPPY a b"),
        [
            "line 1: there is no instruction `FORM`",
            "line 3: there is no instruction `COPPY`"
        ]
    );
    assert_eq!(
        mistakes("RUN x\nFROM a b\n"),
        [
            "line 1: RUN before the first FROM",
            "line 2: `a b` is not `image` or `image AS name`"
        ]
    );
    assert_eq!(mistakes("# nothing\n"), ["line 1: there is no FROM"]);
    let mistakes = Dockerfile::parse(b"FROM a\n\nRUN \xFF\n").unwrap_err();
    assert_eq!(mistakes[0].to_string(), "line 3: it is not UTF-8");
}

#[test]
fn variables_are_replaced_in_all_their_forms() {
    for (word, expected) in [
        ("$TAG", "3.12"),
        ("${TAG}-slim", "3.12-slim"),
        ("${NONE:-x$TAG}", "x3.12"),
        ("${NONE-${OTHER:-y}}", "y"),
        ("${EMPTY:-z}", "z"),
        ("${EMPTY-z}x", "x"),
        ("a${TAG:+b}${NONE:+c$NONE}", "ab"),
        ("${TAG#3.}", "12"),
        ("${TAG%.*}", "3"),
        ("${PATHS##*/}", "c"),
        ("${PATHS#*/}", "b/c"),
        ("${PATHS%%/*}", "a"),
        ("${PATHS%/*}", "a/b"),
        ("${PATHS//\\//.}", "a.b.c"),
        ("${PATHS/a/x}", "x/b/c"),
        ("'$TAG'\"-$TAG\"", "$TAG-3.12"),
        ("\\$TAG", "$TAG"),
        ("$TARGETARCH", "amd64"),
    ] {
        let text = format!("ARG TAG=3.12 EMPTY= PATHS=a/b/c\nFROM {word}");
        assert_eq!(image(&text, &[]), expected, "{word}");
    }
    for word in [
        "${TAG",
        "${:-a}",
        "${TAG:x}",
        "${NONE:?no}",
        "$NONE",
        "x${NONE}",
    ] {
        let text = format!("ARG TAG\nFROM {word}");
        assert!(reads(&text, &[], None).is_err(), "{word}");
    }
    let deep = format!("FROM {}x{}", "${a:-".repeat(5000), "}".repeat(5000));
    assert!(reads(&deep, &[], None).is_err());
    let mut laughs = "ARG A0=ha\n".to_owned();
    for level in 1..64 {
        let last = level - 1;
        laughs.push_str(&format!("ARG A{level}=$A{last}$A{last}\n"));
    }
    laughs.push_str("FROM $A63\n");
    assert!(reads(&laughs, &[], None).is_err());
}

#[test]
fn arguments_have_the_value_that_the_builder_gives_them() {
    let text = "ARG A=1\nARG B=$A-2\nFROM x:$B\n";
    assert_eq!(image(text, &[]), "x:1-2");
    assert_eq!(image(text, &[("A", "7")]), "x:7-2");
    // What is not declared is not given.
    assert_eq!(
        reads("FROM x:$A", &[("A", "1")], None).unwrap_err(),
        ["line 1: `x:$A`: `A` has no value"]
    );
    let text = "ARG A=global\nFROM scratch AS base\nENV E=env\nFROM base\nARG A\nARG E=arg\n\
                ENV F=$E\nCOPY $A $E ${F}x $UNKNOWN /to\n";
    let names: Vec<String> = files(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["global", "env", "envx"]);
}

#[test]
fn only_what_the_wanted_stage_needs_is_taken_from_outside() {
    let text = "FROM python:3 AS base\nFROM --platform=linux/arm64 golang:1 AS tools\n\
                FROM rust:1 AS unused\nFROM BASE AS train\n\
                COPY --from=tools /a /a\nCOPY --from=1 /b /b\nCOPY --from=busybox:1 /c /c\n\
                RUN --mount=type=cache,target=/x --mount=from=uv:1,source=/uv,target=/uv uv\n\
                FROM scratch AS empty\nCOPY . /\n";
    let names = |target| {
        let images = images(text, &[], target);
        images
            .into_iter()
            .map(|(line, name)| format!("{line} {name}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(Some("Train")),
        ["1 python:3", "2 golang:1", "7 busybox:1", "8 uv:1"]
    );
    assert_eq!(names(Some("0")), ["1 python:3"]);
    assert_eq!(names(None), Vec::<String>::new());
    let all = reads(text, &[], Some("train")).unwrap().images;
    assert_eq!(all[1].platform, "linux/arm64");
    assert_eq!(
        reads(text, &[], Some("gone")).unwrap_err(),
        ["line 9: there is no stage `gone`, but base, tools, unused, train, empty"]
    );
    assert!(reads("FROM a\nCOPY --from=$X / /", &[], None).is_err());
    // A circle ends.
    assert!(reads("FROM scratch AS a\nCOPY --from=a / /", &[], None).is_ok());
}

#[test]
fn sources_are_named_as_the_context_names_them() {
    let text = "FROM scratch\nCOPY [\"a b\", \"./c/\", \"/to\"]\nADD ../d /e/../f* https://x/y /to\n\
                COPY <<EOF --x /to\nEOF\nRUN --mount=type=bind,src=r.txt,target=/r --mount=target=/all x\n";
    let files: Vec<String> = files(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(files, ["a b", "c", "d", "f*", "--x", "r.txt", "."]);
    let remote = reads(text, &[], None).unwrap().remote;
    assert_eq!(
        (remote[0].line, remote[0].name.as_str()),
        (3, "https://x/y")
    );
}

#[test]
fn files_that_will_not_be_there_are_named_with_a_way_out() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let text = "FROM scratch\nCOPY .env src/train.py /\nCOPY gone.py data/raw data /\n\
                COPY key*.pem *.py * /\nCOPY src/*.p* /\n";
    write("Dockerfile", text);
    write(".dockerignore", "data\n!data/kept\n");
    for name in [
        ".env",
        "src/train.py",
        "src/x.pem",
        "data/raw",
        "data/kept",
        "key1.pem",
    ] {
        write(name, "");
    }
    let context = |place: &Path| Context::open(place, &place.join("Dockerfile")).unwrap();
    let files = context(place.path());
    let reads = reads(text, &[], None).unwrap();
    let show = |mistakes: Vec<Mistake>| -> Vec<String> {
        mistakes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        show(reads.missing(&files, &files.listing().unwrap())),
        [
            "line 3: COPY gone.py: there is no such file in the build context",
            "line 3: COPY data/raw: .dockerignore keeps it out",
        ]
    );
    let kept_out = reads.kept_out(&context(place.path()));
    let error = Mistake::error("Dockerfile", &kept_out).render();
    assert!(
        error.contains("`!.env`") && error.contains("type=secret"),
        "{error}"
    );
    assert_eq!(
        show(kept_out),
        [
            "line 2: COPY .env: credentials are kept out of the image",
            "line 4: COPY key1.pem: credentials are kept out of the image",
        ]
    );
    write(".dockerignore", "!.env\n!key1.pem");
    assert_eq!(reads.kept_out(&context(place.path())), []);
}

#[test]
fn what_the_builder_must_give_is_known() {
    let text = "ARG BASE=x\nFROM $BASE\nARG ONE=\"a b\" TWO\n\
                RUN --mount=type=secret,id=pip,required --mount=type=cache,target=/c x\n\
                RUN --mount=type=secret,target=/run/netrc --mount=type=secret,id=${ID} y\n";
    let dockerfile = Dockerfile::parse(text.as_bytes()).unwrap();
    for name in ["BASE", "ONE", "TWO", "https_proxy", "BUILDKIT_INLINE_CACHE"] {
        assert!(dockerfile.takes(name), "{name}");
    }
    for name in ["one", "b", "THREE"] {
        assert!(!dockerfile.takes(name), "{name}");
    }
    let secrets = dockerfile.secrets();
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.line, secret.id.as_str(), secret.is_required))
        .collect();
    assert_eq!(secrets, [(4, "pip", true), (5, "netrc", false)]);
}

proptest::proptest! {
    #[test]
    fn no_text_is_more_than_a_mistake(text in "(FROM |ARG |COPY |RUN |--mount=|<<|[$a{}:\\-\\+'\"\\\\\n# /=é]){0,40}") {
        if let Ok(dockerfile) = Dockerfile::parse(text.as_bytes()) {
            drop(dockerfile.reads(&IndexMap::new(), None, "linux/amd64"));
        }
    }
}
