//! What a plan says to the gates and in the report.

use indexmap::IndexMap;

use super::Plan;
use crate::metrics::baseline::{Comparison, Definitions};
use crate::report::{self, BaselineInfo, Lineage, ModelInfo, Report, Status};

impl Plan {
    /// Fingerprints of the channels that the metrics were measured on, which a comparable baseline
    /// must share: the held-out ones when there is a validation job.
    #[must_use]
    pub fn held_out(&self) -> IndexMap<String, String> {
        let channels = &self.validation.as_ref().unwrap_or(&self.training).channels;
        self.data
            .iter()
            .filter(|source| channels.contains(&source.channel))
            .map(|source| (source.channel.clone(), source.fingerprint.clone()))
            .collect()
    }

    /// How metrics are read from log lines.
    #[must_use]
    pub fn definitions(&self) -> Definitions {
        Definitions::new(&self.metrics.definitions, &self.metrics.presets)
    }

    /// Content hash of the program whose `metrics.json` counts.
    #[must_use]
    pub fn validation_program(&self) -> &str {
        &self.validation.as_ref().unwrap_or(&self.training).program
    }

    /// The baseline beside what this run is measured with.
    #[must_use]
    pub fn comparison<'a>(
        &'a self,
        held_out: &'a IndexMap<String, String>,
        definitions: &'a Definitions,
    ) -> Comparison<'a> {
        Comparison {
            baseline: self.baseline.found.as_ref(),
            data: held_out,
            validation: self.validation_program(),
            definitions,
        }
    }

    /// What the report says of the baseline.
    #[must_use]
    pub fn baseline_info(&self) -> Option<BaselineInfo> {
        let baseline = self.baseline.found.as_ref()?;
        let file = || {
            let path = &self.baseline.path;
            let name = path.strip_prefix(&self.root).unwrap_or(path);
            name.display().to_string()
        };
        let location = self.baseline.location.as_ref();
        Some(BaselineInfo {
            source: location.map_or_else(file, ToString::to_string),
            run: baseline.run.clone(),
            commit: baseline.commit.clone(),
            created_at: baseline.created_at,
        })
    }

    /// A report of this run, without metrics yet.
    #[must_use]
    pub fn report(
        &self,
        status: Status,
        phases: Vec<report::Phase>,
        model: Option<ModelInfo>,
    ) -> Report {
        Report {
            schema_version: report::SCHEMA_VERSION,
            run: self.run.clone(),
            project: self.project.clone(),
            destination: self.destination.name().to_owned(),
            status,
            reason: None,
            hint: None,
            started_at: self.created_at,
            phases,
            jobs: Vec::new(),
            metrics: Vec::new(),
            curves: IndexMap::new(),
            confusion_matrix: None,
            per_class: IndexMap::new(),
            baseline: self.baseline_info(),
            lineage: Lineage {
                commit: self.commit.clone(),
                dirty: self.dirty,
                content_hash: self.content_hash.clone(),
                code: self.code.fingerprint.clone(),
                data: self.data.clone(),
                environment: IndexMap::new(),
                model,
                mlaction: self.mlaction.clone(),
            },
            hyperparameters: self.hyperparameters.clone(),
            log_tail: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
