//! Which devices there are, which is best, and why one is not usable.

use serde::Serialize;

use super::DeviceChoice;

/// A line of `anllm devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeviceRow {
    /// What to give to `--device`.
    pub(crate) device: String,
    /// The backend's name.
    pub(crate) backend: &'static str,
    /// The device's own name.
    pub(crate) name: String,
    /// Whether it can be used now.
    pub(crate) usable: bool,
    /// Why not.
    pub(crate) reason: Option<String>,
}

/// All of `anllm devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Backends {
    /// What `auto` means here.
    pub(crate) auto: String,
    /// Every backend, with its devices.
    pub(crate) devices: Vec<DeviceRow>,
}

/// Looks for devices of every backend.
pub(crate) fn devices() -> Backends {
    let mut rows = Vec::new();
    rows.push(row("cpu", "Flex", compiled("cpu"), host_name()));
    rows.push(row("ndarray", "ndarray", compiled("ndarray"), host_name()));
    rows.extend(cuda_rows());
    rows.extend(graphics_rows("wgpu", "WebGPU"));
    rows.extend(graphics_rows("vulkan", "Vulkan"));
    Backends { auto: best().to_string(), devices: rows }
}

/// What `auto` means: an NVIDIA GPU, else a hardware GPU through Vulkan or WebGPU, else the CPU. Software
/// adapters are never chosen: the CPU backends are faster.
pub(crate) fn best() -> DeviceChoice {
    #[cfg(feature = "cuda")]
    if super::cuda::count().is_ok_and(|count| count > 0) {
        return DeviceChoice::Cuda(0);
    }
    #[cfg(any(feature = "wgpu", feature = "vulkan"))]
    if let Some(index) = super::graphics::adapters().iter().position(|a| a.hardware) {
        return if cfg!(feature = "vulkan") {
            DeviceChoice::Vulkan(Some(index))
        } else {
            DeviceChoice::Wgpu(Some(index))
        };
    }
    if cfg!(feature = "cpu") {
        DeviceChoice::Cpu
    } else if cfg!(feature = "ndarray") {
        DeviceChoice::Ndarray
    } else if cfg!(feature = "vulkan") {
        DeviceChoice::Vulkan(None)
    } else if cfg!(feature = "wgpu") {
        DeviceChoice::Wgpu(None)
    } else {
        DeviceChoice::Cuda(0)
    }
}

/// The error for a backend that this program was built without.
pub(super) fn not_compiled_in(choice: DeviceChoice) -> anyhow::Error {
    let text = choice.to_string();
    let feature = text.split(':').next().unwrap_or_default();
    anyhow::anyhow!(
        "--device {choice}: this anllm was built without that backend\n  \
         hint: build with `cargo build --release --features {feature}`; `anllm devices` lists what is there"
    )
}

fn compiled(feature: &str) -> Result<(), String> {
    let there = match feature {
        "cpu" => cfg!(feature = "cpu"),
        "ndarray" => cfg!(feature = "ndarray"),
        "wgpu" => cfg!(feature = "wgpu"),
        "vulkan" => cfg!(feature = "vulkan"),
        _ => cfg!(feature = "cuda"),
    };
    if there { Ok(()) } else { Err(format!("not compiled in (feature `{feature}`)")) }
}

fn row(device: &str, backend: &'static str, usable: Result<(), String>, name: String) -> DeviceRow {
    DeviceRow { device: device.to_owned(), backend, name, usable: usable.is_ok(), reason: usable.err() }
}

fn host_name() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} with {threads} threads", std::env::consts::ARCH)
}

#[cfg(feature = "cuda")]
fn cuda_rows() -> Vec<DeviceRow> {
    match super::cuda::count() {
        Ok(0) => vec![row("cuda", "CUDA", Err("the NVIDIA driver reports no devices".to_owned()), String::new())],
        Ok(count) => (0..count).map(|n| row(&format!("cuda:{n}"), "CUDA", Ok(()), format!("NVIDIA GPU {n}"))).collect(),
        Err(reason) => vec![row("cuda", "CUDA", Err(reason), String::new())],
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_rows() -> Vec<DeviceRow> {
    vec![row("cuda", "CUDA", compiled("cuda"), String::new())]
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn graphics_rows(device: &'static str, backend: &'static str) -> Vec<DeviceRow> {
    if let Err(reason) = compiled(device) {
        return vec![row(device, backend, Err(reason), String::new())];
    }
    let adapters = super::graphics::adapters();
    if adapters.is_empty() {
        return vec![row(device, backend, Err(super::graphics::NONE_FOUND.to_owned()), String::new())];
    }
    let numbered = adapters.iter().enumerate();
    numbered.map(|(n, a)| row(&format!("{device}:{n}"), backend, Ok(()), a.description.clone())).collect()
}

#[cfg(not(any(feature = "wgpu", feature = "vulkan")))]
fn graphics_rows(device: &'static str, backend: &'static str) -> Vec<DeviceRow> {
    vec![row(device, backend, compiled(device), String::new())]
}
