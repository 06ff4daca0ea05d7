//! `cargo xtask features`: every offered choice of backends compiles.
//!
//! Backends do not know each other, so each alone and all at once covers what can go wrong: code that only one of them
//! needs, and names that clash. The pairs between would cost time and find nothing. `cargo check` keeps the
//! dependencies' results between the choices, which are ordered so that each adds little to the one before.

use crate::workspace::{cargo, step};
use anyhow::{Result, ensure};
use xshell::Shell;

const BACKENDS: [&str; 5] = ["cpu", "ndarray", "wgpu", "vulkan", "cuda"];
/// Features that work with any backend.
const OTHERS: [&str; 1] = ["parquet"];

pub(crate) fn run(shell: &Shell) -> Result<()> {
    step("no backend at all is refused", || refuses_none(shell))?;
    for features in choices() {
        step(&format!("features {features}"), || Ok(check(shell).args(["--features", &features]).run()?))?;
    }
    Ok(())
}

fn choices() -> Vec<String> {
    BACKENDS.into_iter().map(String::from).chain([[&BACKENDS[..], &OTHERS[..]].concat().join(",")]).collect()
}

fn check(shell: &Shell) -> xshell::Cmd<'_> {
    cargo(shell).args(["check", "--package", "anllm-cli", "--no-default-features"])
}

/// A binary without a backend could do nothing: the build must say which features to choose from.
fn refuses_none(shell: &Shell) -> Result<()> {
    let output = check(shell).ignore_status().output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success(),
        "`--no-default-features` alone compiles; a `compile_error!` should name the features"
    );
    let names_one = BACKENDS.iter().any(|backend| message.contains(&format!("`{backend}`")));
    ensure!(names_one, "the build without a backend fails for another reason:\n{message}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_feature_of_the_binary_is_checked() {
        let manifest = std::fs::read_to_string(crate::workspace::root().join("anllm-cli/Cargo.toml")).unwrap();
        let features = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
        let offered: Vec<&str> =
            features.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim()).collect();
        for backend in BACKENDS {
            assert!(offered.contains(&backend), "anllm-cli has no feature {backend}");
        }
        for name in offered {
            assert!(
                name == "default" || BACKENDS.contains(&name) || OTHERS.contains(&name),
                "feature {name} is not checked"
            );
        }
    }
}
