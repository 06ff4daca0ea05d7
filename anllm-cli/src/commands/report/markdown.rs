//! The report as Markdown, with its figures as files beside it.

use std::path::Path;

use anyhow::Context;

use super::super::aside;
use super::sections::Section;
use crate::commands::eval::table;
use crate::figures::file;

/// Writes `to` and a folder of its name with the figures: the paths of all files.
pub(super) fn write(to: &Path, title: &str, sections: &[Section]) -> anyhow::Result<Vec<String>> {
    let folder = to.with_extension("");
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = format!("# {title}\n");
    let mut written = vec![to.display().to_string()];
    for section in sections {
        text.push_str(&format!("\n## {}\n", section.title));
        if !section.about.is_empty() {
            text.push_str(&format!("\n{}\n", section.about));
        }
        for figure in &section.figures {
            std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
            let path = folder.join(format!("{}.svg", figure.name));
            aside::write(&path, &file(&figure.svg))?;
            written.push(path.display().to_string());
            text.push_str(&format!("\n![{}]({name}/{}.svg)\n", figure.name, figure.name));
        }
        for shown in &section.tables {
            // A rule has bars of its own.
            let rows = shown.rows.iter().map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect());
            text.push_str(&format!("\n{}", table(&shown.columns, &rows.collect::<Vec<Vec<String>>>())));
        }
    }
    aside::write(to, &text)?;
    Ok(written)
}
