"""Channels: what of S3 arrives in the container, and how."""

import gzip
import json

from conftest import BUCKET, channel, put

SHOW = "cd /opt/ml/input/data; for f in $(busybox find . -type f | busybox sort); do echo $f $(cat $f); done"


def shown(jobs, *channels: dict, program: str = SHOW, **changes) -> list[str]:
    job = jobs.run(program, InputDataConfig=list(channels), **changes)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return jobs.log(job["TrainingJobName"])


def test_prefixes(stand_in, jobs):
    for key in ("set/a", "set/d/b", "set-2/c", "other"):
        put(stand_in, key, key.encode())
    put(stand_in, "set/empty/", b"")
    assert shown(jobs, channel("x", "set/"), channel("y", "set/a"), channel("z", "set")) == [
        "./x/a set/a",
        "./x/d/b set/d/b",
        "./y/a set/a",
        # A prefix is a text, not a folder.
        "./z/a set/a",
        "./z/d/b set/d/b",
        "./z/set-2/c set-2/c",
    ]


def test_a_manifest_names_objects(stand_in, jobs):
    put(stand_in, "m/one/a", b"A")
    put(stand_in, "m/two/b", b"B")
    put(stand_in, "m/list", json.dumps([{"prefix": f"s3://{BUCKET}/m/"}, "one/a", "two/b"]).encode())
    assert shown(jobs, channel("x", "m/list", source={"S3DataType": "ManifestFile"})) == ["./x/one/a A", "./x/two/b B"]
    put(stand_in, "m/bad", b"one/a")
    job = jobs.run(InputDataConfig=[channel("x", "m/bad", source={"S3DataType": "ManifestFile"})])
    assert job["FailureReason"].startswith("ClientError: Data download failed: invalid manifest")
    put(stand_in, "m/gone", json.dumps([{"prefix": f"s3://{BUCKET}/m/"}, "absent"]).encode())
    job = jobs.run(InputDataConfig=[channel("x", "m/gone", source={"S3DataType": "ManifestFile"})])
    assert "does not exist" in job["FailureReason"] and "m/absent" in job["FailureReason"]


def test_a_key_that_is_no_path(stand_in, jobs):
    put(stand_in, "evil/../x", b"")
    job = jobs.run(InputDataConfig=[channel("x", "evil/")])
    assert "is not the path of a file" in job["FailureReason"]
    put(stand_in, "both/a", b"")
    put(stand_in, "both/a/b", b"")
    job = jobs.run(InputDataConfig=[channel("x", "both/")])
    assert job["FailureReason"].startswith("ClientError: Data download failed: a")


def test_fast_files_are_read_only_and_others_are_not(stand_in, jobs):
    put(stand_in, "fast/d/a", b"A")
    program = (
        "cd /opt/ml/input/data; cat f/d/a; echo; touch f/b 2>/dev/null || echo refused; touch s/b && echo taken;"
        "cat /opt/ml/input/config/inputdataconfig.json"
    )
    fast = channel("f", "fast/", InputMode="FastFile", ContentType="text/csv")
    *lines, config = shown(jobs, fast, channel("s", "fast/"), program=program)
    assert lines == ["A", "refused", "taken"]
    entry = {"TrainingInputMode": "File", "RecordWrapperType": "None", "S3DistributionType": "FullyReplicated"}
    assert json.loads(config) == {"f": {**entry, "ContentType": "text/csv"}, "s": entry}


def test_pipes_have_one_epoch_after_the_other(stand_in, jobs):
    put(stand_in, "pipe/a", b"a")
    put(stand_in, "pipe/b", b"b\n")
    put(stand_in, "zipped", gzip.compress(b"unzipped\n"))
    program = "cd /opt/ml/input/data; cat p_0 p_1; cat z_0; cat s/a; echo; [ -p p_2 ] && echo one more"
    lines = shown(
        jobs,
        channel("p", "pipe/", InputMode="Pipe"),
        channel("z", "zipped", InputMode="Pipe", CompressionType="Gzip"),
        channel("s", "pipe/"),
        program=program,
    )
    assert lines == ["ab", "ab", "unzipped", "a", "one more"]


def test_a_pipe_that_is_not_read_to_its_end(stand_in, jobs):
    put(stand_in, "long", b"x" * 1_000_000)
    program = "cd /opt/ml/input/data; busybox head -c 3 p_0; echo; busybox head -c 4 p_1"
    assert shown(jobs, channel("p", "long", InputMode="Pipe"), program=program) == ["xxx", "xxxx"]


def test_records(stand_in, jobs):
    put(stand_in, "r/a", b"abcde")
    put(stand_in, "r/b", b"wxyz")
    wrapped = channel("p", "r/", InputMode="Pipe", RecordWrapperType="RecordIO")
    [line] = shown(jobs, wrapped, program="busybox xxd -p -c 64 /opt/ml/input/data/p_0")
    assert line == "0a23d7ce05000000" + b"abcde".hex() + "000000" + "0a23d7ce04000000" + b"wxyz".hex()


def test_an_augmented_manifest(stand_in, jobs):
    put(stand_in, "aug/img", b"<pixels>")
    lines = [json.dumps({"img-ref": f"s3://{BUCKET}/aug/img", "label": n}) for n in (1, 2)]
    put(stand_in, "aug/list", "\n".join(lines).encode())
    source = {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["img-ref", "label"]}
    [line] = shown(
        jobs, channel("p", "aug/list", source=source, InputMode="Pipe"), program="cat /opt/ml/input/data/p_0"
    )
    assert line == "<pixels>1<pixels>2"
