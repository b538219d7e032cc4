//! `glassbox exec`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::container::{console_socket, hand_over, id, read_text, store, told, warn};
use super::log;
use super::narrate::Narration;
use super::without::Walls;
use crate::cli::Global;
use crate::error::Failure;
use crate::plan;
use crate::runtime::narrate::Own;
use crate::runtime::{self, Created, Request, Signals};
use crate::spec;
use crate::spec::oci::{Capabilities, Process, Spec, User};

/// The exit status where the process could not be started, as runc's.
pub const NOT_STARTED: u8 = 255;

/// Flags of `glassbox exec`, named as runc names them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  glassbox exec web ps\n  glassbox exec -t -e TERM=$TERM web sh\n\nThe exit status is \
                        the program's own, or 128 + the signal that ended it; 255 where it could not be started."
)]
pub struct Args {
    /// Unix socket that receives the master of the process's terminal (with --detach)
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives a descriptor of the process (pidfd_open(2))
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Set a variable of the environment; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Give the process a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Run as this user, and group
    #[arg(long, short, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Add a group; may be repeated
    #[arg(long, short = 'g', value_name = "GID")]
    pub additional_gids: Vec<u32>,
    /// Take the whole process from this file, as config.json has it
    #[arg(long, short, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Come back when the program runs, and leave it running
    #[arg(long, short)]
    pub detach: bool,
    /// File to write the process's id into
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// SELinux label of the process
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// AppArmor profile of the process
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// The process cannot gain privileges by execve
    #[arg(long)]
    pub no_new_privs: bool,
    /// Add a capability; may be repeated
    #[arg(long, short, value_name = "CAPABILITY")]
    pub cap: Vec<String>,
    /// Hand file descriptors 3 to 2+N on to the program
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Be born into this cgroup below the container's
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Start the process in a paused container too, where it waits
    #[arg(long)]
    pub ignore_paused: bool,
    /// What it lacks
    #[command(flatten)]
    pub walls: Walls,
    /// How it is watched
    #[command(flatten)]
    pub narration: Narration,
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Runs one more process in a running container.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    runtime::seal().map_err(told)?;
    let (given, warnings) = args.process.as_deref().map(read_process).transpose()?.unzip();
    let warnings: Vec<String> = warnings.unwrap_or_default();
    warn(global, &warnings)?;
    let terminal = given.as_ref().map_or(args.tty, |process| process.terminal() == Some(true));
    let socket = console_socket(terminal && args.detach, args.console_socket.as_deref())?;
    let signals = match args.detach {
        true => None,
        false => Some(Signals::catch().map_err(|cause| Failure::new("cannot take signals").caused_by(cause))?),
    };
    let request = Request {
        options: plan::Options { preserve_fds: args.preserve_fds, no_new_keyring: true, ..plan::Options::default() },
        ignore_paused: args.ignore_paused,
        cgroup: args.cgroup.clone(),
        without: args.walls.list.clone(),
    };
    let process = |spec: &Spec| {
        args.walls.refuse_engines(spec, global).map_err(ExecError::Flags)?;
        match given {
            Some(process) => Ok(process),
            None => from_flags(args, spec),
        }
    };
    args.walls.say("this process")?;
    let voice = args.narration.voice()?;
    let started: Created =
        runtime::exec(&store(global), &id(&args.id)?, &request, &voice, process).map_err(told_exec)?;
    let attend = || -> anyhow::Result<ExitCode> {
        voice.own(Own::HandOver, || {
            hand_over(&started, socket.as_ref(), args.pidfd_socket.as_deref(), args.pid_file.as_deref())
        })?;
        log::warnings(global, warnings.iter().chain(&started.left_out));
        match &signals {
            Some(signals) => Ok(runtime::foreground(&started, signals).map_err(told)?.into()),
            None => Ok(ExitCode::SUCCESS),
        }
    };
    attend().inspect_err(|_| runtime::abandon(&started))
}

/// An error of the runtime, or one of the flags.
#[derive(Debug)]
enum ExecError {
    Runtime(runtime::RuntimeError),
    Flags(anyhow::Error),
}

impl From<runtime::RuntimeError> for ExecError {
    fn from(error: runtime::RuntimeError) -> Self {
        ExecError::Runtime(error)
    }
}

fn told_exec(error: ExecError) -> anyhow::Error {
    match error {
        ExecError::Runtime(error) => told(error),
        ExecError::Flags(error) => error,
    }
}

/// The process, and what was let pass with a word.
fn read_process(path: &std::path::Path) -> anyhow::Result<(Process, Vec<String>)> {
    let text = std::fs::File::open(path)
        .and_then(read_text)
        .map_err(|cause| Failure::new(format!("cannot read the process from {path:?}")).caused_by(cause))?;
    let (process, warnings) =
        spec::parse_process(&text).map_err(|error| Failure::new(error.in_file(&format!("{path:?}"))))?;
    Ok((process, warnings.into_iter().map(|warning| format!("{path:?}: {warning}")).collect()))
}

/// The container's own process with what the flags change.
fn from_flags(args: &Args, spec: &Spec) -> Result<Process, ExecError> {
    let refuse = |message: String| ExecError::Flags(Failure::new(message).into());
    let mut process = spec.process().clone().ok_or_else(|| refuse("the container has no process".to_string()))?;
    if args.command.is_empty() {
        return Err(refuse("no program is given: name one behind the id, or a --process FILE".to_string()));
    }
    process.set_args(Some(args.command.clone())).set_terminal(Some(args.tty)).set_console_size(None);
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.into());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(args.env.iter().cloned());
    process.set_env(Some(env));
    if let Some(user) = &args.user {
        process.set_user(parse_user(user, process.user()).map_err(refuse)?);
    }
    let mut groups = process.user().additional_gids().clone().unwrap_or_default();
    groups.extend(&args.additional_gids);
    process.user_mut().set_additional_gids(Some(groups));
    process.set_no_new_privileges(Some(args.no_new_privs || process.no_new_privileges() == Some(true)));
    if args.apparmor.is_some() {
        process.set_apparmor_profile(args.apparmor.clone());
    }
    if args.process_label.is_some() {
        process.set_selinux_label(args.process_label.clone());
    }
    if !args.cap.is_empty() {
        add_capabilities(&mut process, &args.cap).map_err(refuse)?;
    }
    spec::check_process(&process).map_err(|error| refuse(error.in_file("the process")))?;
    Ok(process)
}

/// `1000`, `1000:100`. Numbers alone, and none that would wrap: 4294967295 means "no id" to the kernel.
fn parse_user(text: &str, now: &User) -> Result<User, String> {
    let number = |name: &str, part: &str| match part.parse::<u32>() {
        Ok(id) if id != u32::MAX && part.bytes().all(|byte| byte.is_ascii_digit()) => Ok(id),
        _ => Err(format!("--user {text:?}: {name} {part:?} is not a number from 0 to {}", u32::MAX - 1)),
    };
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (number("uid", uid)?, number("gid", gid)?),
        None => (number("uid", text)?, now.gid()),
    };
    let mut user = now.clone();
    user.set_uid(uid).set_gid(gid);
    Ok(user)
}

/// To the bounding, effective and permitted sets. Never to the inheritable one: a file with inheritable capabilities would
/// hand them to whoever executes it (CVE-2022-29162).
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<(), String> {
    let mut wanted = Capabilities::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        wanted.insert(bare.parse().map_err(|_| format!("--cap {name:?}: there is no such capability"))?);
    }
    let mut sets = process.capabilities().clone().unwrap_or_default();
    if process.capabilities().is_none() {
        sets.set_bounding(None).set_effective(None).set_inheritable(None).set_permitted(None).set_ambient(None);
    }
    let with = |set: &Option<Capabilities>| Some(set.iter().flatten().copied().chain(wanted.iter().copied()).collect());
    let (bounding, effective, permitted) = (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    process.set_capabilities(Some(sets));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_that_do_not_wrap() {
        let root = User::default();
        let parsed = |text| parse_user(text, &root).map(|user| (user.uid(), user.gid()));
        assert_eq!(parsed("1000"), Ok((1000, 0)));
        assert_eq!(parsed("1000:5"), Ok((1000, 5)));
        for text in ["-1", "1:", ":1", "4294967295", "4294967296", "+1", "root", "", "1:2:3", " 1"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
