//! The command line: one enum of verbs. The doc comments are the help text; each verb's flags stand in its own file
//! under `commands/`.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::commands;

/// The lines of `--version` behind the program's name. Docker and containerd take them from any runtime: `NAME version X`,
/// `commit: `, `spec: `, and older ones of theirs want all three.
const VERSION: &str =
    concat!("version ", env!("CARGO_PKG_VERSION"), "\ncommit: ", env!("GLASSBOX_COMMIT"), "\nspec: 1.2.1");

/// What the program was built from, as git names it.
pub const COMMIT: &str = env!("GLASSBOX_COMMIT");

/// See through a container: run OCI bundles, map pods to cgroup v2, take guided labs
#[derive(Debug, Parser)]
#[command(name = "glassbox", version = VERSION, disable_version_flag = true, max_term_width = 100, args_override_self = true)]
pub struct Cli {
    /// Flags that every command takes
    #[command(flatten)]
    pub global: Global,
    /// The verb
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes, named as runc names them.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Directory that holds the state of containers [default: /run/glassbox, or $XDG_RUNTIME_DIR/glassbox]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Write the error to this file as well, a record a line
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Format of the log file
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Write every call of ours to the log as well (without --log: to stderr)
    #[arg(long)]
    pub debug: bool,
    /// Have systemd make the container's cgroup, as a scope: linux.cgroupsPath is SLICE:PREFIX:NAME
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Whether to do without root's powers over cgroups; auto finds out
    #[arg(long, value_name = "WHETHER", default_value = "auto")]
    pub rootless: Rootless,
    /// Print the version, in the lines that engines parse
    #[arg(long, short = 'v', action = ArgAction::Version)]
    pub version: Option<bool>,
}

/// How records of the log file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `time="…" level=error msg="…"`
    Text,
    /// One JSON object a line: `{"level":…,"msg":…,"time":…}`
    Json,
}

/// Whether to run as an ordinary user can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rootless {
    /// As an ordinary user where we are one, or have no more power than one.
    Auto,
    /// Always.
    #[value(aliases = ["1", "t", "T", "TRUE", "True"])]
    True,
    /// Never.
    #[value(aliases = ["0", "f", "F", "FALSE", "False"])]
    False,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Those of a runtime
    #[command(flatten)]
    Runtime(Runtime),
    /// Tell how a container would start, step by step, without starting it
    Explain(commands::explain::Args),
    /// Show what cgroups use beside what they may, live or recorded
    Top(commands::top::Args),
    /// Draw a recording of top as SVG or PNG
    Plot(commands::plot::Args),
    /// Show namespaces and cgroups as one tree, or two processes side by side
    Tree(commands::tree::Args),
    /// Show which cgroup files a pod's requests and limits become, and why
    Qos(commands::qos::Args),
    /// Run pods on this node as a kubelet would, and look after them
    Pod(commands::pod::Args),
    /// Trace a number of a cgroup file or of config.json to where it comes from, and compare it with the kernel
    Why(commands::why::Args),
    /// Unpack or show an image: an OCI image layout or a docker-archive
    Image(commands::image::Args),
    /// Take, play or test a guided lab
    Lab(commands::lab::Args),
    /// Tell what this kernel offers to containers, what is missing, and the command that mends it
    Doctor(commands::doctor::Args),
    /// Print the completion script of a shell
    Completions(commands::completions::Args),
    /// Print the manual page, or write one for each command
    Man(commands::man::Args),
    /// Run one of the small programs that labs use (hog, burn, rootfs)
    #[command(hide = true)]
    Applet(commands::applet::Args),
}

/// What engines call, and nothing else: the command line of the program `glassbox-runtime`.
#[derive(Debug, Parser)]
#[command(name = "glassbox-runtime", version = VERSION, disable_version_flag = true, max_term_width = 100, args_override_self = true)]
pub struct RuntimeCli {
    /// Flags that every command takes
    #[command(flatten)]
    pub global: Global,
    /// The verb
    #[command(subcommand)]
    pub command: Runtime,
}

/// The verbs that runc has too. Each verb's flags are made when it is called, as in [`Command`]: a start does not pay for
/// describing what it is not.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Runtime {
    /// Write a config.json to start from
    Spec(commands::spec::Args),
    /// Make a container and run its program
    Run(commands::run::Args),
    /// Make a container that waits for start
    Create(commands::create::Args),
    /// Run the program of a created container
    Start(commands::start::Args),
    /// Run one more process in a running container
    Exec(commands::exec::Args),
    /// Print the state of a container as JSON
    State(commands::state::Args),
    /// Send a signal to a container
    Kill(commands::kill::Args),
    /// Remove a container
    Delete(commands::delete::Args),
    /// List the containers
    List(commands::list::Args),
    /// Show the processes of a container
    Ps(commands::ps::Args),
    /// Freeze every process of a container
    Pause(commands::pause::Args),
    /// Thaw a paused container
    Resume(commands::pause::Args),
    /// Change the limits of a container
    Update(Box<commands::update::Args>),
    /// Tell what a container uses, and what befalls it, as it comes
    Events(commands::events::Args),
    /// Print what a config.json may ask for, as JSON
    Features(commands::features::Args),
}
