//! Where memory comes from in a program on musl (`glassbox-runtime`, rootfs-scripts/build-release).
//!
//! musl's own allocator takes pages from the kernel and gives them back one by one, 60 times in a start: mmap(2), munmap(2)
//! and a page fault each. This one takes 64 KiB at once. Its lock is one bit: a start has one thread, and a mutex that knows
//! of many was a quarter of its instructions.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

#[global_allocator]
static ALLOCATOR: Heap = Heap { taken: AtomicBool::new(false), heap: UnsafeCell::new(Dlmalloc::new()) };

/// The memory of this process, given out to one thread at a time.
struct Heap {
    taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: `heap` is reached by `with` alone, which lets one thread at a time at it.
unsafe impl Sync for Heap {}

impl Heap {
    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.taken.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: whoever set `taken` is alone with the heap until it clears it, and `work` below, calls of dlmalloc alone,
        // neither allocates by this allocator nor panics.
        let done = work(unsafe { &mut *self.heap.get() });
        self.taken.store(false, Ordering::Release);
        done
    }
}

// SAFETY: dlmalloc gives out blocks of the size and alignment that it is asked for, and keeps them until they are freed.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller asks for more than no bytes (GlobalAlloc::alloc).
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller passes a block of ours with the layout that it was asked for by (GlobalAlloc::dealloc).
        self.with(|heap| unsafe { heap.free(block, layout.size(), layout.align()) });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; `size` is not zero (GlobalAlloc::realloc).
        self.with(|heap| unsafe { heap.realloc(block, layout.size(), layout.align(), size) })
    }
}
