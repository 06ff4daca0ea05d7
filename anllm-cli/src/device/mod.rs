//! From a device's name to a Burn backend: the one place in the program that knows which backends there are.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
mod graphics;
mod list;

use std::fmt;
use std::str::FromStr;

use anllm_kernels::Kernels;

pub(crate) use list::{DeviceRow, devices};

#[cfg(not(any(feature = "cpu", feature = "ndarray", feature = "wgpu", feature = "vulkan", feature = "cuda")))]
compile_error!("anllm needs a backend: enable `cpu`, `ndarray`, `wgpu`, `vulkan` or `cuda`");

/// What `--device` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// The best that is there.
    Auto,
    /// Flex.
    Cpu,
    /// ndarray.
    Ndarray,
    /// An NVIDIA GPU by number.
    Cuda(usize),
    /// An adapter by number, through WebGPU shaders; without one the best.
    Wgpu(Option<usize>),
    /// An adapter by number, through Vulkan and SPIR-V; without one the best.
    Vulkan(Option<usize>),
}

/// Work that runs on any backend.
pub(crate) trait Task: Send {
    /// What it returns.
    type Output: Send;

    /// Runs on `device` of `B`.
    fn run<B: Kernels>(self, device: B::Device) -> anyhow::Result<Self::Output>;
}

/// Runs `task` where `choice` says.
///
/// # Errors
/// When the backend is not compiled in or the device is not there, and whatever the task returns.
pub(crate) fn run_on<T: Task>(choice: DeviceChoice, task: T) -> anyhow::Result<T::Output> {
    match choice {
        DeviceChoice::Auto => run_on(list::best(), task),
        #[cfg(feature = "cpu")]
        DeviceChoice::Cpu => among_workers(|| task.run::<burn_flex::Flex>(Default::default())),
        #[cfg(feature = "ndarray")]
        DeviceChoice::Ndarray => among_workers(|| task.run::<burn_ndarray::NdArray<f32>>(Default::default())),
        #[cfg(feature = "cuda")]
        DeviceChoice::Cuda(index) => task.run::<burn_cuda::Cuda<f32, i32>>(cuda::open(index)?),
        #[cfg(feature = "wgpu")]
        DeviceChoice::Wgpu(index) => task.run::<burn_wgpu::Wgpu>(graphics::open_wgpu(index)?),
        #[cfg(feature = "vulkan")]
        DeviceChoice::Vulkan(index) => task.run::<burn_wgpu::Vulkan>(graphics::open_vulkan(index)?),
        #[allow(unreachable_patterns)]
        missing => Err(list::not_compiled_in(missing)),
    }
}

/// Runs `work` on a thread of the pool that kernels share their work out in. From outside, each of a token's hundreds of
/// small kernels would wake the pool and sleep until it is done.
#[cfg(any(feature = "cpu", feature = "ndarray"))]
fn among_workers<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => {
                let index = index.parse().map_err(|_| format!("`{index}` in `{text}` is not a device number"))?;
                (name, Some(index))
            }
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("ndarray", None) => Ok(Self::Ndarray),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("vulkan", index) => Ok(Self::Vulkan(index)),
            ("auto" | "cpu" | "ndarray", Some(_)) => Err(format!("`{name}` takes no device number")),
            _ => Err(format!("`{text}` is not a device (expected auto, cpu, ndarray, cuda[:N], wgpu[:N], vulkan[:N])")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, name: &str, index: &Option<usize>| match index {
            Some(index) => write!(f, "{name}:{index}"),
            None => f.write_str(name),
        };
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Ndarray => f.write_str("ndarray"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu(index) => with(f, "wgpu", index),
            Self::Vulkan(index) => with(f, "vulkan", index),
        }
    }
}
