//! `cargo xtask test`: the workspace's tests, then the backends beyond the default one.
//!
//! The GPU stack takes many minutes to compile, so all further backends are built once, together. Without a GPU they
//! run on Mesa's software Vulkan driver (lavapipe).

use crate::workspace::{cargo, step, succeeds};
use anyhow::Result;
use std::path::{Path, PathBuf};
use xshell::{Cmd, Shell};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what the default features build
    #[arg(long)]
    quick: bool,
    /// Skip the tests that need Vulkan, and compiling it
    #[arg(long)]
    no_gpu: bool,
    /// Only the tests on CUDA, for a machine with an NVIDIA device
    #[arg(long, conflicts_with_all = ["quick", "no_gpu"])]
    cuda: bool,
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let runner = Runner::find(shell);
    if options.cuda {
        return step("tests on cuda", || {
            let mut arguments = CUDA_TESTS.to_vec();
            if runner == Runner::Cargo {
                arguments.extend(["--", "cuda"]);
            } else {
                arguments.extend(["-E", "test(/^cuda::/)"]);
            }
            Ok(runner.command(shell).args(arguments).run()?)
        });
    }
    step("tests", || Ok(runner.command(shell).args(["--workspace", "--features", "anllm-cli/parquet"]).run()?))?;
    step("documentation examples", || Ok(cargo(shell).args(["test", "--workspace", "--doc"]).run()?))?;
    if options.quick {
        eprintln!("skipped: the other backends (--quick)");
        return Ok(());
    }
    match Vulkan::choose(options) {
        Vulkan::Driver(driver) => step("tests on ndarray, wgpu and vulkan (software Vulkan)", || {
            // Both names: loaders before 1.3.207 know only the second.
            let command = backend_tests(shell, runner, &GPU_TESTS);
            Ok(command.env("VK_DRIVER_FILES", &driver).env("VK_ICD_FILENAMES", &driver).run()?)
        }),
        Vulkan::Chosen => step("tests on ndarray, wgpu and vulkan (the driver in VK_DRIVER_FILES)", || {
            Ok(backend_tests(shell, runner, &GPU_TESTS).run()?)
        }),
        Vulkan::Skipped(reason) => {
            step("tests on ndarray", || Ok(backend_tests(shell, runner, &CPU_TESTS).run()?))?;
            eprintln!("skipped: tests on wgpu and vulkan ({reason})");
            Ok(())
        }
    }
}

/// The program that runs tests: nextest where it is installed, for its time limits and its serial GPU group.
#[derive(Clone, Copy, PartialEq)]
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    fn find(shell: &Shell) -> Self {
        if succeeds(cargo(shell).args(["nextest", "--version"])) { Self::Nextest } else { Self::Cargo }
    }

    /// Runs tests, without documentation examples.
    fn command(self, shell: &Shell) -> Cmd<'_> {
        match self {
            Self::Nextest => cargo(shell).args(["nextest", "run"]),
            Self::Cargo => cargo(shell).args(["test", "--tests"]),
        }
    }
}

/// The binary's tests on ndarray.
const CPU_TESTS: [&str; 4] = ["--package", "anllm-cli", "--features", "anllm-cli/ndarray"];

/// The binary's tests on further backends, and those of the kernels for GPUs.
const GPU_TESTS: [&str; 6] = [
    "--package",
    "anllm-cli",
    "--package",
    "anllm-kernels",
    "--features",
    "anllm-cli/ndarray,anllm-cli/wgpu,anllm-cli/vulkan,anllm-kernels/vulkan",
];

/// The same on an NVIDIA device.
const CUDA_TESTS: [&str; 6] =
    ["--package", "anllm-cli", "--package", "anllm-kernels", "--features", "anllm-cli/cuda,anllm-kernels/cuda"];

fn backend_tests<'a>(shell: &'a Shell, runner: Runner, arguments: &[&str]) -> Cmd<'a> {
    let command = runner.command(shell).args(arguments);
    match runner {
        Runner::Nextest => command,
        // A software GPU uses every core already.
        Runner::Cargo => command.args(["--", "--test-threads", "1"]),
    }
}

enum Vulkan {
    /// Lavapipe's manifest, to be named to the Vulkan loader.
    Driver(PathBuf),
    /// The environment names a driver already.
    Chosen,
    Skipped(&'static str),
}

impl Vulkan {
    fn choose(options: &Options) -> Self {
        if options.no_gpu {
            return Self::Skipped("--no-gpu");
        }
        if ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some()) {
            return Self::Chosen;
        }
        let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
        folders.iter().find_map(|folder| lavapipe_in(Path::new(folder))).map_or(
            Self::Skipped("no software Vulkan driver; on Debian: apt-get install mesa-vulkan-drivers"),
            Self::Driver,
        )
    }
}

/// Lavapipe's manifest in a folder of Vulkan drivers: `lvp_icd.json`, or with the processor in its name.
fn lavapipe_in(folder: &Path) -> Option<PathBuf> {
    let is_lavapipe = |name: &str| name.starts_with("lvp_icd") && name.ends_with(".json");
    let paths = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_lavapipe)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lavapipe_is_found_among_other_drivers() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(lavapipe_in(folder.path()), None);
        for name in ["intel_icd.x86_64.json", "lvp_icd.x86_64.json", "lvp_icd.x86_64.json.bak"] {
            std::fs::write(folder.path().join(name), "{}").unwrap();
        }
        assert_eq!(lavapipe_in(folder.path()), Some(folder.path().join("lvp_icd.x86_64.json")));
        assert_eq!(lavapipe_in(&folder.path().join("nowhere")), None);
    }
}
