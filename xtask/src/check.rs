//! `cargo xtask check`: everything a change must pass, cheapest first.

use crate::workspace::{cargo, step};
use crate::{readme, test};
use anyhow::Result;
use xshell::Shell;

pub(crate) fn run(shell: &Shell, options: &test::Options) -> Result<()> {
    step("format", || Ok(cargo(shell).args(["fmt", "--all", "--check"]).run()?))?;
    step("lints", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        Ok(cargo(shell).args(arguments).run()?)
    })?;
    step("documentation", || {
        let arguments = ["doc", "--workspace", "--no-deps"];
        Ok(cargo(shell).args(arguments).env("RUSTDOCFLAGS", "-D warnings").run()?)
    })?;
    test::run(shell, options)?;
    readme::run(shell)
}
