//! Prints which functions of a program a command runs through, in the order in which it comes to them: by single steps
//! (ptrace(2)), in the program's own process and in those that it makes, until they become other programs.
//!
//! Usage: `steps PROGRAM [ARGUMENT…]`; the program stands at a fixed address and has its symbols. See tests/bench/order.

#![allow(unsafe_code, clippy::print_stdout)]

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Functions by address: bytes and name.
type Functions = BTreeMap<u64, (u64, String)>;

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [program, arguments @ ..] = words.as_slice() else { anyhow::bail!("usage: steps PROGRAM [ARGUMENT…]") };
    let functions = functions(program)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: one system call, which allocates nothing.
    unsafe { command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0, 0)) };
    let first = command.spawn().context("the program does not start")?.id() as i32;
    wait_for(first)?;
    let children = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;
    let options = children | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SETOPTIONS, first, options as u64)?;
    ptrace(libc::PTRACE_SINGLESTEP, first, 0)?;
    let mut seen = HashSet::new();
    loop {
        let (pid, status) = wait_for(-1)?;
        if !libc::WIFSTOPPED(status) {
            if pid == first {
                ensure!(status == 0, "the program ended with status {status:#x}");
                return Ok(());
            }
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        // The container's own program, whose addresses mean other functions.
        if event == libc::PTRACE_EVENT_EXEC && pid != first {
            ptrace(libc::PTRACE_DETACH, pid, 0)?;
            continue;
        }
        let own = event != 0 || signal == libc::SIGTRAP || signal == libc::SIGSTOP;
        if event == 0 && signal == libc::SIGTRAP {
            let at = instruction(pid)?;
            let function = functions.range(..=at).next_back().filter(|(start, (size, _))| at < *start + size);
            if let Some((start, (_, name))) = function
                && seen.insert(*start)
            {
                println!("{name}");
            }
        }
        // One that was killed meanwhile needs no more steps.
        let _ = ptrace(libc::PTRACE_SINGLESTEP, pid, if own { 0 } else { signal as u64 });
    }
}

fn ptrace(request: libc::c_uint, pid: i32, data: u64) -> io::Result<()> {
    // SAFETY: none of the requests that are made here reads or writes our memory.
    match unsafe { libc::ptrace(request, pid, 0_u64, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Where a process that is stopped stands.
fn instruction(pid: i32) -> io::Result<u64> {
    // SAFETY: all fields are numbers.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: `registers` is what the kernel fills in for this request, and outlives the call.
    match unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, 0_u64, &raw mut registers) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(registers.rip),
    }
}

/// The next process that is stopped or gone, and its status (waitpid(2)).
fn wait_for(pid: i32) -> io::Result<(i32, i32)> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    match unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok((pid, status)),
    }
}

/// As nm(1) lists them.
fn functions(program: &str) -> Result<Functions> {
    let listed = Command::new("nm").args(["--print-size", program]).output().context("nm: install binutils")?;
    let line = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let [address, size, kind, name] = words.as_slice() else { return None };
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        kind.eq_ignore_ascii_case("t").then_some((number(address)?, (number(size)?, name.to_string())))
    };
    let functions: Functions = String::from_utf8(listed.stdout)?.lines().filter_map(line).collect();
    ensure!(!functions.is_empty(), "{program} has no symbols");
    Ok(functions)
}
