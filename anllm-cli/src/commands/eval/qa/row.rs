//! What a task's run shows.

use anllm_eval::qa::{Accuracy, Agreement, Rate, Saving, TaskResult, Timing};
use anllm_eval::task::Metric;
use serde::Serialize;

use super::super::head::Head;
use super::super::markdown::{Side, table};
use super::Outcome;
use crate::output::bytes;

/// One task under one number of demonstrations: an object of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    head: Head,
    /// `full`, `mask` or `cache`.
    mode: &'static str,
    task: String,
    version: f64,
    n: usize,
    shots: usize,
    acc: f64,
    acc_norm: f64,
    acc_stderr: Option<f64>,
    acc_norm_stderr: Option<f64>,
    anchors: String,
    #[serde(flatten)]
    saving: Saving,
    #[serde(flatten)]
    timing: Timing,
    /// Of a cache that was held against the mask, question by question: the largest difference of a log-likelihood.
    #[serde(skip_serializing_if = "Option::is_none")]
    mask_max_abs_diff: Option<f64>,
    /// Choices that lost their beginning.
    truncated: usize,
    /// Seconds for all answers, those that were kept from an earlier run left out.
    answering_s: f64,
    questions_per_s: f64,
    #[serde(skip)]
    metrics: Vec<Metric>,
}

impl Row {
    pub(super) fn new(
        result: &TaskResult<'_>,
        head: Head,
        mode: &'static str,
        agreed: Option<Agreement>,
        outcome: &Outcome,
    ) -> Self {
        let Outcome { answered, answering_s, .. } = *outcome;
        let Accuracy { acc, acc_norm } = Accuracy::of(&result.prepared.questions, result.answers);
        Self {
            anchors: head.rule().to_owned(),
            head,
            mode,
            task: result.task.name.clone(),
            version: result.task.version,
            n: result.answers.len(),
            shots: result.shots,
            acc: acc.value,
            acc_norm: acc_norm.value,
            acc_stderr: acc.stderr,
            acc_norm_stderr: acc_norm.stderr,
            saving: result.saving,
            timing: result.timing.clone().unwrap_or_default(),
            mask_max_abs_diff: agreed.map(|agreed| agreed.max_abs_diff),
            truncated: result.prepared.cut(),
            answering_s,
            questions_per_s: if answered > 0 { answered as f64 / answering_s } else { 0.0 },
            metrics: result.task.metrics.clone(),
        }
    }

    fn rate(&self, metric: Metric) -> Rate {
        match metric {
            Metric::Acc => Rate { value: self.acc, stderr: self.acc_stderr },
            Metric::AccNorm => Rate { value: self.acc_norm, stderr: self.acc_norm_stderr },
        }
    }
}

/// Accuracies as lm-evaluation-harness prints them, and below the paper's columns.
pub(super) fn tables(rows: &[Row]) -> String {
    use Side::{Left, Right};
    let columns = [
        ("Tasks", Left),
        ("Version", Right),
        ("Filter", Left),
        ("n-shot", Right),
        ("Metric", Left),
        ("", Left),
        ("Value", Right),
        ("", Left),
        ("Stderr", Right),
    ];
    let mut lines = Vec::new();
    for row in rows {
        for (number, metric) in row.metrics.iter().enumerate() {
            let Rate { value, stderr } = row.rate(*metric);
            // A task's name and version stand on its first line.
            let once = |text: String| if number == 0 { text } else { String::new() };
            lines.push(vec![
                once(row.task.clone()),
                once(row.version.to_string()),
                "none".to_owned(),
                row.shots.to_string(),
                metric.name().to_owned(),
                "↑".to_owned(),
                format!("{value:.4}"),
                "±".to_owned(),
                stderr.map_or("N/A".to_owned(), |stderr| format!("{stderr:.4}")),
            ]);
        }
    }
    let mut text = table(&columns, &lines);
    let timed = rows.iter().any(|row| row.timing.timed > 0);
    if timed || rows.iter().any(|row| row.shots > 0) {
        let columns = [
            ("Task", Left),
            ("n", Right),
            ("Shots", Right),
            ("Cache", Left),
            ("run as", Left),
            ("Acc", Right),
            ("C⇓", Right),
            ("T⇑ no cache", Right),
            ("T⇑ full cache", Right),
            ("bytes", Right),
            ("full bytes", Right),
            ("peak bytes", Right),
        ];
        // Without demonstrations there is nothing that a cache could save.
        let ratio = |row: &Row, value: f64| {
            if row.timing.timed > 0 && row.shots > 0 { format!("{value:.2}×") } else { "".to_owned() }
        };
        let line = |row: &Row| {
            vec![
                row.task.clone(),
                row.n.to_string(),
                row.shots.to_string(),
                row.head.policy().to_owned(),
                row.mode.to_owned(),
                format!("{:.1} %", 100.0 * row.acc),
                format!("{:.1} %", 100.0 * row.saving.kv_reduction),
                ratio(row, row.timing.speedup_vs_no_cache),
                ratio(row, row.timing.speedup_vs_full_cache),
                bytes(row.saving.bytes.round() as usize),
                bytes(row.saving.full_bytes.round() as usize),
                bytes(row.saving.peak_bytes.round() as usize),
            ]
        };
        text.push('\n');
        text.push_str(&table(&columns, &rows.iter().map(line).collect::<Vec<_>>()));
    }
    text
}
