//! The devices that kernels are tested on: what each shader language is for, and where there is one.

use anllm_kernels::Kernels;
use burn::tensor::Device;

/// Devices whose kernels are written in one language.
pub(crate) trait Gpu {
    type Backend: Kernels;

    /// Its device; `None`, with a line that says why, where there is none.
    fn device() -> Option<Device<Self::Backend>>;
}

#[cfg(feature = "vulkan")]
pub(crate) use shaders::{SpirV, Wgsl};

#[cfg(feature = "vulkan")]
mod shaders {
    use std::sync::OnceLock;

    use burn_cubecl::cubecl::Runtime;
    use burn_wgpu::graphics::{GraphicsApi, Vulkan, WebGpu};
    use burn_wgpu::{Wgpu, WgpuDevice, WgpuRuntime, WgpuSetup, init_device, init_setup};

    use super::Gpu;

    /// Booleans of 32 bits suit both languages.
    type Shaders = Wgpu<f32, i32, u32>;

    /// Any Vulkan driver, by SPIR-V.
    pub(crate) struct SpirV;

    /// The same driver, by WebGPU's language.
    pub(crate) struct Wgsl;

    impl Gpu for SpirV {
        type Backend = Shaders;

        fn device() -> Option<WgpuDevice> {
            devices().map(|[spirv, _]| spirv.clone())
        }
    }

    impl Gpu for Wgsl {
        type Backend = Shaders;

        fn device() -> Option<WgpuDevice> {
            devices().map(|[_, wgsl]| wgsl.clone())
        }
    }

    fn devices() -> Option<&'static [WgpuDevice; 2]> {
        static DEVICES: OnceLock<Option<[WgpuDevice; 2]>> = OnceLock::new();
        DEVICES.get_or_init(open).as_ref()
    }

    fn open() -> Option<[WgpuDevice; 2]> {
        if WgpuRuntime::enumerate_all_devices(&Vulkan::backend()).is_empty() {
            eprintln!("skipped: no Vulkan driver");
            return None;
        }
        let spirv = WgpuDevice::DefaultDevice;
        let setup = init_setup::<Vulkan>(&spirv, Default::default());
        // The compiler is chosen by the interface's name; the driver below takes what either gives.
        let wgsl = init_device(WgpuSetup { backend: WebGpu::backend(), ..setup }, Default::default());
        let names = [&spirv, &wgsl].map(|device| WgpuRuntime::name(&WgpuRuntime::client(device)));
        assert_eq!(names, ["wgpu<spirv>", "wgpu<wgsl>"]);
        Some([spirv, wgsl])
    }
}

/// The first NVIDIA device, by CUDA.
#[cfg(feature = "cuda")]
pub(crate) struct Cuda;

#[cfg(feature = "cuda")]
impl Gpu for Cuda {
    type Backend = burn_cuda::Cuda<f32, i32>;

    fn device() -> Option<burn_cuda::CudaDevice> {
        use burn_cubecl::cubecl::{Runtime, cuda::CudaRuntime};
        // Where there is no driver, looking for it panics.
        let devices = std::panic::catch_unwind(|| CudaRuntime::enumerate_all_devices(&())).unwrap_or_default();
        if devices.is_empty() {
            eprintln!("skipped: no NVIDIA driver or device");
            return None;
        }
        Some(burn_cuda::CudaDevice::new(0))
    }
}
