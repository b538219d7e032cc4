//! The container's process, between clone3(2) and execve(2). Nothing here allocates, locks, logs or panics: a step comes
//! with all that it needs, and an error is two numbers (`sys::Failure`).
//!
//! `view.rs` has the steps about files and mounts, `namespace.rs` those about namespaces that are joined and what is set
//! in them, `hook.rs` hooks, `program.rs` the steps about the process itself.

mod copy_up;
mod hook;
mod namespace;
mod program;
mod view;

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, openat};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::{chdir, pivot_root, setsid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

pub(super) use hook::run_with as run_hook;

use super::wire::{HookEnd, Message};
use crate::plan::{InitStep, Lane, Planned, RootfsPath};
use crate::sys::witness::{self, Who};
use crate::sys::{self, Arg, Bits, CStringArray, Call, CallResult, Failure};

/// What the process has beside its steps.
pub(super) struct Wires<'a> {
    /// To the parent that cloned us.
    pub sync: BorrowedFd<'a>,
    /// The listening socket that `start` connects to; none where the parent itself says when to go on.
    pub start: Option<BorrowedFd<'a>>,
    /// The parent has something to do beside us first.
    pub wait_for_parent: bool,
    /// The last step's arguments and environment, as execve(2) takes them.
    pub args: &'a CStringArray<'a>,
    /// See `args`.
    pub env: &'a CStringArray<'a>,
    /// Arguments and environment of each hook of `Plan::init`, in order.
    pub hooks: &'a [(CStringArray<'a>, CStringArray<'a>)],
    /// The first process of the container whose namespaces are joined, as a pidfd.
    pub target: Option<BorrowedFd<'a>>,
    /// The numbers of the first steps in between and of the process itself.
    pub first: First,
}

/// What the steps of a lane are counted from.
#[derive(Clone, Copy)]
pub(super) struct First {
    /// Of the process in between.
    pub between: usize,
    /// Of the process itself.
    pub init: usize,
}

/// What the process gets hold of on the way.
#[derive(Default)]
struct Held {
    /// The connection of `start`: from then on a failure is told to whoever started it.
    starter: Option<OwnedFd>,
    /// The container's state for hooks that run before and after `start`, and a file for what they write.
    files: hook::Files,
    /// How many hooks have run.
    hooks_run: usize,
    /// Where the filter's notifications come, until somebody else has it too.
    notifications: Option<OwnedFd>,
    /// Which of the program's candidates was the first to be there.
    found: usize,
}

/// Why the process cannot go on.
enum Stop {
    /// A call failed.
    Failed(Failure),
    /// A hook failed.
    Hook(HookEnd),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

/// Does the steps of the process in between, makes the container's process with `namespaces` (CLONE_NEW* flags) as a child
/// of our parent, and tells it its id.
pub(super) fn run_between(
    between: &[Planned<InitStep>],
    namespaces: u64,
    steps: &[Planned<InitStep>],
    wires: &Wires<'_>,
) -> i32 {
    let failed = |step, failure| {
        let _ = Message::Failed { between: true, step, failure }.send(wires.sync, None);
        1
    };
    witness::i_am(Who::Between);
    for (index, planned) in between.iter().enumerate() {
        witness::begin(Lane::Between as u8, index as u32, wires.first.between + index);
        let done = one_step(&planned.step, index as u32, wires, &mut Held::default());
        witness::end(done.is_err());
        match done {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => return failed(index as u32, failure),
            Err(Stop::Hook(_)) => return 1,
        }
    }
    witness::begin(Lane::Clone as u8, 0, wires.first.init - 1);
    match sys::spawn_sibling(namespaces, || run(steps, wires)) {
        Ok(born) => {
            let told = Message::Born { pid: born.pid }.send(wires.sync, Some(born.pidfd.as_fd()));
            i32::from(told.is_err())
        }
        Err(failure) => failed(between.len() as u32, failure),
    }
}

/// Does all steps. Comes back only where one failed, with the exit status for it.
pub(super) fn run(steps: &[Planned<InitStep>], wires: &Wires<'_>) -> i32 {
    witness::i_am(Who::Process);
    let mut held = Held::default();
    for (index, planned) in steps.iter().enumerate() {
        // Not before the first step, which closes what came with us: the other end of our socket is among it, and while we
        // held that ourselves, the parent's death would never show. The lock on the container's state is among it too.
        if index == 1 && wires.wait_for_parent && wait_for_go(wires.sync).is_err() {
            return 1;
        }
        let step = index as u32;
        witness::begin(Lane::Init as u8, step, wires.first.init + index);
        let done = one_step(&planned.step, step, wires, &mut held);
        witness::end(done.is_err());
        let (message, written) = match done {
            Ok(()) => continue,
            Err(Stop::Failed(failure)) => (Message::Failed { between: false, step, failure }, None),
            Err(Stop::Hook(end)) => {
                (Message::HookFailed { hook: held.hooks_run as u32 - 1, end }, held.files.output.as_ref())
            }
        };
        let report = held.starter.as_ref().map_or(wires.sync, OwnedFd::as_fd);
        // Nobody is left to tell if this fails too: the parent sees the end of file and says that we died.
        let _ = message.send(report, written.map(AsFd::as_fd));
        return 1;
    }
    1
}

fn one_step(step: &InitStep, number: u32, wires: &Wires<'_>, held: &mut Held) -> Result<(), Stop> {
    match step {
        InitStep::AwaitStart => Ok(await_start(wires, held)?),
        InitStep::LoadSeccomp { program, flags, listener: Some(listener) } => {
            let notifications = program::load_notifying_filter(wires.sync, &program.instructions, *flags)?;
            match listener.release {
                true => held.notifications = Some(notifications),
                false => std::mem::forget(notifications),
            }
            Ok(())
        }
        InitStep::AwaitHooks => Ok(hook::await_hooks(wires.sync, &mut held.files)?),
        InitStep::FindExecutable { candidates } => {
            held.found = program::find_executable(candidates)?;
            Ok(())
        }
        // Those before it were not there: to try them is to fail.
        InitStep::Execute { candidates, .. } => {
            Err(program::execute(&candidates[held.found..], wires.args, wires.env).into())
        }
        InitStep::RunHook { kind, hook } => {
            let arrays = &wires.hooks[held.hooks_run];
            held.hooks_run += 1;
            match hook::run(*kind, hook, arrays, &held.files)? {
                HookEnd::Status(0) => Ok(()),
                end => Err(Stop::Hook(end)),
            }
        }
        InitStep::BindMount { source, target, recursive, attributes, idmap: Some(_) } => {
            let map_ids = |tree: &OwnedFd| {
                Message::MapMount { step: number }.send(wires.sync, Some(tree.as_fd()))?;
                wait_for_go(wires.sync)
            };
            Ok(view::bind_mount(source, target, *recursive, attributes, map_ids)?)
        }
        step => Ok(plain_step(step, wires)?),
    }
}

/// A step that leaves nothing behind in this process but what it did.
fn plain_step(step: &InitStep, wires: &Wires<'_>) -> Result<(), Failure> {
    match step {
        // Done above: they leave something to hold.
        InitStep::AwaitStart
        | InitStep::AwaitHooks
        | InitStep::RunHook { .. }
        | InitStep::LoadSeccomp { listener: Some(_), .. }
        | InitStep::FindExecutable { .. }
        | InitStep::Execute { .. } => Ok(()),
        InitStep::HideFromTracers => sys::hide_from_tracers(),
        InitStep::JoinNamespace { namespace, path } => namespace::join(path, *namespace),
        InitStep::JoinContainer { namespaces, .. } => match wires.target {
            Some(pidfd) => namespace::set(pidfd, *namespaces),
            None => Err(Call::Setns.failed(Errno::BADF)),
        },
        InitStep::NewTimeNamespace { offsets } => namespace::new_time(offsets),
        InitStep::WriteSysctl { path, value } => namespace::write_file(path, value.to_bytes()),
        InitStep::NewSessionKeyring { name } => program::new_session_keyring(name),
        InitStep::SetCpuAffinity { mask } => program::set_cpu_affinity(mask),
        InitStep::SetLabel { kind, text } => namespace::set_label(*kind, text),
        InitStep::SetOomScoreAdj { value } => namespace::write_file(c"/proc/self/oom_score_adj", value.to_bytes()),
        InitStep::BecomeRoot => become_root(),
        InitStep::NewSession => setsid().told(Call::Setsid, &[]).map(drop),
        InitStep::SetPersonality { domain } => sys::set_personality(*domain),
        InitStep::Unshare { namespaces } => unshare(*namespaces),
        InitStep::SetPropagation { path, flags } => sys::set_propagation(path, *flags),
        InitStep::EnterRootfs { path, recursive } => view::enter_rootfs(path, *recursive),
        InitStep::MountFilesystem { filesystem, target, no_symlinks } => {
            view::mount_filesystem(filesystem, target, *no_symlinks)
        }
        InitStep::BindMount { source, target, recursive, attributes, .. } => {
            view::bind_mount(source, target, *recursive, attributes, |_| Ok(()))
        }
        InitStep::SetMountPropagation { target, flags } => view::set_mount_propagation(target, *flags),
        InitStep::ChangeMount { target, parameters, attributes } => view::change_mount(target, parameters, attributes),
        InitStep::MakeDevice { target, mode, major, minor, uid, gid } => {
            view::make_device(target, *mode, (*major, *minor), (*uid, *gid))
        }
        InitStep::MakeSymlink { text, target } => view::make_symlink(text, target),
        InitStep::MakeDirectory { target } => view::make_directory(target),
        InitStep::CopyUp { target } => copy_up::copy_up(target),
        InitStep::PivotRoot => swap_root(),
        InitStep::ChangeRoot { path } => change_root(path),
        InitStep::SetHostname { name } => {
            rustix::system::sethostname(name.to_bytes()).told(Call::Sethostname, &[Arg::Text(name.to_bytes())])
        }
        InitStep::SetDomainname { name } => {
            rustix::system::setdomainname(name.to_bytes()).told(Call::Setdomainname, &[Arg::Text(name.to_bytes())])
        }
        InitStep::BringLoopbackUp { device } => sys::bring_up(device.to_bytes()),
        InitStep::OpenTerminal { multiplexer, console, size } => {
            open_terminal(wires.sync, multiplexer, console.as_ref(), *size)
        }
        InitStep::ReadonlyPath { path, recursive, attributes } => view::readonly_path(path, *recursive, attributes),
        InitStep::MaskPath { path, empty, null, device } => view::mask_path(path, empty, null, *device),
        InitStep::ChangeDirectory { target } => program::change_directory(target),
        InitStep::SetUmask { mask } => {
            let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(*mask));
            Ok(i64::from(before.as_raw_mode())).told(Call::Umask, &[Arg::Mode(*mask)]).map(drop)
        }
        InitStep::DropBounding { drop } => drop.iter().try_for_each(|capability| sys::drop_bounding(*capability)),
        InitStep::SwitchUser { uid, gid, groups } => program::switch_user(*uid, *gid, groups.as_deref()),
        InitStep::SetCapabilities { effective, permitted, inheritable, ambient } => {
            program::set_capabilities(*effective, *permitted, *inheritable, *ambient)
        }
        InitStep::NoNewPrivileges => {
            let told = [Arg::Word("PR_SET_NO_NEW_PRIVS"), Arg::Number(1)];
            rustix::thread::set_no_new_privs(true).told(Call::Prctl, &told)
        }
        InitStep::CloseDescriptors { from } => sys::close_all_but(*from, [Some(wires.sync), wires.start]),
        InitStep::LoadSeccomp { program, flags, listener: None } => {
            witness::go_blind();
            sys::load_seccomp_filter(&program.instructions, *flags).map(drop)
        }
    }
}

fn wait_for_go(socket: BorrowedFd<'_>) -> Result<(), Failure> {
    match Message::receive(socket)? {
        Some((Message::Go, _)) => Ok(()),
        // The parent died, and with it the reason for our being here.
        _ => Err(Call::Recvmsg.failed(Errno::CONNRESET)),
    }
}

fn become_root() -> Result<(), Failure> {
    let (gid, uid) = (rustix::process::Gid::ROOT, rustix::process::Uid::ROOT);
    let zero = [Arg::Number(0); 3];
    set_thread_res_gid(gid, gid, gid).told(Call::Setresgid, &zero)?;
    set_thread_res_uid(uid, uid, uid).told(Call::Setresuid, &zero)
}

fn unshare(namespaces: u64) -> Result<(), Failure> {
    let flags = nix::sched::CloneFlags::from_bits_retain(namespaces as i32);
    let result = nix::sched::unshare(flags).map_err(|errno| Errno::from_raw_os_error(errno as i32));
    result.told(Call::Unshare, &[Arg::Bits(Bits::Namespaces, namespaces)])
}

/// pivot_root(2), section NOTES: with "." twice the old root lies over the new one, and is unmounted from there.
fn swap_root() -> Result<(), Failure> {
    let here = Arg::Text(b".");
    pivot_root(c".", c".").told(Call::PivotRoot, &[here, here])?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH).told(Call::Umount2, &[here, Arg::Word("MNT_DETACH")])?;
    chdir(c"/").told(Call::Chdir, &[Arg::Text(b"/")])
}

/// The working directory goes along: whoever kept one outside would have a way out.
fn change_root(path: &CStr) -> Result<(), Failure> {
    rustix::process::chroot(path).told(Call::Chroot, &[Arg::Text(path.to_bytes())])?;
    chdir(c"/").told(Call::Chdir, &[Arg::Text(b"/")])
}

/// Tells the parent that all is ready, and comes back when the container is started. From then on a failure is told to
/// whoever started it.
fn await_start(wires: &Wires<'_>, held: &mut Held) -> Result<(), Failure> {
    Message::Ready.send(wires.sync, None)?;
    // The parent answers once the container's state is on disk; without that nobody could find us again.
    wait_for_go(wires.sync)?;
    // By now the agent has its own.
    drop(held.notifications.take());
    if let Some(listener) = wires.start {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let connection = loop {
            match rustix::net::accept_with(listener, flags) {
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                result => break result.of(Call::Accept4)?,
            }
        };
        held.starter = Some(connection);
    }
    Ok(())
}

fn open_terminal(
    sync: BorrowedFd<'_>,
    multiplexer: &CStr,
    console: Option<&RootfsPath>,
    size: Option<(u16, u16)>,
) -> Result<(), Failure> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = openat(CWD, multiplexer, flags, Mode::empty()).of(Call::Openat)?;
    view::is_multiplexer(master.as_fd())?;
    let terminal = sys::open_peer(master.as_fd())?;
    if let Some(size) = size {
        sys::set_window_size(terminal.as_fd(), size)?;
    }
    Message::Terminal.send(sync, Some(master.as_fd()))?;
    if let Some(console) = console {
        view::show_terminal(terminal.as_fd(), console)?;
    }
    sys::set_controlling(terminal.as_fd())?;
    rustix::stdio::dup2_stdin(&terminal).told(Call::Dup2, &[Arg::Fd(terminal.as_fd()), Arg::Number(0)])?;
    rustix::stdio::dup2_stdout(&terminal).told(Call::Dup2, &[Arg::Fd(terminal.as_fd()), Arg::Number(1)])?;
    rustix::stdio::dup2_stderr(&terminal).told(Call::Dup2, &[Arg::Fd(terminal.as_fd()), Arg::Number(2)])
}
