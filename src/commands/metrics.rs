//! `metrics`: what would be reported from a log or a metrics file, without a run.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

use super::{color, print, to_json};
use crate::cli;
use crate::config;
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::log::{Definition, LogMetrics};
use crate::metrics::pieces::Splitter;
use crate::metrics::preset::Preset;
use crate::metrics::{MetricSet, Source, file};
use crate::report::text::{plain, sparkline};
use crate::talk::Talk;

/// Version of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Blocks of a curve.
const SPARK: usize = 24;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    /// Version of this document's form.
    schema_version: u32,
    /// How many bytes were read.
    bytes: u64,
    /// What would be reported.
    metrics: MetricSet,
    /// What is worth knowing.
    warnings: Vec<String>,
}

pub(super) fn run(project: &Path, arguments: cli::Metrics, talk: &Talk) -> Result<u8> {
    let cli::Metrics {
        file,
        presets,
        definitions,
        kind,
        json,
    } = arguments;
    let kind = kind.unwrap_or_else(|| kind_of(&file));
    let document = match kind {
        cli::MetricsKind::File => read_file(open(&file)?)?,
        cli::MetricsKind::Log => {
            // Regexes and presets are checked before a byte is waited for.
            let mut metrics = patterns(project, presets, definitions)?;
            let bytes = read_log(open(&file)?, &mut metrics)?;
            let (metrics, warnings) = metrics.finish();
            Document {
                schema_version: SCHEMA_VERSION,
                bytes,
                metrics,
                warnings,
            }
        }
    };
    if json {
        return print(&to_json(&document)?);
    }
    for warning in &document.warnings {
        talk.say(&format!("note: {}", plain(warning)));
    }
    print(&table(&document))
}

/// A name that ends in `.json` is a metrics file.
fn kind_of(file: &Path) -> cli::MetricsKind {
    if file.extension().is_some_and(|ending| ending == "json") {
        cli::MetricsKind::File
    } else {
        cli::MetricsKind::Log
    }
}

fn open(file: &Path) -> Result<Box<dyn Read>> {
    if file != Path::new("-") {
        let failed = |error| {
            Error::new(ExitCode::Usage, format!("cannot read `{}`", file.display())).because(error)
        };
        return Ok(Box::new(File::open(file).map_err(failed)?));
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Error::new(ExitCode::Usage, "there is nothing to read").hint(
            "name a file, or pipe a log: `python train.py 2>&1 | mlaction metrics --preset keras`",
        ));
    }
    Ok(Box::new(input.lock()))
}

/// The definitions and presets of the project around, when there is one, and those of the flags.
fn patterns(
    project: &Path,
    presets: Vec<Preset>,
    definitions: Vec<(String, String)>,
) -> Result<LogMetrics> {
    let config::raw::Metrics {
        presets: mut all_presets,
        definitions: mut all,
    } = match config::find_root(project) {
        Ok(root) => config::load(&root, color())?.raw.metrics,
        Err(error) if error.exit_code() == ExitCode::Config => config::raw::Metrics::default(),
        Err(error) => return Err(error),
    };
    for preset in presets {
        if !all_presets.contains(&preset) {
            all_presets.push(preset);
        }
    }
    for (name, regex) in definitions {
        all.retain(|definition| definition.name != name);
        all.push(Definition { name, regex });
    }
    if all.is_empty() && all_presets.is_empty() {
        return Err(Error::new(ExitCode::Usage, "there is nothing to look for")
            .hint("name a format with `--preset`, give `--definition 'NAME=REGEX'`, or fill [metrics] in mlaction.toml"));
    }
    LogMetrics::new(&all, &all_presets).map_err(|errors| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let error = Error::new(ExitCode::Usage, texts.join("; "));
        match errors.into_iter().find_map(|error| error.hint) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// Reads a log to its end, in constant memory.
fn read_log(mut input: Box<dyn Read>, metrics: &mut LogMetrics) -> Result<u64> {
    let mut splitter = Splitter::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let count = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).doing(|| "cannot read the log".to_owned()),
        };
        bytes += count as u64;
        splitter.push(&chunk[..count], &mut |piece| metrics.piece(piece.text));
    }
    splitter.finish(&mut |piece| metrics.piece(piece.text));
    Ok(bytes)
}

fn read_file(input: Box<dyn Read>) -> Result<Document> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a file that is too large from one that is not.
    input
        .take(file::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .doing(|| "cannot read the metrics file".to_owned())?;
    let (metrics, warnings) = file::parse(&bytes).map_err(|error| {
        Error::new(ExitCode::Usage, "cannot use the metrics file")
            .because(error)
            .hint("`mlaction schema metrics` prints its form")
    })?;
    Ok(Document {
        schema_version: SCHEMA_VERSION,
        bytes: bytes.len() as u64,
        metrics,
        warnings,
    })
}

fn table(document: &Document) -> String {
    let metrics = &document.metrics;
    if metrics.values.is_empty() {
        return "no metrics found\n".to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["metric", "last value", "count", "curve"]);
    for (name, metric) in &metrics.values {
        let series = metrics.series.get(name);
        let count = match metric.source {
            Source::Log => series.map_or(1, |series| series.count).to_string(),
            Source::File | Source::Destination => {
                series.map_or_else(String::new, |series| series.count.to_string())
            }
        };
        let curve = series.map(|series| sparkline(series, SPARK));
        table.add_row([
            plain(name),
            metric.value.to_string(),
            count,
            curve.unwrap_or_default(),
        ]);
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}
