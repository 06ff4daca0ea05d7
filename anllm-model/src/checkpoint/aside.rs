//! Folders that are whole or not there: filled beside their place, then renamed.

use std::fs;
use std::path::Path;

use super::error::CheckpointError;

/// Fills a folder beside `folder`, on the same disk, and gives it the name once `fill` is done. What had the name
/// before is replaced; what a killed program left beside it is removed.
///
/// `fill` must see its files to the disk.
///
/// # Errors
/// Those of `fill`, and when folders cannot be made, moved or removed. What had the name keeps it then.
pub fn write_folder<T, E: From<CheckpointError>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let io = |action| move |e| CheckpointError::io(folder, action, e);
    let Some(name) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(CheckpointError::malformed(folder, "the path has no name of its own", "name a new folder").into());
    };
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (aside, old) = (parent.join(format!(".{name}.writing")), parent.join(format!(".{name}.old")));
    if old.exists() && !folder.exists() {
        // A program was killed between the two renames: the old folder has its name back until there is a new one.
        fs::rename(&old, folder).map_err(io("give the folder its name back"))?;
    }
    for left in [&aside, &old] {
        remove(left).map_err(io("remove what an interrupted program left beside it"))?;
    }
    fs::create_dir_all(&aside).map_err(io("create a folder beside it"))?;
    let filled = fill(&aside).and_then(|value| {
        let had = folder.exists();
        if had {
            fs::rename(folder, &old).map_err(io("move the folder that is there aside"))?;
        }
        if let Err(e) = fs::rename(&aside, folder) {
            if had {
                // The old one gets its name back; that the new one did not is what the user must hear.
                let _ = fs::rename(&old, folder);
            }
            return Err(io("move the finished folder into place")(e).into());
        }
        Ok(value)
    });
    let value = match filled {
        Ok(value) => value,
        Err(error) => {
            // Nothing half-written stays behind; why it failed is what the user must hear.
            let _ = remove(&aside);
            return Err(error);
        }
    };
    if let Ok(parent) = fs::File::open(parent) {
        // The name should survive a power cut too; file systems without this say so, and lose nothing by it.
        let _ = parent.sync_all();
    }
    remove(&old).map_err(io("remove the folder that was replaced"))?;
    Ok(value)
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write(folder: &Path, text: &str) -> Result<(), CheckpointError> {
        write_folder(folder, |aside| {
            fs::write(aside.join(text), text).unwrap();
            match text {
                "bad" => Err(CheckpointError::malformed(aside, "full", "make room")),
                _ => Ok(()),
            }
        })
    }

    #[test]
    fn a_folder_is_replaced_whole_or_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new/model");
        write(&folder, "first").unwrap();
        write(&folder, "second").unwrap();
        assert!(write(&folder, "bad").is_err());
        assert_eq!(names(&folder), ["second"]);
        assert_eq!(names(folder.parent().unwrap()), ["model"]);
    }

    #[test]
    fn a_folder_that_lost_its_name_gets_it_back() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("model");
        write(&folder, "first").unwrap();
        fs::rename(&folder, parent.path().join(".model.old")).unwrap();
        assert!(write(&folder, "bad").is_err());
        assert_eq!(names(&folder), ["first"]);
        assert_eq!(names(parent.path()), ["model"]);
    }

    #[test]
    fn what_a_killed_program_left_is_cleared_away() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join(".model.writing")).unwrap();
        fs::write(parent.path().join(".model.writing/half"), "half").unwrap();
        write(&parent.path().join("model"), "whole").unwrap();
        assert_eq!(names(parent.path()), ["model"]);
        assert_eq!(names(&parent.path().join("model")), ["whole"]);
    }
}
