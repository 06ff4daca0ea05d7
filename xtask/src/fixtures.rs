//! `cargo xtask fixtures`: the golden checkpoints in `testdata/`, from `scripts/fixtures.py`.

use crate::workspace;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

const SCRIPT: &str = "scripts/fixtures.py";
const REQUIREMENTS: &str = "scripts/fixtures-requirements.txt";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Regenerate elsewhere and compare, within the tolerance of floating point, instead of replacing
    #[arg(long)]
    check: bool,
    /// A Python that has the script's requirements [default: one made in the cache folder, with pip]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let python = match &options.python {
        // A bare name is looked up in PATH; anything else is relative to where the user stands.
        Some(python) if python.components().count() > 1 => std::path::absolute(python)?,
        Some(python) => python.clone(),
        None => environment(shell)?,
    };
    let testdata = workspace::root().join("testdata");
    let check = options.check.then_some("--check");
    Ok(cmd!(shell, "{python} {SCRIPT} {testdata} {check...}").run()?)
}

/// A virtual environment with the script's requirements; made on the first call, remade when they change.
fn environment(shell: &Shell) -> Result<PathBuf> {
    let folder = cache_folder()?.join("fixtures-venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = shell.read_file(REQUIREMENTS)?;
    // Written last: its presence says that the installation was finished, its content, of what.
    let installed = folder.join("installed.txt");
    if python.exists() && std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let system = workspace::python_with(shell, "venv")?;
    cmd!(shell, "{system} -m venv --clear {folder}").run()?;
    cmd!(shell, "{python} -m pip install --requirement {REQUIREMENTS}")
        .run()
        .context("pip could not install the script's requirements\nhint: --python PATH uses a Python that has them")?;
    shell.write_file(&installed, wanted)?;
    Ok(python)
}

fn cache_folder() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("no cache folder: set XDG_CACHE_HOME or HOME")?;
    Ok(base.join("anllm"))
}
