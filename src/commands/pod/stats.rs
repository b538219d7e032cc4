//! `glassbox pod stats`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{pods, told};
use crate::cli::Global;
use crate::commands::output;
use crate::commands::qos::Format;
use crate::pod::object;
use crate::pod::record::{Home, Record};
use crate::pod::usage::{self, Disk, Used};

/// Flags of `glassbox pod stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sudo glassbox pod stats")]
pub struct Args {
    /// The pods' namespace
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Milliseconds over which CPU time is measured
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub interval: u64,
    /// How to print; json has the fields of the kubelet's /stats/summary
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// The pods' names [default: all]
    #[arg(value_name = "POD")]
    pub names: Vec<String>,
}

/// A pod or a container at two moments.
struct Measured {
    name: String,
    before: Used,
    after: Used,
}

/// A pod.
struct Pod {
    home: Home,
    record: Record,
    own: Measured,
    containers: Vec<Measured>,
}

/// Tells what pods use.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let mut found = Vec::new();
    for home in homes(args, global)? {
        let Some(record) = home.record().map_err(told)? else { continue };
        found.extend(pod(home, record)?);
    }
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(args.interval));
    let passed = begun.elapsed();
    for one in &mut found {
        one.own.after = one.record.pod_cgroup().map(|path| usage::of_group(&path)).unwrap_or_default();
        for container in &mut one.containers {
            let group = usage::container_group(&one.record, &container.name).map_err(told)?;
            container.after = group.map(|path| usage::of_group(&path)).unwrap_or_default();
        }
    }
    match args.format {
        Format::Json => output::print(&format!("{:#}\n", json(&found, passed)))?,
        Format::Text => output::print(&table(&found, passed))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn homes(args: &Args, global: &Global) -> anyhow::Result<Vec<Home>> {
    let pods = pods(global);
    if !args.names.is_empty() {
        let find = |name: &String| Home::find(&pods, &args.namespace, name).map_err(told);
        return args.names.iter().map(find).collect();
    }
    let all = Home::all(&pods).map_err(told)?;
    Ok(all.into_iter().filter(|home| home.pod_name().split('/').next() == Some(args.namespace.as_str())).collect())
}

/// `None` for a pod that has no cgroup any more.
fn pod(home: Home, record: Record) -> anyhow::Result<Option<Pod>> {
    let Some(path) = record.pod_cgroup().filter(|path| path.is_dir()) else { return Ok(None) };
    let used = |name: &str, used: Used| Measured { name: name.to_string(), before: used, after: used };
    let spec = object::spec(&record.pod);
    let mut containers = Vec::new();
    for one in spec.init_containers.iter().flatten().chain(&spec.containers) {
        if let Some(group) = usage::container_group(&record, &one.name).map_err(told)? {
            containers.push(used(&one.name, usage::of_group(&group)));
        }
    }
    let own = used(&home.pod_name(), usage::of_group(&path));
    Ok(Some(Pod { home, record, own, containers }))
}

impl Measured {
    /// Billionths of a CPU.
    fn nano_cores(&self, passed: Duration) -> Option<u64> {
        let used = self.after.cpu_usec?.saturating_sub(self.before.cpu_usec?);
        u64::try_from(u128::from(used) * 1_000_000_000_000 / passed.as_nanos().max(1)).ok()
    }
}

fn table(pods: &[Pod], passed: Duration) -> String {
    let mut rows = vec![["POD", "NAME", "CPU(cores)", "MEMORY(bytes)", "TASKS", "THROTTLED"].map(str::to_string)];
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    for pod in pods {
        for one in &pod.containers {
            let throttled = one.after.throttled.zip(one.before.throttled).and_then(|(now, then)| {
                let (held, all) = (now.0.checked_sub(then.0)?, now.1.checked_sub(then.1)?);
                (all > 0).then(|| format!("{}%", held * 100 / all))
            });
            rows.push([
                pod.own.name.clone(),
                one.name.clone(),
                // Rounded up, as kubectl top shows them.
                text(one.nano_cores(passed).map(|nanos| format!("{}m", nanos.div_ceil(1_000_000)))),
                text(one.after.working_set.map(|bytes| format!("{}Mi", bytes >> 20))),
                text(one.after.processes.map(|number| number.to_string())),
                text(throttled),
            ]);
        }
    }
    let widths: Vec<usize> = (0..6).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// As `k8s.io/kubelet/pkg/apis/stats/v1alpha1` has it.
fn json(pods: &[Pod], passed: Duration) -> Value {
    let time = Timestamp::now().to_string();
    let measured = |one: &Measured| {
        json!({"name": one.name,
            "cpu": {"time": time, "usageNanoCores": one.nano_cores(passed),
                "usageCoreNanoSeconds": one.after.cpu_usec.map(|micros| micros * 1000)},
            "memory": {"time": time, "usageBytes": one.after.memory, "workingSetBytes": one.after.working_set,
                "rssBytes": one.after.rss},
            "swap": {"time": time, "swapUsageBytes": one.after.swap}})
    };
    let disk = |disk: Disk| json!({"time": time, "usedBytes": disk.bytes, "inodesUsed": disk.inodes});
    let pod = |pod: &Pod| {
        let mut whole = Disk::default();
        let container = |one: &Measured| {
            let (files, logs) = usage::container_disk(&pod.home, &one.name);
            let mut value = measured(one);
            (value["rootfs"], value["logs"]) = (disk(files), disk(logs));
            (value, files + logs)
        };
        let containers: Vec<_> = pod.containers.iter().map(container).collect();
        let spec = object::spec(&pod.record.pod);
        let volumes: Vec<_> = spec
            .volumes
            .iter()
            .flatten()
            .filter(|volume| volume.host_path.is_none())
            .map(|volume| (volume.name.clone(), usage::volume_disk(&pod.home, &volume.name)))
            .collect();
        whole = containers.iter().fold(whole, |sum, (_, own)| sum + *own);
        whole = volumes.iter().fold(whole, |sum, (_, own)| sum + *own);
        let metadata = &pod.record.pod.metadata;
        let mut value = measured(&pod.own);
        value["podRef"] = json!({"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid});
        value["startTime"] = json!(pod.record.created);
        value["containers"] = containers.into_iter().map(|(value, _)| value).collect();
        value["volume"] = volumes
            .into_iter()
            .map(|(name, used)| json!({"name": name, "usedBytes": used.bytes, "inodesUsed": used.inodes}))
            .collect();
        value["ephemeral-storage"] = disk(whole);
        value["process_stats"] = json!({"process_count": pod.own.after.processes});
        if let Some(value) = value.as_object_mut() {
            value.shift_remove("name");
        }
        value
    };
    json!({"pods": pods.iter().map(pod).collect::<Vec<_>>()})
}
