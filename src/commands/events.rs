//! `glassbox events`.

use std::process::ExitCode;
use std::time::Duration;

use super::container::{id, store, told};
use super::output;
use crate::cli::Global;
use crate::error::Failure;
use crate::runtime::{self, Event};

/// Flags of `glassbox events`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  glassbox events --stats web\n\nOne JSON object a line, as runc prints them; it ends \
                        when the container does."
)]
pub struct Args {
    /// How often to tell the numbers: 5s, 500ms, 1m30s
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub interval: String,
    /// Tell the numbers once, and end
    #[arg(long)]
    pub stats: bool,
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Tells what a container uses and when the kernel kills one of its processes for want of memory.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let (store, id, interval) = (store(global), id(&args.id)?, interval(&args.interval)?);
    if args.stats {
        print(&runtime::stats(&store, &id).map_err(told)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut watch = runtime::watch(&store, &id, interval).map_err(told)?;
    while let Some(event) = watch.next_event().map_err(told)? {
        print(&event)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(event: &Event) -> anyhow::Result<()> {
    Ok(output::print(&format!("{}\n", serde_json::to_string(event)?))?)
}

/// A time as Go's `time.ParseDuration` reads it.
fn interval(text: &str) -> anyhow::Result<Duration> {
    let wrong = || {
        Failure::new(format!("--interval: {text:?} is not a time above zero"))
            .hint("Write a number with its unit, such as 5s, 500ms or 1m30s.")
    };
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let positive = Duration::try_from(parsed).ok().filter(|interval| !interval.is_zero());
    Ok(positive.ok_or_else(wrong)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::interval;

    #[test]
    fn intervals_are_written_as_in_go() {
        for (text, milliseconds) in [("5s", 5000), ("500ms", 500), ("1m30s", 90_000), ("1.5s", 1500), ("1h", 3_600_000)]
        {
            assert_eq!(interval(text).expect(text), Duration::from_millis(milliseconds), "{text}");
        }
        for bad in ["", "5", "0s", "-1s", "5 apples"] {
            assert!(interval(bad).is_err(), "{bad:?} was taken");
        }
    }
}
