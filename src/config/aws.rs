//! What a schema cannot say about `[aws]`.

use std::time::Duration;

use super::duration;
use super::rules::Rules;
use crate::aws::settings::{AwsSettings, DURATIONS};

impl Rules<'_> {
    pub(super) fn aws(&mut self, settings: &AwsSettings) {
        let path = ["aws", "role_duration"];
        let text = &settings.role_duration;
        self.duration(&path, text);
        let is_outside = |time: &Duration| !time.is_zero() && !DURATIONS.contains(time);
        if duration::parse(text).is_ok_and(|time| is_outside(&time)) {
            let message = format!("AWS gives no credentials for `{text}`");
            self.add(&path, message, "out of range").help = Some("from `15m` to `12h`".to_owned());
        }
        let path = ["aws", "wait_for_credentials"];
        self.duration(&path, &settings.wait_for_credentials);
    }
}
