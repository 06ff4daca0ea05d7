//! `cargo xtask valgrind`: the kernels' tests under Valgrind, which sees reads and writes outside of what was allocated,
//! and numbers that were never written. It knows no AVX-512: kernels take the vectors of AVX2 there.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::workspace::{cargo, succeeds};

/// Random cases of each property: every instruction takes some fifty times as long.
const CASES: &str = "4";

pub(crate) fn run(shell: &Shell) -> Result<()> {
    ensure!(
        succeeds(cmd!(shell, "valgrind --version")),
        "valgrind is not installed\nhint: install the package `valgrind`"
    );
    for program in programs(shell)? {
        let command = cmd!(shell, "valgrind --quiet --error-exitcode=99 --leak-check=no {program} --test-threads 1");
        command.env("PROPTEST_CASES", CASES).run().with_context(|| format!("{program} does not pass"))?;
    }
    Ok(())
}

/// The test programs of `anllm-kernels`, built.
fn programs(shell: &Shell) -> Result<Vec<String>> {
    let build = cargo(shell).args(["test", "-p", "anllm-kernels", "--no-run", "--message-format", "json"]);
    let lines = build.read()?;
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tests = messages.filter(|message| message["profile"]["test"] == true);
    let programs: Vec<String> = tests.filter_map(|test| test["executable"].as_str().map(str::to_owned)).collect();
    ensure!(!programs.is_empty(), "cargo built no tests of anllm-kernels");
    Ok(programs)
}
