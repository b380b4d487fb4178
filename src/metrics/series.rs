//! A curve in bounded memory.

use super::{Number, Series};

/// Points kept of one series; when there are more, every second one is dropped.
pub(super) const MAX_POINTS: usize = 1024;

/// Takes the values of a series one by one. The first and the last value are always kept.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    points: Vec<(f64, Number)>,
    last: Option<(f64, Number)>,
    count: u64,
    /// A power of two, less one: which counts are kept.
    mask: u64,
}

impl Recorder {
    /// Takes the next value when `text` is a number. Its step is how many came before.
    pub(super) fn read(&mut self, text: &str) -> bool {
        let step = self.count as f64;
        match &mut self.last {
            Some((at, last)) => {
                if !last.replace(text) {
                    return false;
                }
                *at = step;
            }
            last @ None => match Number::parse(text) {
                Some(number) => *last = Some((step, number)),
                None => return false,
            },
        }
        self.keep();
        true
    }

    /// Takes the next value, at a step of its own.
    pub(super) fn push(&mut self, step: f64, number: Number) {
        self.last = Some((step, number));
        self.keep();
    }

    /// Keeps the last value as a point when its turn has come.
    fn keep(&mut self) {
        if self.count & self.mask == 0 {
            if self.points.len() == MAX_POINTS {
                let mut keep = false;
                self.points.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.mask = self.mask * 2 + 1;
            }
            if self.count & self.mask == 0 {
                self.points.extend(self.last.clone());
            }
        }
        self.count += 1;
    }

    /// The last value and the curve; nothing when there was no value.
    pub(super) fn finish(self) -> Option<(Number, Series)> {
        let (step, last) = self.last?;
        let mut points = self.points;
        let newest = self.count - 1;
        if newest & self.mask != 0 {
            points.push((step, last.clone()));
        }
        let (steps, values) = points.into_iter().unzip();
        let series = Series {
            steps,
            values,
            count: self.count,
        };
        Some((last, series))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(count: usize) -> Series {
        let mut recorder = Recorder::default();
        for index in 0..count {
            assert!(recorder.read(&index.to_string()));
        }
        recorder.finish().unwrap().1
    }

    #[test]
    fn a_long_series_is_thinned_and_keeps_its_ends() {
        for count in [1, 2, MAX_POINTS, MAX_POINTS + 1, 10_000, 65_537] {
            let series = series(count);
            let last = (count - 1).to_string();
            assert!(series.values.len() <= MAX_POINTS + 1);
            assert!(series.values.len() >= count.min(MAX_POINTS / 2));
            assert_eq!(series.count, count as u64);
            assert_eq!(series.values[0].as_str(), "0");
            assert_eq!(series.values.last().unwrap().as_str(), last);
            for (step, value) in series.steps.iter().zip(&series.values) {
                assert_eq!(*step, value.value());
            }
        }
    }

    #[test]
    fn what_is_not_a_number_changes_nothing() {
        let mut recorder = Recorder::default();
        assert!(!recorder.read("x"));
        assert!(recorder.read("0.50") && !recorder.read("8751/10000"));
        let (last, series) = recorder.finish().unwrap();
        assert_eq!((last.as_str(), series.count), ("0.50", 1));
        assert!(Recorder::default().finish().is_none());
    }
}
