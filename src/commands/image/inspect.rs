//! `glassbox image inspect`: what an image is made of.

use std::process::ExitCode;

use clap::ValueEnum;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Named;
use crate::commands::output;
use crate::image::{Image, Layer};
use crate::plan::{printable, wrapped};

/// Columns of the text format.
const WIDTH: usize = 80;

/// Flags of `glassbox image inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  glassbox image inspect busybox.tar
  glassbox image inspect --format json layout:latest

Index, manifest and config are verified by their digests; the layers are when
they are unpacked.

Exit codes: 0 when it is printed, 1 when there is no such image or it is
damaged, 2 for a wrong command line.")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

/// Prints the image.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let image = args.named.open()?;
    let text = match args.format {
        Format::Text => text(&image),
        Format::Json => serde_json::to_string_pretty(&as_json(&image))? + "\n",
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(image: &Image) -> Value {
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| {
            json!({
                "digest": layer.digest.as_ref().map(ToString::to_string),
                "diffId": layer.diff_id.to_string(),
                "mediaType": layer.media_type,
                "size": layer.size,
            })
        })
        .collect();
    json!({
        "transport": image.transport.name(),
        "names": image.names,
        "indexes": image.indexes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "manifest": image.manifest.as_ref().map(ToString::to_string),
        "id": image.id.to_string(),
        "size": image.size(),
        "layers": layers,
        "config": image.document,
    })
}

/// A field's name and its values; one without values is not printed.
type Field = (&'static str, Vec<String>);

fn text(image: &Image) -> String {
    let one = |value: &Option<String>| value.iter().filter(|value| !value.is_empty()).cloned().collect::<Vec<_>>();
    let config = &image.config;
    let mut text = fields(&[
        ("names", image.names.clone()),
        ("from", vec![image.transport.name().to_string()]),
        ("platform", vec![image.platform().to_string()]),
        ("created", one(config.created())),
        ("author", one(config.author())),
        ("size", vec![format!("{}, {} layers", HumanBytes(image.size()), image.layers.len())]),
    ]);
    let run = config.config().clone().unwrap_or_default();
    let words = |words: &Option<Vec<String>>| match words.as_deref().unwrap_or_default() {
        [] => Vec::new(),
        words => vec![serde_json::to_string(words).unwrap_or_default()],
    };
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.sort();
        list
    };
    let mut labels: Vec<_> = run.labels().iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    labels.sort();
    let program = fields(&[
        ("entrypoint", words(run.entrypoint())),
        ("cmd", words(run.cmd())),
        ("user", one(run.user())),
        ("workdir", one(run.working_dir())),
        ("env", run.env().clone().unwrap_or_default()),
        ("ports", sorted(run.exposed_ports())),
        ("volumes", sorted(run.volumes())),
        ("stop signal", one(run.stop_signal())),
        ("labels", labels),
    ]);
    if !program.is_empty() {
        text += &format!("\nConfig\n{program}");
    }
    text += &format!("\nLayers, lowest first\n{}", layers(image));
    text += &history(image);
    text + &format!("\nDigests\n{}", digests(image))
}

fn fields(fields: &[Field]) -> String {
    let mut text = String::new();
    for (name, values) in fields {
        let mut name = *name;
        for value in values {
            let mut name_of_line = name;
            for line in wrapped(&printable(value), WIDTH - 15) {
                text += &format!("  {name_of_line:<11}  {line}\n");
                name_of_line = "";
            }
            name = "";
        }
    }
    text
}

/// A line a layer: number, size, what it is, the start of its digest.
fn layers(image: &Image) -> String {
    let line = |(index, layer): (usize, &Layer)| {
        let kind = layer.media_type.as_deref().map_or("tar", |media_type| short(media_type));
        let digest = layer.digest.as_ref().unwrap_or(&layer.diff_id).to_string();
        let size = HumanBytes(layer.size).to_string();
        format!("  {:>3}  {size:>10}  {kind:<10}  {digest:.31}…\n", index + 1)
    };
    image.layers.iter().enumerate().map(line).collect()
}

/// `tar+gzip` of a media type.
fn short(media_type: &str) -> &str {
    media_type.find("tar").map_or(media_type, |at| &media_type[at..])
}

/// A paragraph a step of the build, with the number of the layer that it made.
fn history(image: &Image) -> String {
    let steps = image.config.history().as_deref().unwrap_or_default();
    if steps.is_empty() {
        return String::new();
    }
    let mut text = "\nHistory, each step with the layer that it made\n".to_string();
    let mut layer = 0;
    for step in steps {
        let number = match step.empty_layer() {
            Some(true) => "-".to_string(),
            _ => {
                layer += 1;
                layer.to_string()
            }
        };
        let told = step.created_by().as_deref().or(step.comment().as_deref()).unwrap_or("(not told)");
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for (index, line) in wrapped(&printable(&told), WIDTH - 7).iter().enumerate() {
            text += &format!("  {:>3}  {line}\n", if index == 0 { &number } else { "" });
        }
    }
    text
}

/// What names what by its digest, as a tree.
fn digests(image: &Image) -> String {
    let mut text = String::new();
    let mut depth = 0;
    let above = image.indexes.iter().map(|digest| ("index", digest));
    for (name, digest) in above.chain(image.manifest.iter().map(|digest| ("manifest", digest))) {
        text += &branch(depth, name, digest.as_ref());
        depth += 1;
    }
    text += &branch(depth, "config", image.id.as_ref());
    for (index, layer) in image.layers.iter().enumerate() {
        let name = format!("layer {}", index + 1);
        match &layer.digest {
            Some(digest) if *digest != layer.diff_id => {
                text += &branch(depth, &name, digest.as_ref());
                text += &branch(depth + 1, "tar", layer.diff_id.as_ref());
            }
            _ => text += &branch(depth, &name, layer.diff_id.as_ref()),
        }
    }
    text
}

/// A name on one line and its digest on the next, which alone takes 71 columns.
fn branch(depth: usize, name: &str, digest: &str) -> String {
    let indent = "  ".repeat(depth + 1);
    format!("{indent}{name}\n{indent}{digest}\n")
}
