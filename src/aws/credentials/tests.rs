use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const QUARTER_HOUR: u64 = 900;

/// Gives credentials for a quarter of an hour, each with its number as its key.
#[derive(Debug, Clone, Default)]
struct Numbered {
    /// Seconds since the epoch.
    now: Arc<AtomicU64>,
    given: Arc<AtomicU64>,
    is_down: Arc<AtomicBool>,
    is_silent: Arc<AtomicBool>,
    is_endless: bool,
}

impl Numbered {
    fn held(&self) -> Held {
        let now = self.now.clone();
        Held {
            now: Arc::new(move || at(now.load(Ordering::Relaxed))),
            ..Held::new(self.clone())
        }
    }

    fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }
}

impl ProvideCredentials for Numbered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if self.is_silent.load(Ordering::Relaxed) {
            return future::ProvideCredentials::new(std::future::pending());
        }
        if self.is_down.load(Ordering::Relaxed) {
            let down = CredentialsError::provider_error("it is down");
            return future::ProvideCredentials::ready(Err(down));
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let end = at(self.now.load(Ordering::Relaxed) + QUARTER_HOUR);
        let mut given = Credentials::builder()
            .access_key_id(number.to_string())
            .secret_access_key("secret")
            .provider_name("Numbered");
        given.set_expiry((!self.is_endless).then_some(end));
        future::ProvideCredentials::ready(Ok(given.build()))
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[tokio::test]
async fn for_five_hours_nobody_gets_credentials_that_end_soon() {
    let source = Numbered::default();
    let held = source.held();
    let hours = 5 * 3600;
    for second in (0..=hours).step_by(10) {
        source.now.store(second, Ordering::Relaxed);
        let end = held.current().await.unwrap().expiry().unwrap();
        assert!(end > at(second + 200), "{second}: {end:?}");
    }
    assert_eq!(source.given(), 1 + hours / (QUARTER_HOUR * 3 / 4 + 5));
}

#[tokio::test]
async fn who_cannot_renew_goes_on_with_what_is_still_good_and_tries_again() {
    let source = Numbered::default();
    let held = source.held();
    assert_eq!(held.current().await.unwrap().access_key_id(), "1");
    source.is_down.store(true, Ordering::Relaxed);
    source.now.store(800, Ordering::Relaxed);
    assert_eq!(held.current().await.unwrap().access_key_id(), "1");
    source.is_down.store(false, Ordering::Relaxed);
    // Not at once: it has a quarter of what is left for itself.
    source.now.store(820, Ordering::Relaxed);
    assert_eq!(held.current().await.unwrap().access_key_id(), "1");
    source.now.store(825, Ordering::Relaxed);
    assert_eq!(held.current().await.unwrap().access_key_id(), "2");
    source.is_down.store(true, Ordering::Relaxed);
    source.now.store(825 + QUARTER_HOUR, Ordering::Relaxed);
    held.current().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_others_while_there_are_good_ones() {
    let source = Numbered::default();
    let held = source.held();
    held.current().await.unwrap();
    source.is_silent.store(true, Ordering::Relaxed);
    for (second, patience) in [(700, RENEWING), (QUARTER_HOUR, LOADING)] {
        source.now.store(second, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        let given = held.current().await;
        assert_eq!(given.is_ok(), second < QUARTER_HOUR);
        assert!(begun.elapsed() >= patience && begun.elapsed() < patience * 2);
    }
}

#[tokio::test]
async fn what_does_not_expire_is_held_until_aws_does_not_take_it() {
    let source = Numbered {
        is_endless: true,
        ..Numbered::default()
    };
    let held = source.held();
    let client = held.clone();
    client.current().await.unwrap();
    source.now.store(1_000_000, Ordering::Relaxed);
    assert_eq!(client.current().await.unwrap().access_key_id(), "1");
    held.forget();
    assert_eq!(client.current().await.unwrap().access_key_id(), "2");
}

#[test]
fn nothing_of_them_is_printed() {
    let source = Numbered::default();
    assert_eq!(format!("{:?}", source.held()), "Held { .. }");
}
