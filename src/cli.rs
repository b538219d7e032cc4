//! The command line: one enum of verbs. The doc comments are the help text; each verb's flags stand in its own file
//! under `commands/`.

use std::path::PathBuf;

use clap::builder::Resettable;
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
    /// Whether to go without a cgroup where none is ours to make; auto: as an ordinary user
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

impl Rootless {
    /// What was asked for; none where it is to be found out.
    pub fn wish(self) -> Option<bool> {
        match self {
            Rootless::Auto => None,
            Rootless::True => Some(true),
            Rootless::False => Some(false),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Those of a runtime
    #[command(flatten)]
    Runtime(Runtime),
    /// Tell how a container would start, step by step, without starting it
    Explain(Later<commands::explain::Args>),
    /// Show what cgroups use beside what they may, live or recorded
    Top(Later<commands::top::Args>),
    /// Draw a recording of top as SVG or PNG
    Plot(Later<commands::plot::Args>),
    /// Show namespaces and cgroups as one tree, or two processes side by side
    Tree(Later<commands::tree::Args>),
    /// Show which cgroup files a pod's requests and limits become, and why
    Qos(Later<commands::qos::Args>),
    /// Run pods on this node as a kubelet would, and look after them
    Pod(Later<commands::pod::Args>),
    /// Trace a number of a cgroup file or of config.json to where it comes from, and compare it with the kernel
    Why(Later<commands::why::Args>),
    /// Unpack or show an image: an OCI image layout or a docker-archive
    Image(Later<commands::image::Args>),
    /// Take, play or test a guided lab
    Lab(Later<commands::lab::Args>),
    /// Tell what this kernel offers to containers, what is missing, and the command that mends it
    Doctor(Later<commands::doctor::Args>),
    /// Print the completion script of a shell
    Completions(Later<commands::completions::Args>),
    /// Print the manual page, or write one for each command
    Man(Later<commands::man::Args>),
    /// Run one of the small programs that labs use (hog, burn, rootfs)
    #[command(hide = true)]
    Applet(Later<commands::applet::Args>),
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

/// The verbs that runc has too.
#[derive(Debug, Subcommand)]
pub enum Runtime {
    /// Write a config.json to start from
    Spec(Later<commands::spec::Args>),
    /// Make a container and run its program
    Run(Later<commands::run::Args>),
    /// Make a container that waits for start
    Create(Later<commands::create::Args>),
    /// Run the program of a created container
    Start(Later<commands::start::Args>),
    /// Run one more process in a running container
    Exec(Later<Box<commands::exec::Args>>),
    /// Print the state of a container as JSON
    State(Later<commands::state::Args>),
    /// Send a signal to a container
    Kill(Later<commands::kill::Args>),
    /// Remove a container
    Delete(Later<commands::delete::Args>),
    /// List the containers
    List(Later<commands::list::Args>),
    /// Show the processes of a container
    Ps(Later<commands::ps::Args>),
    /// Freeze every process of a container
    Pause(Later<commands::pause::Args>),
    /// Thaw a paused container
    Resume(Later<commands::pause::Args>),
    /// Change the limits of a container
    Update(Later<Box<commands::update::Args>>),
    /// Tell what a container uses, and what befalls it, as it comes
    Events(Later<commands::events::Args>),
    /// Print what a config.json may ask for, as JSON
    Features(Later<commands::features::Args>),
}

/// Flags of a verb, described when it is called: a start of a container does not pay for the words of all the others.
#[derive(Debug)]
pub struct Later<T>(T);

impl<T> std::ops::Deref for Later<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: clap::Args> clap::Args for Later<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(|command| {
            // What the verb says of itself stands; the words on its flags are for readers of the code.
            let (about, long_about) = (command.get_about().cloned(), command.get_long_about().cloned());
            T::augment_args(command).about(Resettable::from(about)).long_about(Resettable::from(long_about))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        T::augment_args_for_update(command)
    }
}

impl<T: clap::FromArgMatches> clap::FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Later)
    }

    fn from_arg_matches_mut(matches: &mut clap::ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches_mut(matches).map(Later)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}
