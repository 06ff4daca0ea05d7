//! Results in the layout of lm-evaluation-harness, so that its tools read them: `results_<date>.json` with everything
//! about a run, `samples_<task>_<date>.jsonl` with a line for each question.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::accuracy::{Accuracy, Rate};
use super::answer::Answer;
use super::prepared::Prepared;
use super::saving::Saving;
use super::timing::Timing;
use crate::task::{Metric, Task};

/// The outcome of one task.
#[derive(Debug)]
pub struct TaskResult<'a> {
    /// The task.
    pub task: &'a Task,
    /// Demonstrations before each question.
    pub shots: usize,
    /// Records of the data, asked or not.
    pub original: usize,
    /// What was asked.
    pub prepared: &'a Prepared,
    /// What was answered, in the order of the questions.
    pub answers: &'a [Answer],
    /// The demonstrations' cache.
    pub saving: Saving,
    /// How long questions take with and without it.
    pub timing: Option<Timing>,
}

impl TaskResult<'_> {
    /// The shares of right answers, by the task's metrics.
    fn rates(&self) -> Vec<(Metric, Rate)> {
        let accuracy = Accuracy::of(&self.prepared.questions, self.answers);
        let rate = |metric: &Metric| match metric {
            Metric::Acc => accuracy.acc,
            Metric::AccNorm => accuracy.acc_norm,
        };
        self.task.metrics.iter().map(|metric| (*metric, rate(metric))).collect()
    }

    /// The lines of a samples file.
    pub fn samples(&self) -> impl Iterator<Item = Value> + '_ {
        self.answers.iter().map(|answer| {
            let mut line = sample(self.task, self.prepared, answer);
            // The harness says so in the file's name alone; a file of several tasks needs it in each line.
            line["task"] = json!(self.task.name);
            line["num_fewshot"] = json!(self.shots);
            line
        })
    }
}

/// A whole results file, to which a run's own facts are added.
#[derive(Debug, Default)]
pub struct ResultFile {
    results: Map<String, Value>,
    configs: Map<String, Value>,
    versions: Map<String, Value>,
    shots: Map<String, Value>,
    higher_is_better: Map<String, Value>,
    counts: Map<String, Value>,
    hashes: Map<String, Value>,
    savings: Map<String, Value>,
}

impl ResultFile {
    /// Adds a task's outcome.
    pub fn add(&mut self, result: &TaskResult<'_>) {
        let name = &result.task.name;
        let mut values = Map::new();
        values.insert("name".into(), json!(name));
        values.insert("alias".into(), json!(name));
        values.insert("sample_len".into(), json!(result.answers.len()));
        let mut better = Map::new();
        for (metric, rate) in result.rates() {
            values.insert(format!("{},none", metric.name()), json!(rate.value));
            let stderr = rate.stderr.map_or(json!("N/A"), |stderr| json!(stderr));
            values.insert(format!("{}_stderr,none", metric.name()), stderr);
            better.insert(metric.name().into(), json!(true));
        }
        let mut config = result.task.settings();
        if let Some(config) = config.as_object_mut() {
            config.insert("task".into(), json!(name));
            config.insert("num_fewshot".into(), json!(result.shots));
            config.insert("output_type".into(), json!("multiple_choice"));
        }
        let hashes: String = result
            .samples()
            .flat_map(|sample| ["doc_hash", "prompt_hash", "target_hash"].map(|key| text(&sample[key])))
            .collect();
        self.results.insert(name.clone(), values.into());
        self.configs.insert(name.clone(), config);
        self.versions.insert(name.clone(), json!(result.task.version));
        self.shots.insert(name.clone(), json!(result.shots));
        self.higher_is_better.insert(name.clone(), better.into());
        let counts = json!({ "original": result.original, "effective": result.answers.len() });
        self.counts.insert(name.clone(), counts);
        self.hashes.insert(name.clone(), json!(hash(&hashes)));
        let saving = json!({ "cache": result.saving, "timing": result.timing, "truncated": result.prepared.cut() });
        self.savings.insert(name.clone(), saving);
    }

    /// The file's content. `run` holds the run's own facts: `config`, `model_name`, `date`, …; its keys come last and
    /// replace those of the same name.
    pub fn into_json(self, run: Map<String, Value>) -> Value {
        let groups: Map<String, Value> = self.results.keys().map(|task| (task.clone(), json!([]))).collect();
        let mut file = Map::new();
        file.insert("results".into(), self.results.into());
        file.insert("group_subtasks".into(), groups.into());
        file.insert("configs".into(), self.configs.into());
        file.insert("versions".into(), self.versions.into());
        file.insert("n-shot".into(), self.shots.into());
        file.insert("higher_is_better".into(), self.higher_is_better.into());
        file.insert("n-samples".into(), self.counts.into());
        file.insert("task_hashes".into(), self.hashes.into());
        // What the harness has no place for.
        file.insert("anllm".into(), json!({ "format": 1, "tasks": self.savings }));
        file.extend(run);
        file.into()
    }
}

/// One question, its texts and what came of it: a line of a samples file.
pub fn sample(task: &Task, prepared: &Prepared, answer: &Answer) -> Value {
    let question = &prepared.questions[answer.question];
    let choices = &prepared.texts[answer.question].choices;
    let arguments: Map<String, Value> = choices
        .iter()
        .enumerate()
        .map(|(number, scored)| {
            (format!("gen_args_{number}"), json!({ "arg_0": scored.context, "arg_1": scored.continuation }))
        })
        .collect();
    // As Python writes numbers and truth values.
    let truth = |greedy: bool| if greedy { "True" } else { "False" };
    let scores = answer.likelihoods.iter().zip(&answer.greedy);
    let scores: Vec<Value> = scores.map(|(sum, greedy)| json!([format!("{sum:?}"), truth(*greedy)])).collect();
    let each: Vec<Value> = scores.iter().map(|score| json!([score])).collect();
    let metrics: Vec<&str> = task.metrics.iter().map(|metric| metric.name()).collect();
    let document = serde_json::to_string_pretty(&question.record.fields).unwrap_or_default();
    let mut line = json!({
        "doc_id": answer.question,
        "doc": question.record.fields,
        "target": question.target,
        "arguments": arguments,
        "resps": each,
        "filtered_resps": scores,
        "filter": "none",
        "metrics": metrics,
        "doc_hash": hash(&document),
        "prompt_hash": hash(choices.first().map_or("", |scored| scored.context.as_str())),
        "target_hash": hash(&question.target),
    });
    for metric in &task.metrics {
        let right = match metric {
            Metric::Acc => Answer::is_right(question, answer),
            Metric::AccNorm => Answer::is_right_by_length(question, answer),
        };
        line[metric.name()] = json!(if right { 1.0 } else { 0.0 });
    }
    line
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
