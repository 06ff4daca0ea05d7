//! How much memory the program takes, as the system counts it.

use serde::Serialize;

/// Bytes of the program in memory. A GPU's own memory is not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Now; none where the system does not say.
    pub(crate) memory_bytes: Option<u64>,
    /// The most there ever were.
    pub(crate) peak_memory_bytes: Option<u64>,
}

impl Memory {
    /// As it is now.
    #[cfg(target_os = "linux")]
    pub(crate) fn now() -> Self {
        let status = procfs::process::Process::myself().and_then(|process| process.status()).ok();
        let bytes = |kilobytes: Option<u64>| kilobytes.map(|k| k * 1024);
        Self {
            memory_bytes: bytes(status.as_ref().and_then(|s| s.vmrss)),
            peak_memory_bytes: bytes(status.as_ref().and_then(|s| s.vmhwm)),
        }
    }

    /// As it is now.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now() -> Self {
        Self::default()
    }

    /// Counts the most from now on, where the system can.
    pub(crate) fn forget_peak() {
        // Writing 5 resets the high-water mark of the process that asks; elsewhere there is no such file.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }

    /// For a table.
    pub(crate) fn show(bytes: Option<u64>) -> String {
        bytes.map_or("-".to_owned(), |count| crate::output::bytes(count as usize))
    }
}
