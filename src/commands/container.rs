//! What the commands on one container share: its id, the store, and how an error of the runtime is told.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::narrate::Narration;
use super::without::Walls;
use super::{log, output};
use crate::cli::Global;
use crate::error::Failure;
use crate::plan::{self, Plan};
use crate::runtime::identity::Identity;
use crate::runtime::{self, Bundle, Created, MAX_CONFIG, Notify, RuntimeError, Store};
use crate::spec::{ContainerId, Wall};

/// Flags that `create` and `run` share, named as runc names them.
#[derive(Debug, clap::Args)]
pub struct Creation {
    /// Directory of the bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// File to write the process's id into, once it exists
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Hand file descriptors 3 to 2+N on to the program
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Unix socket that receives a descriptor of the container's first process (pidfd_open(2))
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Stay in the session keyring of the caller (keyrings(7))
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Accepted from engines; the root is swapped with pivot_root(2) all the same, which a container cannot undo
    #[arg(long)]
    pub no_pivot: bool,
    /// Accepted from engines; processes that lose their parent are never adopted (PR_SET_CHILD_SUBREAPER)
    #[arg(long)]
    pub no_subreaper: bool,
    /// What it lacks
    #[command(flatten)]
    pub walls: Walls,
    /// How it is watched
    #[command(flatten)]
    pub narration: Narration,
    /// Id of the new container, unique on this machine
    #[arg(value_name = "ID")]
    pub id: String,
}

impl Creation {
    /// How the plan is to be made.
    pub fn options(&self, global: &Global) -> plan::Options {
        plan::Options {
            rootless: global.rootless.wish(),
            preserve_fds: self.preserve_fds,
            listen_fds: listen_fds(|name| std::env::var(name).ok(), std::process::id()),
            no_new_keyring: self.no_new_keyring,
            systemd_cgroup: global.systemd_cgroup,
            notify: notify_socket().is_some(),
            without_pivot_root: self.walls.list.contains(&Wall::PivotRoot),
        }
    }

    /// The id and the bundle, both checked. Warnings of the config go to stderr, or with `--log` to the log alone, at the
    /// end: our stderr is the container's, and what we say there would be taken for its words.
    pub fn load(&self, global: &Global) -> anyhow::Result<(ContainerId, Bundle)> {
        let id = id(&self.id)?;
        let bundle = self.walls.taken_from(Bundle::load(&self.bundle).map_err(told)?, global)?;
        warn(global, &of_config(&bundle.config.warnings))?;
        Ok((id, bundle))
    }

    /// How the container is to be started. What it will not have is told as a warning of the config is.
    pub fn plan(&self, global: &Global, id: &ContainerId, bundle: &Bundle) -> anyhow::Result<Plan> {
        let plan = runtime::plan(&store(global), id, bundle, self.options(global)).map_err(told)?;
        warn(global, &of_config(&plan.left_out))?;
        Ok(plan)
    }

    /// Hands what the caller asked for over to it: the terminal's master, a descriptor of the process, its id.
    pub fn hand_over(&self, created: &Created, console: Option<&UnixStream>) -> anyhow::Result<()> {
        hand_over(created, console, self.pidfd_socket.as_deref(), self.pid_file.as_deref())
    }
}

/// Tells warnings on stderr, unless there is a log: they belong there then, once the command has succeeded.
pub fn warn(global: &Global, warnings: &[String]) -> std::io::Result<()> {
    match global.log {
        Some(_) => Ok(()),
        None => warnings.iter().try_for_each(|warning| output::eprint_sentence("warning: ", warning)),
    }
}

/// The warnings of a config.json, each with its file's name.
pub fn of_config(warnings: &[String]) -> Vec<String> {
    warnings.iter().map(|warning| format!("config.json: {warning}")).collect()
}

/// Where our own service manager wants to hear that we are ready (sd_notify(3)).
pub fn notify_socket() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty())
}

/// Stays until the program has said that it is ready, passes that on, and leaves the program to the service manager.
pub fn pass_on(notify: &Notify, program: &Identity, host: &str) -> anyhow::Result<()> {
    let passed = notify.pass_on(program, host, true);
    passed.map(drop).map_err(|cause| {
        Failure::new(format!("cannot pass on to {host:?} that the container is ready"))
            .caused_by(cause)
            .hint("NOTIFY_SOCKET must name a datagram socket that somebody reads; unset it where nobody does.")
            .into()
    })
}

/// Sockets that systemd has opened for us (sd_listen_fds(3)): none where they are meant for another process.
fn listen_fds(variable: impl Fn(&str) -> Option<String>, own_pid: u32) -> u32 {
    let number = |name| variable(name)?.parse::<u32>().ok();
    match number("LISTEN_PID") {
        Some(pid) if pid != own_pid => 0,
        Some(_) | None => number("LISTEN_FDS").filter(|count| *count < 1024).unwrap_or(0),
    }
}

/// Hands over what stands for a new process: its terminal's master, a descriptor of it, and in a file its id.
pub fn hand_over(
    created: &Created,
    console: Option<&UnixStream>,
    pidfd_socket: Option<&Path>,
    pid_file: Option<&Path>,
) -> anyhow::Result<()> {
    if let (Some(socket), Some(master)) = (console, &created.terminal) {
        runtime::send_terminal(socket, master).map_err(told)?;
    }
    if let Some(path) = pidfd_socket {
        runtime::send_process(&connect("pidfd", path)?, &created.pidfd).map_err(told)?;
    }
    let Some(path) = pid_file else { return Ok(()) };
    // Whole or not at all.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    runtime::write_whole(&new, path, created.pid.to_string().as_bytes())
        .inspect_err(|_| drop(std::fs::remove_file(&new)))
        .map_err(|cause| Failure::new(format!("cannot write the pid file {path:?}")).caused_by(cause).into())
}

/// The connected console socket: wanted with a terminal that nobody here attends, refused without one.
pub fn console_socket(terminal: bool, path: Option<&Path>) -> anyhow::Result<Option<UnixStream>> {
    match (terminal, path) {
        (true, None) => Err(Failure::new("cannot allocate tty if glassbox will detach without setting console socket")
            .hint(
                "Give --console-socket SOCKET, set process.terminal to false, or use `glassbox run` in the foreground.",
            )
            .into()),
        (false, Some(_)) => Err(Failure::new("cannot use console socket if glassbox will not detach or allocate tty")
            .hint("Leave --console-socket out, or set process.terminal to true.")
            .into()),
        (false, None) => Ok(None),
        (true, Some(path)) => connect("console", path).map(Some),
    }
}

fn connect(what: &str, path: &Path) -> anyhow::Result<UnixStream> {
    UnixStream::connect(path).map_err(|cause| {
        Failure::new(format!("cannot connect to the {what} socket {path:?}"))
            .caused_by(cause)
            .hint("Something must listen on it already; its path has at most 107 bytes.")
            .into()
    })
}

/// Reads text that somebody gives beside a config: as much of it as a config may have.
pub fn read_text(input: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    input.take(MAX_CONFIG + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_CONFIG {
        true => Err(std::io::Error::other(format!("it has more than {MAX_CONFIG} bytes"))),
        false => Ok(text),
    }
}

/// The store that the global flags name.
pub fn store(global: &Global) -> Store {
    Store::new(global.root.clone().unwrap_or_else(Store::default_root))
}

/// Deletes a container. What its last hooks complain of changes nothing: it goes to the log, or to stderr without one.
pub fn remove(global: &Global, id: &ContainerId, force: bool) -> anyhow::Result<()> {
    let complaints = runtime::delete(&store(global), id, force).map_err(told)?;
    log::warnings(global, &complaints);
    if global.log.is_none() {
        for complaint in &complaints {
            output::eprint_line(&format!("warning: {complaint}"))?;
        }
    }
    Ok(())
}

/// A container id as the user wrote it.
pub fn id(text: &str) -> anyhow::Result<ContainerId> {
    ContainerId::new(text).map_err(|error| told(RuntimeError::Id(error)))
}

/// An error of the runtime with its hint.
pub fn told(error: RuntimeError) -> anyhow::Error {
    let hint = error.hint();
    let failure = Failure::new(error.to_string());
    match hint {
        Some(hint) => failure.hint(hint).into(),
        None => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::listen_fds;

    #[test]
    fn sockets_are_ours_where_systemd_says_so_or_nobody_says_whose() {
        let given = |pid: Option<&'static str>, fds: Option<&'static str>| {
            listen_fds(|name| if name == "LISTEN_PID" { pid.map(String::from) } else { fds.map(String::from) }, 42)
        };
        assert_eq!(given(Some("42"), Some("2")), 2);
        assert_eq!(given(None, Some("2")), 2, "crun takes them without LISTEN_PID");
        assert_eq!(given(Some("41"), Some("2")), 0);
        assert_eq!(given(Some("42"), Some("-1")), 0);
        assert_eq!(given(None, None), 0);
    }
}
