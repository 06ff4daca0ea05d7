//! `anllm train`.

use std::path::PathBuf;

use clap::Args;

use crate::device::DeviceChoice;

/// Options of `anllm train`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrainArgs {
    /// The run's settings, a TOML file.
    #[arg(long, env = "ANLLM_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// Change one setting: `--set train.steps=500`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Go on from a checkpoint: `auto` takes the newest of the run's folder, if there is one.
    #[arg(long, env = "ANLLM_RESUME", value_name = "auto|PATH")]
    pub(crate) resume: Option<PathBuf>,

    /// Say what would be trained, and on what, without training.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Where to compute: auto, cpu, ndarray, cuda[:N], wgpu[:N] or vulkan[:N].
    #[arg(long, env = "ANLLM_DEVICE", value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,

    /// Threads of the CPU backends; 0 takes all.
    #[arg(long, env = "ANLLM_THREADS", value_name = "N", default_value_t = 0)]
    pub(crate) threads: usize,
}
