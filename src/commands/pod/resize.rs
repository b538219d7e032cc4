//! `glassbox pod resize`.

use std::process::ExitCode;

use super::{Named, container, find, record, setting, told};
use crate::cli::Global;
use crate::commands::output;
use crate::error::Failure;
use crate::kube::levels::Ids;
use crate::kube::manifest::Found;
use crate::kube::{Problem, place_found};
use crate::pod::order::{self, Order};
use crate::pod::record::Group;
use crate::pod::resize::{self, Amounts};
use crate::pod::{object, resize::amounts};

/// Flags of `glassbox pod resize`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo glassbox pod resize web --requests cpu=200m --limits cpu=500m,memory=128Mi

The cgroup files are written while the container runs; one whose resizePolicy says RestartContainer is started anew. The QoS class \
stays what it is, and no request or limit can be taken away.")]
pub struct Args {
    /// The pod
    #[command(flatten)]
    pub pod: Named,
    /// The container [default: the only one, or the first app container]
    #[arg(long, short, value_name = "NAME")]
    pub container: Option<String>,
    /// New requests, such as cpu=200m,memory=64Mi
    #[arg(long, value_name = "AMOUNTS", value_parser = amounts, required_unless_present = "limits")]
    pub requests: Option<Amounts>,
    /// New limits, such as cpu=500m,memory=128Mi
    #[arg(long, value_name = "AMOUNTS", value_parser = amounts)]
    pub limits: Option<Amounts>,
}

/// Changes what a container may use.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let home = find(&args.pod, global)?;
    let record = record(&home)?;
    let name = container(&home, &record, args.container.as_deref())?;
    let setting = setting(&record)?;
    let mut pod = record.pod.clone();
    let spec = pod.spec.get_or_insert_default();
    let all = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    for one in all.filter(|one| one.name == name) {
        let given = |list: &Option<Amounts>| list.clone().unwrap_or_default();
        resize::amend(one, &given(&args.requests), &given(&args.limits));
    }
    let place = |pod| {
        place_found(&Found { pod: object::to_json(pod), prefix: String::new(), owner: None }, &setting, Ids::Unknown)
    };
    let refused = |problems: Vec<Problem>| {
        let listed: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(format!("pod {} cannot be resized so: {}", home.pod_name(), listed.join("; ")))
    };
    let (old, new) = (place(&record.pod).map_err(refused)?, place(&pod).map_err(refused)?);
    let problems = resize::problems(&old, &new, &setting);
    if !problems.is_empty() {
        return Err(refused(problems).into());
    }
    let groups = new.levels.iter().map(Group::of).collect();
    match order::send(&home, &Order::Resize { pod: Box::new(pod), groups }).map_err(told)?.as_deref() {
        Some("ok") => output::print(&format!("pod {} resized\n", home.pod_name()))?,
        Some(answer) => return Err(Failure::new(format!("pod {}: {answer}", home.pod_name())).into()),
        None => {
            let failure = Failure::new(format!("pod {} does not run", home.pod_name()));
            return Err(failure.hint("`glassbox pod describe` tells what became of it.").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}
