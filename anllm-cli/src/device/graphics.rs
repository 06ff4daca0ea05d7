//! GPUs through graphics drivers: which adapters there are, and opening one.

use std::sync::OnceLock;

use burn_wgpu::WgpuDevice;
use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use wgpu::DeviceType;

/// Why there may be none.
pub(super) const NONE_FOUND: &str = "no graphics adapter was found (is a Vulkan driver installed?)";

/// A graphics adapter.
#[derive(Debug, Clone)]
pub(super) struct Adapter {
    /// Name, kind and driver, for people.
    pub(super) description: String,
    /// Whether it is a GPU rather than software.
    pub(super) hardware: bool,
    device: Option<WgpuDevice>,
}

/// All adapters of the platform's own graphics interface, in the driver's order.
pub(super) fn adapters() -> &'static [Adapter] {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    ADAPTERS.get_or_init(look)
}

fn look() -> Vec<Adapter> {
    let descriptor = wgpu::InstanceDescriptor {
        backends: AutoGraphicsApi::backend().into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let instance = wgpu::Instance::new(descriptor);
    let found = futures_lite::future::block_on(instance.enumerate_adapters(AutoGraphicsApi::backend().into()));
    let mut discrete = 0..;
    let mut integrated = 0..;
    let mut virtual_ones = 0..;
    found
        .iter()
        .map(|adapter| {
            let info = adapter.get_info();
            // The library numbers devices of each kind apart.
            let device = match info.device_type {
                DeviceType::DiscreteGpu => discrete.next().map(WgpuDevice::DiscreteGpu),
                DeviceType::IntegratedGpu => integrated.next().map(WgpuDevice::IntegratedGpu),
                DeviceType::VirtualGpu => virtual_ones.next().map(WgpuDevice::VirtualGpu),
                DeviceType::Cpu => Some(WgpuDevice::Cpu),
                DeviceType::Other => None,
            };
            let kind = match info.device_type {
                DeviceType::DiscreteGpu => "discrete GPU",
                DeviceType::IntegratedGpu => "integrated GPU",
                DeviceType::VirtualGpu => "virtual GPU",
                DeviceType::Cpu => "software",
                DeviceType::Other => "unknown kind",
            };
            Adapter {
                description: format!("{} ({kind}, {})", info.name, info.driver),
                hardware: !matches!(info.device_type, DeviceType::Cpu | DeviceType::Other),
                device,
            }
        })
        .collect()
}

/// The adapter with this number, or the best, with WebGPU shaders.
#[cfg(feature = "wgpu")]
pub(super) fn open_wgpu(index: Option<usize>) -> anyhow::Result<WgpuDevice> {
    choose("wgpu", index)
}

/// The adapter with this number, or the best, with SPIR-V.
#[cfg(feature = "vulkan")]
pub(super) fn open_vulkan(index: Option<usize>) -> anyhow::Result<WgpuDevice> {
    let device = choose("vulkan", index)?;
    burn_wgpu::init_setup::<burn_wgpu::graphics::Vulkan>(&device, Default::default());
    Ok(device)
}

fn choose(name: &str, index: Option<usize>) -> anyhow::Result<WgpuDevice> {
    let adapters = adapters();
    anyhow::ensure!(!adapters.is_empty(), "--device {name}: {NONE_FOUND}\n  hint: use --device cpu");
    // Without a number: hardware before software.
    let index = index.or_else(|| adapters.iter().position(|a| a.hardware)).unwrap_or(0);
    let Some(adapter) = adapters.get(index) else {
        anyhow::bail!(
            "--device {name}:{index}: there are {} adapters, numbered from 0\n  hint: `anllm devices` lists them",
            adapters.len()
        );
    };
    let description = &adapter.description;
    adapter.device.clone().ok_or_else(|| anyhow::anyhow!("--device {name}:{index}: {description} cannot compute"))
}
