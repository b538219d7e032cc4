//! `glassbox pod delete`.

use std::process::ExitCode;
use std::time::Duration;

use super::{pods, told};
use crate::cli::Global;
use crate::commands::output;
use crate::pod::object;
use crate::pod::order;
use crate::pod::order::Order;
use crate::pod::record::Home;
use crate::pod::sandbox;

/// Flags of `glassbox pod delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod delete --grace-period 5 web")]
pub struct Args {
    /// The pods' namespace
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Seconds between SIGTERM and SIGKILL [default: the pod's terminationGracePeriodSeconds]
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// Without grace, also where the pod's own processes do not answer
    #[arg(long)]
    pub force: bool,
    /// The pods' names
    #[arg(value_name = "POD", required = true)]
    pub names: Vec<String>,
}

/// Ends pods and removes all that they had.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    for name in &args.names {
        let home = Home::find(&pods(global), &args.namespace, name).map_err(told)?;
        delete(args, &home)?;
        output::print(&format!("pod {} deleted\n", home.pod_name()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn delete(args: &Args, home: &Home) -> anyhow::Result<()> {
    // Without a record nothing was done yet.
    let Some(record) = home.record().map_err(told)? else { return home.remove().map_err(told) };
    let of_pod = object::spec(&record.pod).termination_grace_period_seconds.unwrap_or(30);
    let grace = if args.force { 0 } else { args.grace_period.map_or(of_pod, i64::from) };
    let told_it = !args.force && order::send(home, &Order::Delete { grace, reason: None }).map_err(told)?.is_some();
    if told_it {
        // Sidecars are stopped one after the other, each with two seconds at least.
        let sidecars = object::spec(&record.pod).init_containers.map_or(0, |list| list.len() as u64);
        let limit = Duration::from_secs(u64::try_from(grace).unwrap_or(0).max(2) + 2 * sidecars + 30);
        order::wait_until_gone(home, limit).map_err(told)?;
    }
    if home.path().is_dir() {
        sandbox::remove(home, &record).map_err(told)?;
        home.remove().map_err(told)?;
    }
    Ok(())
}
