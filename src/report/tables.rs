//! Confusion matrix and per-class values as tables of bounded size.

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::html::NAME;
use super::text::{line, short};
use crate::metrics::{ConfusionMatrix, Number};

/// Classes shown of a confusion matrix.
const SHOWN: usize = 25;

/// Classes and columns of the per-class table.
const CLASSES: [usize; 2] = [200, 12];

/// Characters of a class name: a matrix has one for each column.
const LABEL: usize = 40;

/// Pairs of classes named as mixed up most.
const CONFUSIONS: usize = 10;

/// A confusion matrix, with shares of each row.
#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    pub(super) labels: Vec<String>,
    pub(super) rows: Vec<MatrixRow>,
    pub(super) confusions: Vec<Confusion>,
    pub(super) left_out: usize,
    /// Whether the confusions are the main thing to see.
    pub(super) open: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct MatrixRow {
    pub(super) label: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) count: u64,
    pub(super) share: String,
    /// Strength of the background, never so strong that the text on it is hard to read.
    part: f64,
    pub(super) right: bool,
}

/// Two classes that were mixed up.
#[derive(Debug, Serialize)]
pub(super) struct Confusion {
    pub(super) truth: String,
    pub(super) predicted: String,
    pub(super) count: u64,
    pub(super) share: String,
}

impl Matrix {
    pub(super) fn new(matrix: &ConfusionMatrix) -> Self {
        let name = |at: usize| match matrix.labels.get(at) {
            Some(label) => line(label, LABEL),
            None => at.to_string(),
        };
        let total = |row: &[u64]| row.iter().map(|&count| count as f64).sum::<f64>();
        let percent =
            |count: u64, row: &[u64]| format!("{:.0} %", part(count as f64, total(row)) * 100.0);
        let rows = matrix
            .matrix
            .iter()
            .enumerate()
            .take(SHOWN)
            .map(|(truth, row)| MatrixRow {
                label: name(truth),
                cells: row
                    .iter()
                    .enumerate()
                    .take(SHOWN)
                    .map(|(predicted, &count)| Cell {
                        count,
                        share: percent(count, row),
                        part: (part(count as f64, total(row)) * 0.6 * 100.0).round() / 100.0,
                        right: truth == predicted,
                    })
                    .collect(),
            });
        let mut wrong: Vec<(u64, usize, usize)> = matrix
            .matrix
            .iter()
            .enumerate()
            .flat_map(|(truth, row)| {
                row.iter()
                    .enumerate()
                    .map(move |(at, &count)| (count, truth, at))
            })
            .filter(|&(count, truth, predicted)| count > 0 && truth != predicted)
            .collect();
        wrong
            .sort_by_key(|&(count, truth, predicted)| (std::cmp::Reverse(count), truth, predicted));
        let confusions = wrong
            .iter()
            .take(CONFUSIONS)
            .map(|&(count, truth, predicted)| Confusion {
                truth: name(truth),
                predicted: name(predicted),
                count,
                share: percent(count, &matrix.matrix[truth]),
            });
        let classes = matrix.matrix.len();
        Self {
            labels: (0..classes.min(SHOWN)).map(name).collect(),
            rows: rows.collect(),
            confusions: confusions.collect(),
            left_out: classes.saturating_sub(SHOWN),
            open: classes > SHOWN,
        }
    }
}

/// Values by class.
#[derive(Debug, Serialize)]
pub(super) struct Classes {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<ClassRow>,
    pub(super) left_out: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct ClassRow {
    pub(super) label: String,
    pub(super) cells: Vec<ClassCell>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ClassCell {
    pub(super) value: String,
    /// Length of the bar, for values of a column that are all between 0 and 1.
    part: Option<f64>,
}

impl Classes {
    pub(super) fn new(classes: &IndexMap<String, IndexMap<String, Number>>) -> Option<Self> {
        let columns: IndexSet<&String> = classes.values().flat_map(IndexMap::keys).collect();
        let columns: Vec<(&String, bool)> = columns
            .into_iter()
            .take(CLASSES[1])
            .map(|column| {
                let mut values = classes.values().filter_map(|row| row.get(column));
                let shares =
                    values.all(|value| !value.is_finite() || (0.0..=1.0).contains(&value.value()));
                (column, shares)
            })
            .collect();
        let rows: Vec<ClassRow> = classes
            .iter()
            .take(CLASSES[0])
            .map(|(class, values)| ClassRow {
                label: line(class, NAME),
                cells: columns
                    .iter()
                    .map(|&(column, shares)| match values.get(column) {
                        Some(value) => ClassCell {
                            value: short(value),
                            part: (shares && value.is_finite()).then_some(value.value()),
                        },
                        None => ClassCell::default(),
                    })
                    .collect(),
            })
            .collect();
        (!rows.is_empty()).then(|| Self {
            columns: columns
                .iter()
                .map(|(column, _)| line(column, NAME))
                .collect(),
            left_out: classes.len() - rows.len(),
            rows,
        })
    }
}

/// `value` as a part of `total`, between 0 and 1.
pub(super) fn part(value: f64, total: f64) -> f64 {
    if total > 0.0 && value.is_finite() {
        (value / total).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_true_class_and_confusions_are_ranked() {
        let matrix = Matrix::new(&ConfusionMatrix {
            labels: ["a", "b"].map(str::to_owned).to_vec(),
            matrix: vec![vec![9, 1], vec![30, 10]],
        });
        let shares: Vec<&str> = matrix
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .map(|cell| cell.share.as_str())
            .collect();
        assert_eq!(shares, ["90 %", "10 %", "75 %", "25 %"]);
        let first = &matrix.confusions[0];
        assert_eq!(
            (first.truth.as_str(), first.predicted.as_str(), first.count),
            ("b", "a", 30)
        );
    }

    #[test]
    fn a_ragged_matrix_and_empty_rows_do_no_harm() {
        let matrix = Matrix::new(&ConfusionMatrix {
            labels: Vec::new(),
            matrix: vec![vec![], vec![u64::MAX, u64::MAX], vec![0, 0, 0]],
        });
        assert_eq!(matrix.labels, ["0", "1", "2"]);
        assert_eq!(matrix.rows[2].cells[0].share, "0 %");
        assert!(Classes::new(&IndexMap::new()).is_none());
    }
}
