//! `glassbox ps`.

use std::process::{Command, ExitCode};

use super::container::{id, store, told};
use super::list::Format;
use super::output;
use crate::cli::Global;
use crate::error::Failure;
use crate::runtime;

/// Flags of `glassbox ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox ps web -o pid,comm")]
pub struct Args {
    /// Table for people or JSON (process ids alone) for programs
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
    /// Options of ps(1), in place of -ef
    #[arg(value_name = "PS-OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    pub options: Vec<String>,
}

/// Shows the processes of a container, by the ids that the host knows them by.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let pids = runtime::processes(&store(global), &id(&args.id)?).map_err(told)?;
    if args.format == Format::Json {
        output::print(&format!("{}\n", serde_json::to_string(&pids)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = if args.options.is_empty() { vec!["-ef".to_string()] } else { args.options.clone() };
    let ps = Command::new("ps").args(&options).output().map_err(|cause| {
        Failure::new("cannot run ps").caused_by(cause).hint("Install procps, or use --format json.")
    })?;
    if !ps.status.success() {
        let said = String::from_utf8_lossy(&ps.stderr).trim().to_string();
        return Err(Failure::new(format!("ps {}: {said}", options.join(" "))).into());
    }
    output::print(&table(&String::from_utf8_lossy(&ps.stdout), &pids)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The header of a table of ps(1) and the lines of these processes.
fn table(text: &str, pids: &[i32]) -> anyhow::Result<String> {
    let header = text.lines().next().unwrap_or_default();
    let column = header.split_whitespace().position(|title| title == "PID").ok_or_else(|| {
        Failure::new("the table of ps has no column PID").hint("Have ps print it: -o pid,comm for example.")
    })?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = std::iter::once(header).chain(text.lines().skip(1).filter(ours));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn only_the_containers_processes_stand_below_the_header() {
        let text = "UID   PID CMD\nroot   12 sleep 12\nroot   13 ps\n";
        assert_eq!(table(text, &[12]).expect("a column"), "UID   PID CMD\nroot   12 sleep 12\n");
        assert!(table("CMD\nsleep\n", &[12]).is_err());
    }
}
