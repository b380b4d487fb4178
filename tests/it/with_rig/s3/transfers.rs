//! What is sent, what is not sent again, and what arrives.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Response};
use mlaction::aws::s3::{Progress, Put};
use mlaction::error::ExitCode;

use super::{MIB, Stand, manifest, noise, quiet};

#[tokio::test]
async fn five_hundred_files_are_sent_once() {
    let stand = Stand::start().await;
    let place = tempfile::tempdir().unwrap();
    for number in 0..500 {
        let folder = place.path().join(format!("part {}", number % 7));
        fs::create_dir_all(&folder).unwrap();
        let length = number * 3;
        fs::write(folder.join(format!("{number}+ä.csv")), noise(length, 1)).unwrap();
    }
    std::os::unix::fs::symlink("part 0/0+ä.csv", place.path().join("link.csv")).unwrap();
    let data = manifest(place.path());
    let bucket = stand.bucket().await;
    let mut said = Vec::new();
    let first = bucket
        .sync(&data, "runs/", &mut |progress| said.push(progress))
        .await
        .unwrap();
    let all = Progress {
        files: 501,
        bytes: data.bytes(),
    };
    assert_eq!(first.sent, all);
    assert_eq!((said[0], *said.last().unwrap()), (Progress::default(), all));
    let seen = stand.seen();
    assert_eq!((seen.len(), &seen[0]), (502, &Method::GET));
    let folder = format!("runs/{}/", data.hash().replace(':', "-"));
    assert_eq!(first.uri, format!("s3://data/{folder}"));
    let listed = bucket.list(&folder).await.unwrap();
    assert_eq!(listed.len(), 501);
    let key = format!("{folder}part 2/499+ä.csv");
    assert_eq!(stand.content(&key).await, noise(499 * 3, 1));

    // Unchanged, and touched: one list.
    stand.seen();
    let again = manifest(place.path());
    let second = bucket.sync(&again, "runs", &mut quiet).await.unwrap();
    assert_eq!((second.uri, second.sent), (first.uri, Progress::default()));
    assert_eq!(stand.seen(), [Method::GET]);

    // What was deleted or overwritten comes back, and nothing else is sent.
    let call = stand.sdk.delete_object().bucket("data");
    call.key(&key).send().await.unwrap();
    let call = stand.sdk.put_object().bucket("data");
    let call = call.key(format!("{folder}link.csv"));
    call.body(b"other".to_vec().into()).send().await.unwrap();
    let third = bucket.sync(&again, "runs", &mut quiet).await.unwrap();
    assert_eq!((third.sent.files, third.sent.bytes), (2, 499 * 3));

    // A job would read what lies there besides.
    let call = stand.sdk.put_object().bucket("data");
    let call = call.key(format!("{folder}zz.csv"));
    call.body(b"other".to_vec().into()).send().await.unwrap();
    let error = bucket.sync(&again, "runs", &mut quiet).await.unwrap_err();
    assert!(
        error.render().contains("zz.csv` is not part of the data"),
        "{}",
        error.render()
    );
}

#[tokio::test]
async fn more_files_than_one_list_shows_are_seen_side_by_side() {
    let stand = Stand::start().await;
    let place = tempfile::tempdir().unwrap();
    for number in 0..2500 {
        fs::write(place.path().join(format!("{number}.txt")), []).unwrap();
    }
    let data = manifest(place.path());
    let bucket = stand.bucket().await;
    bucket.sync(&data, "", &mut quiet).await.unwrap();
    stand.seen();
    let second = bucket.sync(&data, "", &mut quiet).await.unwrap();
    assert_eq!((second.sent.files, stand.seen().len()), (0, 3));
    let folder = mlaction::aws::s3::folder("", data.hash());
    assert_eq!(bucket.list(&folder).await.unwrap().len(), 2500);
    for name in ["0.txt", "1899.txt", "999.txt"] {
        let call = stand.sdk.delete_object().bucket("data");
        call.key(format!("{folder}{name}")).send().await.unwrap();
    }
    let third = bucket.sync(&data, "", &mut quiet).await.unwrap();
    assert_eq!(third.sent.files, 3);
    let call = stand.sdk.put_object().bucket("data");
    let call = call.key(format!("{folder}1500a"));
    call.body(b"x".to_vec().into()).send().await.unwrap();
    bucket.sync(&data, "", &mut quiet).await.unwrap_err();
}

#[tokio::test]
async fn a_large_file_goes_on_where_it_was_killed() {
    let parts = Arc::new(AtomicUsize::new(0));
    let counted = parts.clone();
    // The first three parts arrive, the next one never does.
    let stand = Stand::start_with(move |asked| {
        let is_part = asked
            .uri()
            .query()
            .is_some_and(|query| query.contains("partNumber="));
        if is_part && counted.fetch_add(1, Ordering::SeqCst) == 3 {
            while counted.load(Ordering::SeqCst) < 1000 {
                std::thread::yield_now();
            }
        }
        None
    })
    .await;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("large.bin");
    let content = noise(27 * MIB + 5, 2);
    fs::write(&path, &content).unwrap();
    let data = manifest(&path);
    let bucket = stand.bucket().await;
    {
        let mut most = 0;
        let mut note = |progress: Progress| most = most.max(progress.bytes);
        let upload = bucket.sync(&data, "", &mut note);
        tokio::select! {
            _ = upload => panic!("it cannot end"),
            () = async { while parts.load(Ordering::SeqCst) < 4 || stand_parts(&stand).await < 3 { tokio::task::yield_now().await; } } => {}
        }
    }
    parts.store(1000, Ordering::SeqCst);
    stand.seen();
    let second = bucket.sync(&data, "", &mut quiet).await.unwrap();
    assert_eq!(second.sent.files, 1);
    let puts = stand
        .seen()
        .iter()
        .filter(|method| *method == Method::PUT)
        .count();
    assert_eq!(puts, 1, "one part of four was missing");
    let key = mlaction::aws::s3::folder("", data.hash()) + "large.bin";
    assert!(stand.content(&key).await == content);
    assert_eq!(stand.unfinished().await, 0);
    let third = bucket.sync(&data, "", &mut quiet).await.unwrap();
    assert_eq!((third.sent.files, stand.seen()), (0, vec![Method::GET]));
}

/// Parts that ministack has of the only upload.
async fn stand_parts(stand: &Stand) -> usize {
    let call = stand.sdk.list_multipart_uploads().bucket("data");
    let uploads = call.send().await.unwrap();
    let Some(upload) = uploads.uploads().first() else {
        return 0;
    };
    let call = stand.sdk.list_parts().bucket("data");
    let call = call.set_key(upload.key.clone());
    let parts = call.set_upload_id(upload.upload_id.clone()).send().await;
    parts.unwrap().parts().len()
}

#[tokio::test]
async fn a_line_that_breaks_is_gone_over_again() {
    let sums = Arc::new(Mutex::new(Vec::new()));
    let noted = sums.clone();
    let stand = Stand::start_with(move |asked| {
        if asked.method() == Method::PUT {
            let header = |name| asked.headers().get(name).cloned();
            let sent = asked
                .headers()
                .get("content-length")
                .unwrap()
                .to_str()
                .unwrap();
            let is_plain = sent.parse() == Ok(asked.body().len());
            noted.lock().unwrap().push(
                is_plain
                    && header("x-amz-checksum-crc64nvme").is_some()
                    && header("x-amz-trailer").is_none(),
            );
        }
        None
    })
    .await;
    let place = tempfile::tempdir().unwrap();
    let content = noise(20 * MIB, 11);
    fs::write(place.path().join("large.bin"), &content).unwrap();
    fs::write(place.path().join("small.csv"), "1,2").unwrap();
    let data = manifest(place.path());
    // Of the first four connections each breaks in the middle of a part.
    let bucket = stand
        .over(|number| match number {
            0..4 => (3 * MIB, usize::MAX),
            _ => (usize::MAX, usize::MAX),
        })
        .await;
    let mut last = Progress::default();
    bucket
        .sync(&data, "", &mut |progress| last = progress)
        .await
        .unwrap();
    // What had to be sent again counts once.
    assert_eq!((last.files, last.bytes), (2, data.bytes()));
    let key = mlaction::aws::s3::folder("", data.hash()) + "large.bin";
    assert!(stand.content(&key).await == content);
    // Whoever is in between, S3 or a stand-in of it can compare what arrives.
    let sums = sums.lock().unwrap();
    assert!(
        sums.len() >= 4 && sums.iter().all(|is_summed| *is_summed),
        "{sums:?}"
    );
}

#[tokio::test]
async fn a_line_that_always_breaks_is_given_up() {
    let stand = Stand::start().await;
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("large.bin"), noise(10 * MIB, 12)).unwrap();
    let data = manifest(place.path());
    let bucket = stand.over(|_| (3 * MIB, usize::MAX)).await;
    let mut last = Progress::default();
    let error = bucket
        .sync(&data, "", &mut |progress| last = progress)
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Data);
    let words = error.render();
    assert!(
        words.contains("large.bin`: AWS in `us-east-1` does not answer"),
        "{words}"
    );
    assert_eq!(last.files, 0);
}

#[tokio::test]
async fn parts_of_other_bytes_are_sent_again() {
    let stand = Stand::start().await;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("large.bin");
    let content = noise(17 * MIB, 3);
    fs::write(&path, &content).unwrap();
    let data = manifest(&path);
    let key = mlaction::aws::s3::folder("", data.hash()) + "large.bin";
    let call = stand.sdk.create_multipart_upload().bucket("data").key(&key);
    let call = call.checksum_algorithm(aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme);
    let begun = call.send().await.unwrap();
    for (number, part) in [(1, &content[..8 * MIB]), (2, &noise(8 * MIB, 4)[..])] {
        let call = stand.sdk.upload_part().bucket("data").key(&key);
        let call = call
            .set_upload_id(begun.upload_id.clone())
            .part_number(number);
        call.body(part.to_vec().into()).send().await.unwrap();
    }
    let bucket = stand.bucket().await;
    bucket.sync(&data, "", &mut quiet).await.unwrap();
    let puts = stand
        .seen()
        .iter()
        .filter(|method| *method == Method::PUT)
        .count();
    assert_eq!(puts, 2);
    assert!(stand.content(&key).await == content);
}

#[tokio::test]
async fn an_upload_that_somebody_else_ends_is_begun_again() {
    let gone = AtomicUsize::new(0);
    let stand = Stand::start_with(move |asked| {
        let query = asked.uri().query().unwrap_or_default();
        let is_end = asked.method() == Method::POST && query.contains("uploadId=");
        (is_end && gone.fetch_add(1, Ordering::SeqCst) == 0).then(|| {
            let body = "<Error><Code>NoSuchUpload</Code><Message>The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.</Message></Error>";
            Response::builder().status(404).body(body.into()).unwrap()
        })
    })
    .await;
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("large.bin"), noise(17 * MIB, 5)).unwrap();
    let data = manifest(place.path());
    let mut last = Progress::default();
    let bucket = stand.bucket().await;
    bucket
        .sync(&data, "", &mut |progress| last = progress)
        .await
        .unwrap();
    assert_eq!((last.files, last.bytes), (1, data.bytes()));
    assert_eq!(bucket.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_changes_is_named_and_never_sent() {
    let stand = Stand::start().await;
    let place = tempfile::tempdir().unwrap();
    for (name, length) in [("small.csv", 10), ("large.bin", 17 * MIB)] {
        let path = place.path().join(name);
        fs::write(&path, noise(length, 6)).unwrap();
        let data = manifest(&path);
        // Same length, another time: what a program does that writes in place.
        fs::write(&path, noise(length, 7)).unwrap();
        let error = stand.bucket().await.sync(&data, "", &mut quiet).await;
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Data);
        let wanted = format!("{name}`: it changed while it was read");
        assert!(error.to_string().contains(&wanted), "{error}");
    }
    assert_eq!(stand.bucket().await.list("").await.unwrap(), []);
}

#[tokio::test]
async fn a_large_file_that_changes_on_the_way_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("large.bin");
    let other = path.clone();
    // It changes when the upload has begun.
    let stand = Stand::start_with(move |asked| {
        if asked.method() == Method::POST {
            fs::write(&other, noise(33 * MIB, 8)).unwrap();
        }
        None
    })
    .await;
    fs::write(&path, noise(33 * MIB, 9)).unwrap();
    let data = manifest(&path);
    let error = stand.bucket().await.sync(&data, "", &mut quiet).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("large.bin`: it changed while it was read"),
        "{error}"
    );
    assert_eq!(stand.unfinished().await, 0);
    assert_eq!(stand.bucket().await.list("").await.unwrap(), []);
}

#[tokio::test]
async fn small_objects_are_written_under_a_condition() {
    let stand = Stand::start().await;
    let bucket = stand.bucket().await;
    assert_eq!(bucket.read("best.json").await.unwrap(), None);
    let Put::Written { etag } = bucket.put_if_absent("best.json", "1").await.unwrap() else {
        panic!("nothing was there");
    };
    // The same content again is what an attempt wrote of which the answer was lost.
    let again = bucket.put_if_absent("best.json", "1").await.unwrap();
    assert_eq!(again, Put::Written { etag: etag.clone() });
    let Put::Refused(Some(found)) = bucket.put_if_absent("best.json", "2").await.unwrap() else {
        panic!("something was there");
    };
    assert_eq!((&found.content[..], &found.etag), (&b"1"[..], &etag));
    let put = bucket.put_if_match("best.json", "2", &etag).await.unwrap();
    assert!(matches!(put, Put::Written { .. }));
    let put = bucket.put_if_match("best.json", "3", &etag).await.unwrap();
    assert!(matches!(put, Put::Refused(Some(found)) if found.content == "2"));
    let put = bucket.put_if_match("none.json", "3", &etag).await.unwrap();
    assert_eq!(put, Put::Refused(None));
    assert_eq!(stand.content("best.json").await, b"2");
}

#[tokio::test]
async fn of_writers_at_once_one_wins() {
    let stand = Stand::start().await;
    let bucket = stand.bucket().await;
    let put = async |text: &'static str| bucket.put_if_absent("one.json", text).await.unwrap();
    let (a, b) = tokio::join!(put("a"), put("b"));
    let winners = [&a, &b]
        .into_iter()
        .filter(|put| matches!(put, Put::Written { .. }));
    assert_eq!(winners.count(), 1, "{a:?} {b:?}");
}
