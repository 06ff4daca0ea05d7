//! What every task needs: the repository's root, Cargo, a Python, and steps with a title and a time.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;
use xshell::{Cmd, Shell, cmd};

/// The repository's root, whatever folder the task was started from.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// A shell that stands in [`root`].
pub(crate) fn shell() -> Result<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(root());
    Ok(shell)
}

/// Cargo, of the toolchain that started this task: rustup hands its choice down.
pub(crate) fn cargo(shell: &Shell) -> Cmd<'_> {
    shell.cmd("cargo")
}

/// The first Python 3 on the path that has the module `module`.
pub(crate) fn python_with(shell: &Shell, module: &str) -> Result<PathBuf> {
    ["python3", "python"]
        .into_iter()
        .find(|python| succeeds(cmd!(shell, "{python} -m {module} --help")))
        .map(PathBuf::from)
        .with_context(|| {
            format!("no Python 3 with `{module}` found\nhint: install python3 and python3-{module}, then try again")
        })
}

/// Whether a command can be started and exits with success; it prints nothing.
pub(crate) fn succeeds(command: Cmd<'_>) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

/// Runs one part of a task under a title and prints how long it took.
pub(crate) fn step(title: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("\n== {title}");
    let start = Instant::now();
    body().with_context(|| format!("failed: {title}"))?;
    eprintln!("== {title}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
