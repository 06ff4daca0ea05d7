//! Which files hold a task's questions and demonstrations.

use std::path::{Path, PathBuf};

/// Where questions are looked for in a task's folder, in this order.
pub(super) const QUESTIONS: [&str; 5] = ["test", "validation", "dev", "sample", "train"];
/// Where demonstrations are.
pub(super) const DEMONSTRATIONS: [&str; 5] = ["train", "validation", "dev", "sample", "test"];

/// A file for each of `tasks` out of what `option` was given: as many files, or one folder.
pub(super) fn files(given: &[PathBuf], tasks: &[&str], parts: &[&str], option: &str) -> anyhow::Result<Vec<PathBuf>> {
    match given {
        [folder] if folder.is_dir() => tasks.iter().map(|task| in_folder(folder, task, parts, option)).collect(),
        files if files.len() == tasks.len() => Ok(files.to_vec()),
        files => anyhow::bail!(
            "{option} was given {} file(s) for {} task(s)\n  hint: give a file for each task, separated by commas, or \
             one folder with a folder for each",
            files.len(),
            tasks.len()
        ),
    }
}

fn in_folder(folder: &Path, task: &str, parts: &[&str], option: &str) -> anyhow::Result<PathBuf> {
    let inside = parts.iter().map(|part| folder.join(task).join(format!("{part}.jsonl")));
    let mut candidates = inside.chain([folder.join(format!("{task}.jsonl"))]);
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        anyhow::anyhow!(
            "{}: {option} found no data of {task} there: looked for {task}/{{{}}}.jsonl and {task}.jsonl\n  hint: name \
             the file itself",
            folder.display(),
            parts.join(",")
        )
    })
}
