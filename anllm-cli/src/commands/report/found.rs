//! What a folder holds of runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::super::attention::Maps;
use super::harness;

/// Larger files are no results: samples, data.
const MOST_BYTES: u64 = 64 << 20;

/// A training run's log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Losses {
    /// The run's folder.
    pub(super) name: String,
    /// Step and training loss.
    pub(super) train: Vec<(f64, f64)>,
    /// Step and validation loss.
    pub(super) validation: Vec<(f64, f64)>,
}

/// All runs of a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files read.
    pub(super) files: usize,
    /// Rows with a `measure`, in order of their files' names.
    pub(super) rows: Vec<Value>,
    pub(super) losses: Vec<Losses>,
}

impl Found {
    /// Reads a folder and those inside it. Lines that are no results are passed over: other files may lie there.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let (mut files, mut tables) = (Vec::new(), Vec::new());
        list(folder, &mut files)?;
        files.sort();
        for file in files {
            let shown = || format!("{}: cannot be read", file.display());
            if fs::metadata(&file).with_context(shown)?.len() > MOST_BYTES {
                continue;
            }
            let bytes = fs::read(&file).with_context(shown)?;
            let text = String::from_utf8_lossy(&bytes);
            found.files += 1;
            let values: Vec<Value> = match serde_json::from_str(&text) {
                Ok(one) => vec![one],
                Err(_) => text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            };
            let losses = losses(&values);
            if let Some((train, validation)) = losses {
                let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
                found.losses.push(Losses { name: folder.to_string_lossy().into_owned(), train, validation });
            }
            tables.extend(values.iter().flat_map(harness::rows));
            found.rows.extend(values.into_iter().filter(|value| value["measure"].is_string()));
        }
        // A run may have left its rows and its file of results.
        for row in tables {
            if !found.of("qa").iter().any(|known| harness::same(known, &row)) {
                found.rows.push(row);
            }
        }
        Ok(found)
    }

    /// The rows of a measure.
    pub(super) fn of(&self, measure: &str) -> Vec<&Value> {
        self.rows.iter().filter(|row| row["measure"] == measure).collect()
    }

    /// Attention maps, with whose they are.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&Value, Maps)> {
        let maps = self.rows.iter().filter(|row| row["measure"] == "attention");
        maps.filter_map(|row| Some((row, serde_json::from_value(row.clone()).ok()?)))
    }
}

/// The .json and .jsonl files of a folder and those inside it.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("{}: cannot be read\n  hint: name a folder of runs", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Links are not followed: they may lead back.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|kind| kind == "json" || kind == "jsonl") {
            files.push(path);
        }
    }
    Ok(())
}

type Points = Vec<(f64, f64)>;

/// A training run's losses, where these are the lines of its log.
fn losses(lines: &[Value]) -> Option<(Points, Points)> {
    let of = |key: &str| -> Points {
        lines.iter().filter_map(|line| Some((line["step"].as_f64()?, line[key].as_f64()?))).collect()
    };
    let (train, validation) = (of("loss"), of("val_loss"));
    (!train.is_empty()).then_some((train, validation))
}
