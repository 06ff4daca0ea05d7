//! Answers that are kept as they come, so that an interrupted run loses none.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anllm_eval::qa::{Answer, Prepared};
use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The answers of one task, in memory and, where there is a folder for them, in a file.
pub(super) struct Kept {
    file: Option<(PathBuf, File)>,
    /// By question.
    pub(super) answers: BTreeMap<usize, Answer>,
}

/// The file's first line: what the answers depend on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    fingerprint: String,
}

impl Kept {
    /// In memory alone.
    pub(super) fn nowhere() -> Self {
        Self { file: None, answers: BTreeMap::new() }
    }

    /// In the file `path`. With `resume` what it holds is taken over, if it comes from the same model, questions and
    /// settings, which `fingerprint` stands for.
    pub(super) fn open(path: PathBuf, fingerprint: String, prepared: &Prepared, resume: bool) -> anyhow::Result<Self> {
        let header = Header { format: 2, fingerprint };
        let shown = path.display().to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e).context(format!("{shown}: cannot read the answers of an interrupted run")),
        };
        // A line that was not finished is no answer.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        let found: Option<Header> = lines.next().and_then(|line| serde_json::from_str(line).ok());
        let mut answers = BTreeMap::new();
        if let (Some(found), true) = (&found, resume) {
            anyhow::ensure!(
                *found == header,
                "{shown}: these answers come from another model, other questions or other settings\n  hint: give the \
                 interrupted run's own options, or remove the file to start over"
            );
            let read = lines.filter_map(|line| serde_json::from_str::<Answer>(line).ok());
            let fits = |answer: &Answer| {
                let choices = prepared.questions.get(answer.question).map(|question| question.choices.len());
                choices == Some(answer.likelihoods.len()) && choices == Some(answer.greedy.len())
            };
            answers.extend(read.filter(fits).map(|answer| (answer.question, answer)));
        } else {
            let count = lines.count();
            anyhow::ensure!(
                resume || count == 0,
                "{shown} holds {count} answer(s) of an interrupted run\n  hint: --resume goes on with them; remove the \
                 file to start over"
            );
        }
        let mut kept = Self { file: None, answers };
        let file = kept.start(&path, &header, resume && found.is_some(), whole.len() as u64);
        kept.file = Some((path, file.with_context(|| format!("{shown}: cannot keep answers there"))?));
        Ok(kept)
    }

    fn start(&self, path: &PathBuf, header: &Header, go_on: bool, length: u64) -> std::io::Result<File> {
        if go_on {
            let file = OpenOptions::new().append(true).open(path)?;
            file.set_len(length)?;
            return Ok(file);
        }
        let mut file = File::create(path)?;
        writeln!(file, "{}", serde_json::to_string(header)?)?;
        Ok(file)
    }

    /// Takes an answer in.
    pub(super) fn push(&mut self, answer: Answer) -> anyhow::Result<()> {
        if let Some((path, file)) = &mut self.file {
            let line = serde_json::to_string(&answer)? + "\n";
            // In one piece: a killed program leaves whole lines.
            file.write_all(line.as_bytes()).with_context(|| format!("{}: cannot keep an answer", path.display()))?;
        }
        self.answers.insert(answer.question, answer);
        Ok(())
    }

    /// The results are written: the file is not needed any more.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.file {
            Some((path, _)) => fs::remove_file(&path).with_context(|| format!("{}: cannot be removed", path.display())),
            None => Ok(()),
        }
    }
}
