//! From a source's path to the files it means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Format, SourceConfig};
use super::error::DataError;

/// The path that means standard input.
pub(super) const STDIN: &str = "-";

/// A file and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) file: Arc<Path>,
    pub(super) format: Format,
}

/// The files of `config`, in the order of their paths; never none.
pub(super) fn find(config: &SourceConfig) -> Result<Vec<Input>, DataError> {
    let path = Path::new(&config.path);
    let files = if config.path == STDIN {
        vec![Input { file: path.into(), format: config.format.unwrap_or(Format::Text) }]
    } else if path.is_dir() {
        in_folder(path, config.format)?
    } else if path.exists() {
        vec![named(path, config.format)?]
    } else if config.path.contains(['*', '?', '[']) {
        matching(&config.path, config.format)?
    } else {
        return Err(DataError::NotFound { path: config.path.clone() });
    };
    for Input { file, format } in &files {
        if *format == Format::Parquet && **file == *Path::new(STDIN) {
            return Err(DataError::ParquetStdin);
        }
        if *format == Format::Parquet && !cfg!(feature = "parquet") {
            return Err(DataError::ParquetMissing { file: file.to_path_buf() });
        }
    }
    Ok(files)
}

/// A file that the user names is read, or it is an error.
fn named(file: &Path, format: Option<Format>) -> Result<Input, DataError> {
    match format.or_else(|| by_extension(file)) {
        Some(format) => Ok(Input { file: file.into(), format }),
        None => Err(DataError::UnknownFormat { file: file.to_path_buf(), known: Format::extensions(None) }),
    }
}

fn matching(pattern: &str, format: Option<Format>) -> Result<Vec<Input>, DataError> {
    let hits = glob::glob(pattern).map_err(|source| DataError::Pattern { path: pattern.to_owned(), source })?;
    let mut files = Vec::new();
    for hit in hits {
        let hit = hit.map_err(|e| {
            let file: Arc<Path> = e.path().into();
            DataError::io(&file, "read")(e.into())
        })?;
        if !hit.is_dir() {
            files.push(named(&hit, format)?);
        }
    }
    if files.is_empty() {
        return Err(DataError::NoMatch { path: pattern.to_owned() });
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(files)
}

/// A folder's files are those whose extension is known; others, such as a README without one, are passed over.
fn in_folder(folder: &Path, format: Option<Format>) -> Result<Vec<Input>, DataError> {
    let mut paths = Vec::new();
    walk(folder, &mut paths)?;
    paths.sort();
    let files: Vec<_> = paths
        .into_iter()
        .filter_map(|path| by_extension(&path).map(|format| Input { file: path.into(), format }))
        .filter(|input| format.is_none_or(|format| format == input.format))
        .collect();
    if files.is_empty() {
        let extensions = Format::extensions(format);
        return Err(DataError::NothingUsable { folder: folder.to_path_buf(), extensions });
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let failed = |e: io::Error| DataError::io(&folder.into(), "listed")(e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Linked files are read; linked folders are not entered, since they may lead back.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&entry.path(), files)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn by_extension(file: &Path) -> Option<Format> {
    Format::of_extension(file.extension()?.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn names(root: &Path, config: &SourceConfig) -> Vec<String> {
        let strip = |i: Input| i.file.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        find(config).unwrap().into_iter().map(strip).collect()
    }

    #[test]
    fn a_folder_gives_its_known_files_in_order() {
        let root = folder(&["b.txt", "a.jsonl", "sub/c.MD", ".hidden.txt", ".git/x.txt", "README", "d.png"]);
        let mut config = SourceConfig::new(root.path().display().to_string());
        assert_eq!(names(root.path(), &config), ["a.jsonl", "b.txt", "sub/c.MD"]);
        config.format = Some(Format::Text);
        assert_eq!(names(root.path(), &config), ["b.txt", "sub/c.MD"]);
    }

    #[test]
    fn a_pattern_gives_what_matches() {
        let root = folder(&["b.txt", "a.txt", "c.json", "sub/d.txt"]);
        let mut config = SourceConfig::new(root.path().join("*.txt").display().to_string());
        assert_eq!(names(root.path(), &config), ["a.txt", "b.txt"]);
        config.path = root.path().join("**/*.txt").display().to_string();
        assert_eq!(names(root.path(), &config), ["a.txt", "b.txt", "sub/d.txt"]);
    }

    #[test]
    fn errors_say_what_was_looked_for() {
        let root = folder(&["a.png"]);
        let error = |path: &Path| find(&SourceConfig::new(path.display().to_string())).unwrap_err().to_string();
        let text = error(root.path());
        assert!(text.contains("no file with one of the extensions .txt, .text, .md, .jsonl"), "{text}");
        assert!(error(&root.path().join("*.txt")).contains("no file matches"));
        assert!(error(&root.path().join("gone.txt")).contains("no such file"));
        assert!(error(&root.path().join("a.png")).contains("set the source's format"));
    }

    #[cfg(not(feature = "parquet"))]
    #[test]
    fn parquet_says_how_to_get_it() {
        let root = folder(&["a.parquet"]);
        let error = find(&SourceConfig::new(root.path().display().to_string())).unwrap_err().to_string();
        assert!(error.contains("a.parquet: this build does not read Parquet"), "{error}");
        assert!(error.contains("--features parquet"), "{error}");
    }
}
