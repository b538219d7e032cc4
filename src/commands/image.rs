//! `glassbox image`: images to directories and bundles.

mod bundle;
mod inspect;
mod unpack;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Global;
use crate::error::Failure;
use crate::image::{EntryError, Image, ImageError, ImageName, Platform};

/// Flags of `glassbox image`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
IMAGE is PATH[:REFERENCE]. The path is an OCI image layout, as a directory or a
tar of one, or a docker-archive, what `docker save` writes; either tar may be
compressed. The reference is a tag, a name such as docker.io/library/web:latest,
a manifest's digest, or @N for the image of that number, from 0. It may be left
out where there is one image, or one called latest. `oci:`, `oci-archive:` and
`docker-archive:` in front, as skopeo has them, are taken too.

Example:
  docker save busybox -o busybox.tar
  glassbox image inspect busybox.tar
  sudo glassbox image bundle busybox.tar box
  sudo glassbox run --bundle box first")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Unpack an image's layers into a directory
    Unpack(unpack::Args),
    /// Show what an image is made of: config, layers, history, digests
    Inspect(inspect::Args),
    /// Make a bundle of an image: its files, and a config.json that starts its program
    Bundle(bundle::Args),
}

/// The image of a command line.
#[derive(Debug, Clone, clap::Args)]
struct Named {
    /// The image: PATH[:REFERENCE]
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Take the image for this platform, as linux/arm64 [default: the only one there is, else this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

/// Runs the command.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Unpack(args) => unpack::run(args),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Bundle(args) => bundle::run(args),
    }
}

impl Named {
    fn open(&self) -> anyhow::Result<Image> {
        let name = ImageName::parse(&self.image, |path| path.exists());
        Image::open(&name, self.platform.as_ref()).map_err(|error| self.told(error))
    }

    /// What is wrong with the image, and what to do about it.
    fn told(&self, error: ImageError) -> anyhow::Error {
        let hint = match &error {
            ImageError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
                Some("An image is a directory or a file: write PATH or PATH:TAG.".to_string())
            }
            ImageError::NotAnImage(_) => Some(
                "`docker save NAME -o FILE` and `skopeo copy docker://NAME oci:DIR:TAG` write images that can be read."
                    .to_string(),
            ),
            ImageError::Name { found, .. } => {
                let name = found.first().map_or("@0", String::as_str);
                Some(format!("Name one behind the path, as in PATH:{name}."))
            }
            ImageError::Platform { found, .. } => {
                found.first().map(|found| format!("Say which you want, as in --platform {found}."))
            }
            ImageError::Digest { .. } | ImageError::Size { .. } | ImageError::Missing { .. } => {
                Some("The image is damaged or was changed: fetch it again.".to_string())
            }
            ImageError::Limit(limit) => Some(format!("If the image is honest, allow more with {}.", limit.flag)),
            ImageError::Exists(_) => Some("Name a directory that is not there yet, or an empty one.".to_string()),
            ImageError::Entry { cause, .. } => entry_hint(cause),
            ImageError::Invalid { .. } | ImageError::Io { .. } | ImageError::Interrupted => None,
        };
        // Most causes name the file themselves, and once is enough.
        let (name, said) = (format!("{:?}", self.image), error.to_string());
        let failure = match said.strip_prefix(&name) {
            Some(rest) => Failure::new(format!("image {name}{rest}")),
            None => Failure::new(format!("image {name}")).caused_by(error),
        };
        match hint {
            Some(hint) => failure.hint(hint).into(),
            None => failure.into(),
        }
    }
}

fn entry_hint(error: &EntryError) -> Option<String> {
    match error {
        EntryError::Depth(_) => Some("If the image is honest, allow more with --max-depth.".to_string()),
        EntryError::Device(_) => {
            Some("Leave device nodes out with --devices skip; containers get their own /dev.".to_string())
        }
        EntryError::Owner(_) => Some("Add a range that has it with --uid-map or --gid-map.".to_string()),
        EntryError::Call { cause, .. } if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            Some("Root may do that; an ordinary user unpacks with --rootless.".to_string())
        }
        EntryError::Archive(_) | EntryError::Name(_) | EntryError::Attribute(_) | EntryError::Call { .. } => None,
    }
}

/// Where something is made.
#[derive(Debug, Clone, clap::Args)]
struct Target {
    /// Directory to make; it is not there yet, or empty
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}
