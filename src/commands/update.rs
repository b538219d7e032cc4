//! `glassbox update`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::container::{id, read_text, store, told};
use crate::cli::Global;
use crate::error::Failure;
use crate::runtime;
use crate::spec;

/// Flags of `glassbox update`, named as runc names them. What is not given stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  glassbox update --memory 128M --cpu-quota 50000 web")]
pub struct Args {
    /// Read the limits from this file (`-`: stdin), as `linux.resources` of config.json
    #[arg(long, short, value_name = "FILE")]
    pub resources: Option<PathBuf>,
    /// cpu.max: length of a period, in microseconds
    #[arg(long, value_name = "US")]
    pub cpu_period: Option<u64>,
    /// cpu.max: CPU time in a period, in microseconds; -1 is no limit
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// cpu.max.burst: CPU time that may be saved up, in microseconds
    #[arg(long, value_name = "US")]
    pub cpu_burst: Option<u64>,
    /// cpu.weight, given as cgroup v1 shares (1024 is 100)
    #[arg(long, value_name = "SHARES")]
    pub cpu_share: Option<u64>,
    /// cpu.idle: 1 runs only when nobody else does
    #[arg(long, value_name = "0|1")]
    pub cpu_idle: Option<i64>,
    /// Refused: cgroup v2 has no real-time limits
    #[arg(long, value_name = "US", hide = true)]
    pub cpu_rt_period: Option<u64>,
    /// Refused: cgroup v2 has no real-time limits
    #[arg(long, value_name = "US", hide = true, allow_hyphen_values = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// cpuset.cpus
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// cpuset.mems
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// memory.max, with a suffix such as M; -1 is no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory: Option<String>,
    /// memory.low
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_reservation: Option<String>,
    /// memory.swap.max, given as memory and swap together; -1 is no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Ignored, as runc does: the kernel's memory counts as memory
    #[arg(long, value_name = "BYTES", hide = true, allow_hyphen_values = true)]
    pub kernel_memory: Option<String>,
    /// Ignored, as runc does
    #[arg(long, value_name = "BYTES", hide = true, allow_hyphen_values = true)]
    pub kernel_memory_tcp: Option<String>,
    /// pids.max; -1 is no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// io.weight, given as a blkio weight from 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
    /// Refused: glassbox does not share out caches
    #[arg(long, value_name = "SCHEMA", hide = true)]
    pub l3_cache_schema: Option<String>,
    /// Refused: glassbox does not share out memory bandwidth
    #[arg(long, value_name = "SCHEMA", hide = true)]
    pub mem_bw_schema: Option<String>,
    /// Id of a container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Changes the limits of a container.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<ExitCode> {
    let id = id(&args.id)?;
    for (flag, given) in [("--l3-cache-schema", &args.l3_cache_schema), ("--mem-bw-schema", &args.mem_bw_schema)] {
        if given.is_some() {
            let hint = "Write the schema into a group of /sys/fs/resctrl by hand.";
            return Err(Failure::new(format!("{flag} is not supported by glassbox")).hint(hint).into());
        }
    }
    let (source, text) = match &args.resources {
        Some(path) if path == Path::new("-") => ("stdin".to_string(), read(path)?),
        Some(path) => (format!("{path:?}"), read(path)?),
        None => ("the flags".to_string(), from_flags(args)?.to_string()),
    };
    let resources = spec::parse_resources(&text).map_err(|error| {
        Failure::new(error.in_file(&source)).hint("The limits have the form of linux.resources in config.json.")
    })?;
    runtime::update(&store(global), &id, &resources).map_err(told)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let read = match path == Path::new("-") {
        true => read_text(std::io::stdin()),
        false => std::fs::File::open(path).and_then(read_text),
    };
    Ok(read.map_err(|cause| Failure::new(format!("cannot read the limits from {path:?}")).caused_by(cause))?)
}

fn from_flags(args: &Args) -> anyhow::Result<Value> {
    let mut json = Map::new();
    let mut set = |group: &str, name: &str, value: Option<Value>| {
        if let Some(value) = value {
            let group = json.entry(group).or_insert_with(|| Value::Object(Map::new()));
            group[name] = value;
        }
    };
    set("cpu", "period", args.cpu_period.map(Value::from));
    set("cpu", "quota", args.cpu_quota.map(Value::from));
    set("cpu", "burst", args.cpu_burst.map(Value::from));
    set("cpu", "shares", args.cpu_share.map(Value::from));
    set("cpu", "idle", args.cpu_idle.map(Value::from));
    set("cpu", "realtimePeriod", args.cpu_rt_period.map(Value::from));
    set("cpu", "realtimeRuntime", args.cpu_rt_runtime.map(Value::from));
    set("cpu", "cpus", args.cpuset_cpus.clone().map(Value::from));
    set("cpu", "mems", args.cpuset_mems.clone().map(Value::from));
    set("memory", "limit", bytes("--memory", args.memory.as_deref())?);
    set("memory", "reservation", bytes("--memory-reservation", args.memory_reservation.as_deref())?);
    set("memory", "swap", bytes("--memory-swap", args.memory_swap.as_deref())?);
    set("pids", "limit", args.pids_limit.map(Value::from));
    set("blockIO", "weight", args.blkio_weight.map(Value::from));
    Ok(Value::Object(json))
}

/// A number of bytes with an optional suffix, each a power of 1024 as in runc: `128M`, `1GB`, `1GiB`.
fn bytes(flag: &str, text: Option<&str>) -> anyhow::Result<Option<Value>> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || {
        Failure::new(format!("{flag}: {text:?} is not a number of bytes"))
            .hint("Write a whole number with or without one of the suffixes K M G T, or -1 for no limit.")
    };
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match lower[digits.len()..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong().into()),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    match number {
        -1 if shift == 0 => Ok(Some(Value::from(-1))),
        0.. => Ok(Some(number.checked_mul(1 << shift).ok_or_else(wrong)?.into())),
        _ => Err(wrong().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn suffixes_are_powers_of_1024() {
        let of = |text: &str| bytes("--memory", Some(text)).map(|value| value.and_then(|value| value.as_i64()));
        for (text, expected) in
            [("4096", 4096), ("1k", 1024), ("128M", 128 << 20), ("1GB", 1 << 30), ("2GiB", 2 << 30), ("-1", -1)]
        {
            assert_eq!(of(text).expect(text), Some(expected), "{text}");
        }
        for bad in ["", "x", "1.5G", "-5", "-1k", "9999999999T", "1X"] {
            assert!(of(bad).is_err(), "{bad:?} was taken");
        }
    }
}
