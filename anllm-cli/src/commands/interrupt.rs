//! Ctrl-C and SIGTERM: what is there is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that an interrupt sets, for a command that is all one work: it looks at the flag between steps, keeps what is done,
/// and ends. A second one ends the program at once.
pub(crate) fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    // Without a handler, an interrupt ends the program at once, which is no worse than before.
    let _ = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    flag
}

/// For a command that works now and then: whether an interrupt came, and whether anything is going on that it could break off.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    came: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

impl Interrupt {
    /// Watches for interrupts. Where nothing is going on, and the second time, one ends the program.
    pub(super) fn watch() -> Self {
        let interrupt = Self { came: Arc::default(), busy: Arc::default() };
        let handler = interrupt.clone();
        // Without a handler, an interrupt ends the program at once, which is no worse than before.
        let _ = ctrlc::set_handler(move || {
            if !handler.busy.load(Ordering::Relaxed) || handler.came.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        interrupt
    }

    /// Work that can be broken off begins: interrupts from now on count.
    pub(super) fn begin(&self) {
        self.came.store(false, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    /// Whether one came since work began.
    pub(super) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}
