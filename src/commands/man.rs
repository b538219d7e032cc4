//! `glassbox man`: the manual pages, made from the same definition as the help.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::output;
use crate::cli::{Cli, Global};
use crate::error::Failure;

/// Flags of `glassbox man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  glassbox man | man -l -
  sudo glassbox man /usr/local/share/man/man1 && man glassbox-run

Exit codes: 0 when all is written, 1 when it cannot be, 2 for a wrong command line.")]
pub struct Args {
    /// Directory for one page a command: glassbox.1, glassbox-run.1 … Without it, glassbox.1 is printed
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Prints one page, or writes them all.
pub fn run(args: &Args, _global: &Global) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &args.directory else {
        output::print_bytes(&page(&command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    for (name, page) in pages(&command)? {
        let path = directory.join(name);
        std::fs::write(&path, page).map_err(|cause| {
            Failure::new(format!("cannot write {}", path.display()))
                .caused_by(cause)
                .hint("The directory must be there already, and be yours to write.")
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The pages of a command and of all below it that are not hidden, with their file names.
fn pages(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut all = vec![(format!("{name}.1"), page(command)?)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        all.extend(pages(below)?);
    }
    Ok(all)
}

/// One page. clap_mangen would set what stands below the options as running text under "EXTRA"; it has lines of its own.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let page = Man::new(command.clone()).source(concat!("glassbox ", env!("CARGO_PKG_VERSION"))).manual("glassbox");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(notes) = command.get_after_long_help().or(command.get_after_help()) {
        text.extend_from_slice(b".SH NOTES\n.nf\n");
        text.extend(notes.to_string().lines().flat_map(|line| (verbatim(line) + "\n").into_bytes()));
        text.extend_from_slice(b".fi\n");
    }
    Ok(text)
}

/// A line that troff(1) prints as it stands: no escapes, no hyphens for minus signs, no request at its beginning.
fn verbatim(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_characters() {
        assert_eq!(verbatim(r".x '-\n'"), r"\&.x \(aq\-\en\(aq");
    }

    #[test]
    fn every_command_that_is_not_hidden_has_a_page() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let names: Vec<_> =
            pages(&command).expect("memory takes every page").into_iter().map(|(name, _)| name).collect();
        for name in ["glassbox.1", "glassbox-run.1", "glassbox-lab-start.1", "glassbox-man.1"] {
            assert!(names.contains(&name.to_string()), "{name} is not in {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("applet")), "{names:?}");
    }
}
