//! Whether there is an NVIDIA driver. Creating a CUDA device without one panics deep inside its library, so that the
//! driver is asked first.

use std::ffi::c_int;

use burn_cuda::CudaDevice;
use libloading::Library;

/// How many devices the driver reports.
///
/// # Errors
/// A sentence that says why CUDA cannot be used.
pub(super) fn count() -> Result<usize, String> {
    let names = if cfg!(windows) { ["nvcuda.dll", "nvcuda.dll"] } else { ["libcuda.so.1", "libcuda.so"] };
    // SAFETY: these are the names of NVIDIA's driver library, whose initialisers are those that every CUDA program
    // runs; nothing of ours is unloaded by them.
    #[allow(unsafe_code)]
    let library = names.into_iter().find_map(|name| unsafe { Library::new(name) }.ok());
    let Some(library) = library else {
        return Err(format!("the NVIDIA driver is not installed ({} was not found)", names[0]));
    };
    let mut count: c_int = 0;
    // SAFETY: `cuInit(unsigned int) -> int` and `cuDeviceGetCount(int*) -> int` have had these C signatures since the
    // driver API's first version. The pointer is to a live local, and the symbols do not outlive the library.
    #[allow(unsafe_code)]
    let outcome = unsafe {
        let init = library.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0");
        let device_count = library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0");
        match (init, device_count) {
            (Ok(init), Ok(device_count)) => match init(0) {
                0 => Ok(device_count(&raw mut count)),
                code => Err(format!("the NVIDIA driver does not start (cuInit answered {code})")),
            },
            _ => Err("the NVIDIA driver library lacks cuInit or cuDeviceGetCount".to_owned()),
        }
    };
    match outcome? {
        0 => Ok(usize::try_from(count).unwrap_or(0)),
        code => Err(format!("the NVIDIA driver does not list devices (cuDeviceGetCount answered {code})")),
    }
}

/// The device with this number.
pub(super) fn open(index: usize) -> anyhow::Result<CudaDevice> {
    let count = count().map_err(|reason| {
        anyhow::anyhow!("--device cuda:{index}: {reason}\n  hint: use --device cpu, or install the NVIDIA driver")
    })?;
    anyhow::ensure!(
        index < count,
        "--device cuda:{index}: the NVIDIA driver reports {count} device(s), numbered from 0\n  \
         hint: `anllm devices` lists them"
    );
    Ok(CudaDevice::new(index))
}
