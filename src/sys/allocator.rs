//! Where memory comes from in a program on musl (`glassbox-runtime`, rootfs-scripts/build-release).
//!
//! musl's own allocator takes pages from the kernel and gives them back one by one, 60 times in a start: mmap(2), munmap(2)
//! and a page fault each. This one takes 64 KiB at once.

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
