//! `glassbox image bundle`: an image as a bundle that `glassbox run` starts.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use rustix::process::{getegid, geteuid};

use super::unpack::{How, make};
use super::{Named, Target};
use crate::error::Failure;
use crate::image::{self, Owners};
use crate::spec;

/// Flags of `glassbox image bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox image bundle busybox.tar box
  sudo glassbox run --bundle box first

The image's entrypoint, command, environment, user, working directory and
volumes become the config.json's; ports, labels and the rest its annotations.
With --rootless you are root in the container, and nobody else is in it.
DIR has mode 0700: the image's set-user-ID programs are not for the users of
this machine.

Exit codes: as those of `glassbox image unpack`.")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    how: How,
}

/// Makes the bundle.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    make(&args.named, &args.target, &args.how, |image, place, unpacking| {
        let rootfs = place.subdirectory("rootfs").map_err(|error| unpacking.told(error))?;
        let done = unpacking.unpack(image, rootfs.try_clone()?)?;
        let owners = &unpacking.options.owners;
        let template = match owners {
            Owners::Kept | Owners::Mapped { .. } => spec::template(),
            Owners::Mine => spec::rootless_template(geteuid().as_raw(), getegid().as_raw()),
        };
        let (config, notes) =
            image::config_json(image, rootfs.as_fd(), owners, template).map_err(|error| unpacking.told(error))?;
        let mut text = serde_json::to_string_pretty(&config)?;
        text.push('\n');
        // What starts must be what `run` takes: an image can ask for things that no config.json may.
        spec::Config::parse(&text).map_err(|cause| Failure::new("the image's config").caused_by(cause))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let file = rustix::fs::openat(place.directory(), "config.json", flags, mode);
        std::fs::File::from(file?).write_all(text.as_bytes())?;
        Ok((done, notes))
    })
}
