//! Durations as people write them.

use std::time::Duration;

/// Reads `90s`, `15m`, `1h 30m`; the unit is required.
///
/// # Errors
/// A fragment that says what is wrong.
pub fn parse(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("`{text}` is not a duration; write `90s`, `15m` or `2h`"))?;
    Duration::try_from(duration).map_err(|_| format!("`{text}` is negative"))
}

/// Writes a duration for people: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 1 min`.
#[must_use]
pub fn display(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse("1h 30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse("1h30m").unwrap(), Duration::from_secs(5400));
        assert!(parse("90").is_err());
        assert!(parse("-5m").is_err());
        assert!(parse("").is_err());
    }
}
