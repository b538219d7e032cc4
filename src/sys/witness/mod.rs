//! What processes have done, call by call, in memory that they share: what `--narrate` tells.
//!
//! Between clone3(2) and execve(2) nothing may allocate, and behind a system call filter nothing may call the kernel. So
//! the memory is mapped before, and a record is written without a system call; whoever tells looks for new ones from time
//! to time. Without a [`Witness`] every function here is one load and one branch.
//!
//! Recorded is what changes something that others can see, or that the program inherits: tests/vm/honest.rs has the list.

mod record;

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use record::{Answer, Arg, Bits, Outcome, Shown};

use super::call::{Call, Failure};
use super::clone::last_errno;
use record::Raw;

/// Records that are not read yet; a writer waits when there are more.
const SLOTS: u64 = 1024;

/// Steps at which a process can be told to stop, counted from 0.
const STEPS: usize = 4096;

/// How often a waiting process looks before it goes on all the same: some seconds. Its reader may have been killed.
const PATIENCE: u32 = 1 << 27;

/// Which process did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Who {
    /// The one that has the [`Witness`].
    Runtime,
    /// The process in between.
    Between,
    /// The container's process.
    Process,
    /// A hook, before it is the hook's program.
    Hook,
    /// Another program that we need, before it is that program, or a process that keeps a namespace for us.
    Helper,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which process.
    pub who: Who,
    /// The lane and the index of the step that it does; `u32::MAX` between steps.
    pub step: (u8, u32),
    /// Nanoseconds of CLOCK_MONOTONIC; none where looking at a clock could be a forbidden system call.
    pub at: Option<u64>,
    /// What.
    pub what: What,
}

/// What a record says, beside who and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The step begins.
    Began,
    /// A call was made.
    Made {
        /// Which.
        call: Call,
        /// With what.
        arguments: Vec<Shown>,
        /// What came of it.
        outcome: Outcome,
    },
    /// The step is done.
    Ended,
    /// The step has failed.
    Failed,
    /// The process waits to be released.
    Stopped,
}

#[repr(C)]
struct Shared {
    next: AtomicU64,
    read: AtomicU64,
    /// How many have been released.
    released: AtomicU64,
    lost: AtomicU64,
    /// Nobody reads any more.
    closed: AtomicBool,
    stops: [AtomicU64; STEPS / 64],
    slots: [Slot; SLOTS as usize],
}

#[repr(C)]
struct Slot {
    /// The record's number, counted from 1, once it is written.
    ready: AtomicU64,
    raw: UnsafeCell<MaybeUninit<Raw>>,
}

thread_local! {
    /// Of this thread alone, and of the processes that it makes: no other thread's calls are told as ours.
    static SHARED: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
    static SELF: Cell<Myself> = const { Cell::new(Myself { who: Who::Runtime, lane: 0, index: u32::MAX, blind: false }) };
}

/// What this process is, and does. A new process begins with its maker's.
#[derive(Clone, Copy)]
struct Myself {
    who: Who,
    lane: u8,
    index: u32,
    blind: bool,
}

/// The reader. While there is one, this thread and the processes that it makes record what they do.
#[derive(Debug)]
pub struct Witness(PhantomData<*const ()>);

impl Witness {
    /// Begins to record. There is one reader at a time: a second one is refused (EBUSY).
    pub fn call() -> Result<Witness, Failure> {
        let refused = Call::Mmap.failed(rustix::io::Errno::BUSY);
        if shared().is_some() {
            return Err(refused);
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // Populated now: what a process touches first is charged to its own cgroup, whose limit may be small.
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new anonymous mapping overlaps nothing.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Shared>(), protection, flags, -1, 0) };
        if map == libc::MAP_FAILED {
            return Err(Call::Mmap.failed(last_errno()));
        }
        SHARED.set(map.cast_const().cast());
        Ok(Witness(PhantomData))
    }

    /// The next record; none where there is none yet. With `all`, ones that were never finished are passed over: their
    /// writer is dead.
    pub fn next(&mut self, all: bool) -> Option<Seen> {
        let shared = shared()?;
        loop {
            let number = shared.read.load(Ordering::Relaxed);
            if number == shared.next.load(Ordering::Acquire) {
                return None;
            }
            let slot = &shared.slots[(number % SLOTS) as usize];
            let ready = slot.ready.load(Ordering::Acquire) == number + 1;
            if !ready && !all {
                return None;
            }
            // SAFETY: `ready` says that the writer of this slot is done with it, and no other writes it before `read` has
            // passed it; every field is a plain number.
            let raw = ready.then(|| unsafe { (*slot.raw.get()).assume_init() });
            shared.read.store(number + 1, Ordering::Release);
            if let Some(seen) = raw.and_then(|raw| seen(&raw)) {
                return Some(seen);
            }
        }
    }

    /// How many calls found no place.
    pub fn lost(&self) -> u64 {
        shared().map_or(0, |shared| shared.lost.load(Ordering::Relaxed))
    }

    /// Has processes stop before the step with this number, or not any more.
    pub fn stop_at(&self, number: usize, stop: bool) {
        let Some(word) = shared().and_then(|shared| shared.stops.get(number / 64)) else { return };
        match stop {
            true => word.fetch_or(1 << (number % 64), Ordering::Relaxed),
            false => word.fetch_and(!(1 << (number % 64)), Ordering::Relaxed),
        };
    }

    /// Lets the process that has stopped go on.
    pub fn release(&self) {
        if let Some(shared) = shared() {
            shared.released.fetch_add(1, Ordering::Release);
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(shared) = shared() {
            shared.closed.store(true, Ordering::Release);
        }
        let map = SHARED.replace(std::ptr::null());
        // SAFETY: the mapping was made by `call` with this size, in this thread (a Witness cannot be sent to another), and
        // nothing of it is borrowed: every function of this module takes the pointer anew.
        unsafe { libc::munmap(map.cast_mut().cast(), size_of::<Shared>()) };
    }
}

fn shared() -> Option<&'static Shared> {
    // SAFETY: the pointer is null, or that of a mapping of this size and alignment (a page's), zeroed at first, which is
    // a valid Shared; it stays until `Witness` is dropped.
    unsafe { SHARED.get().as_ref() }
}

/// Says which process this is, from now on.
pub fn i_am(who: Who) {
    SELF.set(Myself { who, ..SELF.get() });
}

/// From here on this process looks at no clock: a system call filter may forbid what that takes on some machines.
pub fn go_blind() {
    SELF.set(Myself { blind: true, ..SELF.get() });
}

/// A step begins. `number` is what [`Witness::stop_at`] knows it by.
pub fn begin(lane: u8, index: u32, number: usize) {
    let Some(shared) = shared() else { return };
    SELF.set(Myself { lane, index, ..SELF.get() });
    let stops = shared.stops.get(number / 64).map_or(0, |word| word.load(Ordering::Relaxed));
    if stops >> (number % 64) & 1 == 1 {
        stop(shared);
    }
    record(shared, 1, |_| {});
}

/// What this process does from now on belongs to a step that another one is at; `u32::MAX`: to none any more.
pub fn beside(lane: u8, index: u32) {
    SELF.set(Myself { lane, index, ..SELF.get() });
}

/// The step is over.
pub fn end(failed: bool) {
    let Some(shared) = shared() else { return };
    record(shared, if failed { 4 } else { 3 }, |_| {});
    SELF.set(Myself { index: u32::MAX, ..SELF.get() });
}

/// A call was made.
pub fn tell(call: Call, arguments: &[Arg<'_>], outcome: Outcome) {
    if let Some(shared) = shared() {
        record(shared, 2, |raw| raw.put(call, arguments, outcome));
    }
}

/// A call that does not come back when it succeeds is about to be made. The container's process waits here until it has
/// been read: what is told of a start is told before the program says its first word.
pub fn tell_the_last(call: Call, arguments: &[Arg<'_>]) {
    let Some(shared) = shared() else { return };
    record(shared, 2, |raw| raw.put(call, arguments, Outcome::Gone));
    let number = shared.next.load(Ordering::Acquire);
    if SELF.get().who == Who::Process {
        wait(shared, || shared.read.load(Ordering::Acquire) >= number);
    }
}

/// Looks until it is so, without a system call.
fn wait(shared: &Shared, is_so: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if is_so() || shared.closed.load(Ordering::Acquire) {
            return;
        }
        std::hint::spin_loop();
    }
}

/// A place for a record that is written later: what a new process records comes behind the call that made it.
#[derive(Debug)]
pub struct Place(Option<u64>);

impl Place {
    /// The next one.
    pub fn reserve() -> Place {
        Place(shared().and_then(reserve))
    }

    /// Writes it.
    pub fn tell(self, call: Call, arguments: &[Arg<'_>], outcome: Outcome) {
        if let (Some(shared), Some(number)) = (shared(), self.0) {
            write(shared, number, 2, |raw| raw.put(call, arguments, outcome));
        }
    }
}

/// Without a system call, so that it can be done behind a filter: whoever released us has stopped us meanwhile (SIGSTOP).
fn stop(shared: &Shared) {
    let before = shared.released.load(Ordering::Acquire);
    record(shared, 5, |_| {});
    wait(shared, || shared.released.load(Ordering::Acquire) != before);
}

fn record(shared: &Shared, kind: u8, fill: impl FnOnce(&mut Raw)) {
    if let Some(number) = reserve(shared) {
        write(shared, number, kind, fill);
    }
}

/// The reader cannot wait for itself.
fn reserve(shared: &Shared) -> Option<u64> {
    let full = |number: u64| number >= shared.read.load(Ordering::Acquire) + SLOTS;
    let mut patience = if SELF.get().who == Who::Runtime { 1 } else { PATIENCE };
    let mut number = shared.next.load(Ordering::Acquire);
    while patience > 0 {
        if full(number) {
            if shared.closed.load(Ordering::Acquire) {
                return None;
            }
            patience -= 1;
            std::hint::spin_loop();
            number = shared.next.load(Ordering::Acquire);
            continue;
        }
        match shared.next.compare_exchange_weak(number, number + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(number),
            Err(now) => number = now,
        }
    }
    shared.lost.fetch_add(1, Ordering::Relaxed);
    None
}

fn write(shared: &Shared, number: u64, kind: u8, fill: impl FnOnce(&mut Raw)) {
    let Myself { who, lane, index, blind } = SELF.get();
    let mut raw = Raw { kind, who: who as u8, lane, index, at: if blind { 0 } else { now() }, ..Raw::default() };
    fill(&mut raw);
    let slot = &shared.slots[(number % SLOTS) as usize];
    // SAFETY: `number` was reserved by this process alone, and the reader has passed the record that stood here before.
    unsafe { (*slot.raw.get()).write(raw) };
    slot.ready.store(number + 1, Ordering::Release);
}

/// Nanoseconds of CLOCK_MONOTONIC.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel, or its page of time in our memory (vdso(7)), writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn seen(raw: &Raw) -> Option<Seen> {
    let all = [Who::Runtime, Who::Between, Who::Process, Who::Hook, Who::Helper];
    let who = all.into_iter().find(|who| *who as u8 == raw.who)?;
    let what = match raw.kind {
        1 => What::Began,
        2 => What::Made { call: Call::from_number(raw.call)?, arguments: raw.shown(), outcome: raw.outcome() },
        3 => What::Ended,
        4 => What::Failed,
        _ => What::Stopped,
    };
    Some(Seen { who, step: (raw.lane, raw.index), at: (raw.at != 0).then_some(raw.at), what })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::{spawn, wait_for_exit};
    use super::*;

    /// One test, because there is one reader at a time.
    #[test]
    fn a_child_s_records_come_in_order_behind_the_call_that_made_it() {
        tell(Call::Umask, &[Arg::Mode(0)], Outcome::Returned(0o22));
        let mut witness = Witness::call().expect("a mapping");
        assert!(Witness::call().is_err(), "a second reader");
        witness.stop_at(7, true);
        begin(2, 0, 0);
        let child = spawn(0, None, || {
            i_am(Who::Process);
            begin(5, 0, 7);
            tell(Call::Umask, &[Arg::Mode(0)], Outcome::Returned(0o22));
            go_blind();
            end(false);
            0
        })
        .expect("clone3");
        let mut seen = Vec::new();
        while seen.len() < 6 {
            let Some(next) = witness.next(false) else { continue };
            if next.what == What::Stopped {
                witness.release();
            }
            seen.push((next.who, next.step, next.at.is_some(), next.what));
        }
        assert_eq!(wait_for_exit(child.pidfd.as_fd()), Ok(0));
        let made = What::Made { call: Call::Umask, arguments: vec![Shown::Mode(0)], outcome: Outcome::Returned(0o22) };
        assert!(matches!(&seen[1], (Who::Runtime, (2, 0), true, What::Made { call: Call::Clone3, .. })), "{seen:?}");
        seen.remove(1);
        assert_eq!(
            seen,
            [
                (Who::Runtime, (2, 0), true, What::Began),
                (Who::Process, (5, 0), true, What::Stopped),
                (Who::Process, (5, 0), true, What::Began),
                (Who::Process, (5, 0), true, made),
                (Who::Process, (5, 0), false, What::Ended),
            ]
        );
        // More than there is room for are counted: nobody reads while we write.
        for _ in 0..SLOTS + 3 {
            tell(Call::Umask, &[], Outcome::Returned(0));
        }
        assert_eq!(witness.lost(), 3);
        drop(witness);
        assert!(Witness::call().is_ok_and(|mut anew| anew.next(true).is_none()));
    }
}
