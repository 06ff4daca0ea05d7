//! What a run has logged, item by item.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anllm_eval::translation::{BleuCounts, ChrfCounts};
use serde_json::Value;

/// A run's items, by what they belong to: a task with its demonstrations, windows, sentences.
pub(super) struct Log {
    pub(super) parts: BTreeMap<String, Part>,
}

/// Items of one kind, by their number.
#[derive(Default)]
pub(super) struct Part {
    items: BTreeMap<u64, Value>,
}

/// Pairs of what two runs say of the same item.
pub(super) enum Items {
    /// A number for each.
    Values(Vec<(f64, f64)>),
    /// Total negative log-likelihood and tokens.
    Losses(Vec<((f64, f64), (f64, f64))>),
    /// Counts of BLEU.
    Bleu(Vec<(BleuCounts, BleuCounts)>),
    /// Counts of chrF.
    Chrf(Vec<(ChrfCounts, ChrfCounts)>),
}

impl Items {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values(pairs) => pairs.len(),
            Self::Losses(pairs) => pairs.len(),
            Self::Bleu(pairs) => pairs.len(),
            Self::Chrf(pairs) => pairs.len(),
        }
    }
}

impl Log {
    /// A file, or the samples of a folder; of several runs of a task in a folder the last.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let files = match path.is_dir() {
            true => samples(path)?,
            false => vec![path.to_owned()],
        };
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        for file in files {
            let shown = file.display();
            let text = std::fs::read_to_string(&file).map_err(|e| {
                anyhow::anyhow!(
                    "{shown}: cannot read the run: {e}\n  hint: name a file that --log-samples or --log-windows wrote"
                )
            })?;
            let mut own: BTreeMap<String, Part> = BTreeMap::new();
            for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
                let value: Value =
                    serde_json::from_str(line).map_err(|e| anyhow::anyhow!("{shown}: line {number}: not JSON: {e}"))?;
                let (name, item) = place(&value, &file).ok_or_else(|| {
                    anyhow::anyhow!(
                        "{shown}: line {number}: neither a question, a window nor a sentence\n  hint: name a file that \
                         --log-samples or --log-windows wrote"
                    )
                })?;
                own.entry(name).or_default().items.insert(item, value);
            }
            parts.extend(own);
        }
        anyhow::ensure!(!parts.is_empty(), "{}: there is nothing to compare: the run is empty", path.display());
        Ok(Self { parts })
    }

    pub(super) fn names(&self) -> String {
        self.parts.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The samples files of a folder, in order of their dates.
fn samples(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| name(path).starts_with("samples_") && name(path).ends_with(".jsonl"));
    files.sort();
    anyhow::ensure!(
        !files.is_empty(),
        "{}: no samples_*.jsonl in this folder\n  hint: `anllm eval qa --output DIR` writes them",
        folder.display()
    );
    Ok(files)
}

/// What an item belongs to, and its number.
fn place(value: &Value, file: &Path) -> Option<(String, u64)> {
    if let Some(number) = value["doc_id"].as_u64() {
        let task = value["task"].as_str().map(str::to_owned).or_else(|| task_of(file))?;
        let shots = value["num_fewshot"].as_u64().map_or_else(String::new, |shots| format!(" {shots}-shot"));
        return Some((task + &shots, number));
    }
    if let (Some(number), Some(_)) = (value["window"].as_u64(), value["nll"].as_f64()) {
        return Some(("windows".to_owned(), number));
    }
    let number = value["sentence"].as_u64()?;
    value["translation"].as_str().map(|_| ("sentences".to_owned(), number))
}

/// The task in the name of a samples file: `samples_<task>_<date>.jsonl`.
fn task_of(file: &Path) -> Option<String> {
    let name = file.file_stem()?.to_str()?.strip_prefix("samples_")?;
    Some(name.rsplit_once('_').map_or(name, |(task, _)| task).to_owned())
}

impl Part {
    /// The values that both runs have, paired.
    ///
    /// # Errors
    /// When the runs are of different items.
    pub(super) fn paired(&self, other: &Self) -> Result<Vec<(&'static str, Items)>, String> {
        let (ours, theirs) = (self.items.len(), other.items.len());
        let both: Vec<(&u64, &Value, &Value)> =
            self.items.iter().filter_map(|(number, a)| Some((number, a, other.items.get(number)?))).collect();
        if both.len() != ours || both.len() != theirs {
            return Err(format!("{ours} items and {theirs}, of which {} are the same", both.len()));
        }
        for key in ["target", "tokens", "reference", "doc"] {
            if let Some((number, _, _)) = both.iter().find(|(_, a, b)| a[key] != b[key]) {
                return Err(format!("number {number} is not the same in both: its `{key}` differs"));
            }
        }
        let number = |key: &str| -> Option<Vec<(f64, f64)>> {
            both.iter().map(|(_, a, b)| Some((a[key].as_f64()?, b[key].as_f64()?))).collect()
        };
        let mut found: Vec<(&'static str, Items)> = Vec::new();
        for metric in ["acc", "acc_norm"] {
            found.extend(number(metric).map(|pairs| (metric, Items::Values(pairs))));
        }
        if let (Some(losses), Some(tokens)) = (number("nll"), number("tokens")) {
            let pairs = losses.into_iter().zip(tokens).map(|(nll, tokens)| ((nll.0, tokens.0), (nll.1, tokens.1)));
            found.push(("nll", Items::Losses(pairs.collect())));
        }
        let texts: Option<Vec<(&str, &str, &str)>> = both
            .iter()
            .map(|(_, a, b)| Some((a["translation"].as_str()?, b["translation"].as_str()?, a["reference"].as_str()?)))
            .collect();
        if let Some(texts) = texts {
            let bleu = texts.iter().map(|(a, b, r)| (BleuCounts::of(a, r), BleuCounts::of(b, r)));
            let chrf = texts.iter().map(|(a, b, r)| (ChrfCounts::of(a, r), ChrfCounts::of(b, r)));
            found.push(("BLEU", Items::Bleu(bleu.collect())));
            found.push(("chrF", Items::Chrf(chrf.collect())));
        }
        Ok(found)
    }
}
