//! Debug builds end the child when it allocates between clone3(2) and execve(2).
//!
//! The child of a single-threaded process could allocate; that it does not keeps its memory pages shared with the
//! parent, its time predictable, and the plan honest: what a step needs was prepared before.

use std::sync::atomic::{AtomicBool, Ordering};

static IN_CHILD: AtomicBool = AtomicBool::new(false);

/// From here on, an allocation ends the process (debug builds).
pub(super) fn forbid() {
    IN_CHILD.store(true, Ordering::Relaxed);
}

#[cfg(debug_assertions)]
mod guard {
    use super::*;
    use std::alloc::{GlobalAlloc, Layout, System};

    struct Guard;

    #[global_allocator]
    static GUARD: Guard = Guard;

    fn check() {
        if IN_CHILD.load(Ordering::Relaxed) {
            // Not through a panic: that would allocate.
            let _ = rustix::io::write(rustix::stdio::stderr(), b"glassbox: allocation between clone3 and execve\n");
            std::process::abort();
        }
    }

    // SAFETY: every method hands its arguments to the system allocator unchanged, so its contract is kept by ours.
    unsafe impl GlobalAlloc for Guard {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            check();
            // SAFETY: the caller upholds alloc's contract, which is System's.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            check();
            // SAFETY: `pointer` came from `alloc` above, that is from System, with this layout.
            unsafe { System.dealloc(pointer, layout) }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            check();
            // SAFETY: `pointer` came from System with this layout; the caller upholds the size rule.
            unsafe { System.realloc(pointer, layout, new_size) }
        }
    }
}
