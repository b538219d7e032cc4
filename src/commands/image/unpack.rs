//! `glassbox image unpack`, and what `bundle` shares with it: flags, progress, Ctrl-C.

use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use clap::ValueEnum;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Named, Target};
use crate::commands::output;
use crate::error::Failure;
use crate::image::{self, IdMap, Image, ImageError, Limits, Options, Owners, Place, Unpacked, Watch};
use crate::lab::interrupt::Interrupt;

/// Flags of `glassbox image unpack`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox image unpack busybox.tar rootfs
  glassbox image unpack --rootless layout:latest rootfs

Every blob and every layer is verified by its digest. All is made beside DIR and
renamed when it is whole: after an error, or Ctrl-C, nothing is left.

Exit codes: 0 when it is unpacked, 1 when it is not, 2 for a wrong command line,
128+N when ended by signal N.")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    how: How,
}

/// How layers become files.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct How {
    /// Let all files belong to whoever unpacks; needs no root
    #[arg(long, conflicts_with_all = ["uid_map", "gid_map"])]
    rootless: bool,
    /// Owners as a user namespace maps them: CONTAINER:HOST:SIZE, may be repeated
    #[arg(long, value_name = "MAP", value_parser = id_map, requires = "gid_map")]
    uid_map: Vec<IdMap>,
    /// Groups as a user namespace maps them: CONTAINER:HOST:SIZE, may be repeated
    #[arg(long, value_name = "MAP", value_parser = id_map, requires = "uid_map")]
    gid_map: Vec<IdMap>,
    /// What becomes of device nodes
    #[arg(long, value_name = "POLICY", default_value = "known")]
    devices: Devices,
    /// Tar entries of all layers, at most
    #[arg(long, value_name = "N", default_value_t = Limits::default().entries, help_heading = "Limits")]
    max_entries: u64,
    /// Names in one path, at most
    #[arg(long, value_name = "N", default_value_t = Limits::default().depth, help_heading = "Limits")]
    max_depth: usize,
    /// Size of all layers decompressed, at most: bytes, or with K, M, G, T
    #[arg(long, value_name = "SIZE", default_value = "128G", value_parser = size, help_heading = "Limits")]
    max_size: u64,
    /// How many times larger than its blob a layer of more than 64M may be
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio, help_heading = "Limits")]
    max_ratio: u64,
}

/// The values of `--devices`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Devices {
    /// Make null, zero, full, random, urandom, tty, console and ptmx; refuse any other
    Known,
    /// Make none
    Skip,
    /// Refuse an image that has any
    Refuse,
    /// Make all, block devices too
    All,
}

/// Unpacks an image.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    make(&args.named, &args.target, &args.how, |image, place, unpacking| {
        // The destination is the root file system itself, whose mode is the image's.
        let root = place.directory().try_clone_to_owned()?;
        let done = unpacking.unpack(image, root)?;
        Ok((done, Vec::new()))
    })
}

/// Makes the target of an image with `fill`, whole or not at all, and tells what was made.
pub(super) fn make(
    named: &Named,
    target: &Target,
    how: &How,
    fill: impl FnOnce(&Image, &Place, &Unpacking) -> anyhow::Result<(Unpacked, Vec<String>)>,
) -> anyhow::Result<ExitCode> {
    let options = how.options()?;
    let interrupt = Interrupt::take_over().map_err(|cause| Failure::new("cannot take signals").caused_by(cause))?;
    let image = named.open()?;
    let place = Place::new(&target.directory).map_err(|error| named.told(error))?;
    let progress = Progress { bar: bar(image.size()), interrupt: interrupt.clone() };
    let unpacking = Unpacking { named, options, progress };
    let result = fill(&image, &place, &unpacking);
    unpacking.progress.bar.finish_and_clear();
    if let Some(signal) = interrupt.came() {
        drop(place);
        output::eprint_line("interrupted; what was unpacked is removed")?;
        return Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or_default()));
    }
    let (done, notes) = result?;
    place.finish().map_err(|error| named.told(error))?;
    for warning in done.warnings.iter().chain(&notes) {
        output::eprint_line(&format!("warning: {warning}"))?;
    }
    let layers = match image.layers.len() {
        1 => "1 layer".to_string(),
        n => format!("{n} layers"),
    };
    let (entries, size) = (done.entries, HumanBytes(done.bytes));
    output::print(&format!("Unpacked {layers}, {entries} entries, {size}: {}\n", target.directory.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// An unpacking that is about to happen.
pub(super) struct Unpacking<'a> {
    named: &'a Named,
    pub(super) options: Options,
    progress: Progress,
}

impl Unpacking<'_> {
    /// Unpacks the layers into the empty directory `root`.
    pub(super) fn unpack(&self, image: &Image, root: OwnedFd) -> anyhow::Result<Unpacked> {
        image::unpack(image, root, &self.options, &self.progress).map_err(|error| self.told(error))
    }

    pub(super) fn told(&self, error: ImageError) -> anyhow::Error {
        self.named.told(error)
    }
}

impl How {
    fn options(&self) -> anyhow::Result<Options> {
        let root = rustix::process::geteuid().is_root();
        let owners = match (self.rootless, self.uid_map.is_empty()) {
            (true, _) => Owners::Mine,
            (false, true) => Owners::Kept,
            (false, false) => Owners::Mapped { users: self.uid_map.clone(), groups: self.gid_map.clone() },
        };
        if !root && owners != Owners::Mine {
            let failure = Failure::new("only root can give files to their owners");
            return Err(failure.hint("Unpack with --rootless: all files will be yours.").into());
        }
        Ok(Options {
            limits: Limits {
                entries: self.max_entries,
                depth: self.max_depth,
                bytes: self.max_size,
                ratio: self.max_ratio,
            },
            owners,
            devices: match self.devices {
                Devices::Known => image::Devices::Known,
                Devices::Skip => image::Devices::Skip,
                Devices::Refuse => image::Devices::Refuse,
                Devices::All => image::Devices::All,
            },
        })
    }
}

/// How far the unpacking is, on stderr where that is a terminal.
struct Progress {
    bar: ProgressBar,
    interrupt: Interrupt,
}

impl Watch for Progress {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn stop(&self) -> bool {
        self.interrupt.came().is_some()
    }
}

fn bar(size: u64) -> ProgressBar {
    let shown = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let template = "{bar:30} {percent:>3} % of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a valid template").progress_chars("=> ");
    ProgressBar::with_draw_target(Some(size), target).with_style(style)
}

/// `CONTAINER:HOST:SIZE`.
fn id_map(text: &str) -> Result<IdMap, String> {
    let numbers: Vec<_> = text.split(':').map(str::parse::<u32>).collect();
    match numbers.as_slice() {
        [Ok(container), Ok(host), Ok(size)] if *size > 0 => {
            Ok(IdMap { container: *container, host: *host, size: *size })
        }
        _ => Err("write CONTAINER:HOST:SIZE as in 0:100000:65536".to_string()),
    }
}

/// Bytes, or a number with K, M, G or T for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| "write bytes, or a number with K, M, G or T".to_string())
}
