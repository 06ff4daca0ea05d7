//! `anllm report`: runs of a folder as one page, and as Markdown with its figures.
//!
//! ```text
//! files ─► Found: rows by their measure, losses by their run ─► Section: text, tables, figures ─► page, Markdown
//! ```

mod found;
mod harness;
mod markdown;
mod page;
mod sections;

use serde_json::json;

use self::found::Found;
use super::aside;
use crate::args::ReportArgs;
use crate::output::Output;

pub(crate) fn run(args: &ReportArgs, output: &Output) -> anyhow::Result<()> {
    let to = args.to.clone().unwrap_or_else(|| args.runs.join("report.html"));
    let found = Found::read(&args.runs)?;
    aside::check(&to)?;
    args.markdown.as_deref().map_or(Ok(()), aside::check)?;
    let sections = sections::all(&found)?;
    anyhow::ensure!(
        !sections.is_empty(),
        "{}: {} file(s), but no run in them\n  hint: keep what `anllm eval … --json` prints in .jsonl files there, or the \
         folders of training runs",
        args.runs.display(),
        found.files
    );
    aside::write(&to, &page::page(&args.title, &sections))?;
    let mut written = vec![to.display().to_string()];
    if let Some(file) = &args.markdown {
        written.extend(markdown::write(file, &args.title, &sections)?);
    }
    for file in &written {
        output.note(&format!("wrote {file}"));
    }
    if !output.is_json() {
        return Ok(());
    }
    let figures: usize = sections.iter().map(|section| section.figures.len()).sum();
    let titles: Vec<&str> = sections.iter().map(|section| section.title).collect();
    output.json(&json!({ "files": found.files, "rows": found.rows.len(), "sections": titles, "figures": figures, "written": written }))
}
