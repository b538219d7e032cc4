//! systemd on the bus: start a container's scope, change its properties, stop it. The names and the values are decided in
//! `scope/`; the client is that of cgroups-rs.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cgroups_rs::systemd::{PIDS, SystemdClient};
use zbus::blocking::Connection;
use zbus::zvariant::Value as Wire;

use super::scope::{Property, Value};

/// How long systemd may take for a job. Its own limit for starting a unit is 90 seconds (systemd-system.conf(5)).
const PATIENCE: Duration = Duration::from_secs(30);

/// A call of systemd's that failed, as the call: `StartTransientUnit("web.scope") = …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call} = {answer}")]
pub struct SystemdError {
    /// The method with the unit's name.
    pub call: String,
    /// What came back.
    pub answer: String,
}

impl SystemdError {
    /// A unit of this name is there already.
    pub fn is_taken(&self) -> bool {
        self.answer.contains("org.freedesktop.systemd1.UnitExists")
    }
}

/// The unit whose cgroup a directory is, by its name; none where it is no slice and no scope.
pub fn unit_of(directory: &Path) -> Option<&str> {
    let name = directory.file_name()?.to_str()?;
    [".slice", ".scope"].iter().any(|kind| name.ends_with(kind)).then_some(name)
}

/// Starts the scope `unit` with the process `pid` in it, and comes back when the process is in `cgroup`, the scope's cgroup
/// below the root of the hierarchy: the method's own answer says only that systemd has taken the job.
pub fn start(unit: &str, cgroup: &str, properties: &[Property], pid: i32) -> Result<(), SystemdError> {
    let failed = |answer: String| SystemdError { call: format!("StartTransientUnit({unit:?})"), answer };
    let mut wired: Vec<_> = properties.iter().map(|property| (property.name.as_ref(), wire(&property.value))).collect();
    wired.push((PIDS, Wire::new(vec![pid as u32])));
    let client = SystemdClient::new(unit, wired).map_err(|error| failed(error.to_string()))?;
    client.start().map_err(|error| failed(error.to_string()))?;
    let mut pause = Duration::from_micros(500);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let at = cgroup_of(pid).ok_or_else(|| failed("the process ended before it was in the scope".to_string()))?;
        if at.trim_start_matches('/') == cgroup {
            return Ok(());
        }
        if at.ends_with(&format!("/{unit}")) {
            return Err(failed(format!("systemd has put the process into {at} and not into /{cgroup}")));
        }
        if Instant::now() > deadline {
            return Err(failed(format!("the process is still in {at} after {} s", PATIENCE.as_secs())));
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Starts the slice `unit`, and comes back when its cgroup is there, below the root of the hierarchy at `directory`; one that
/// is there already gets the properties. A slice has no process, and so the client of cgroups-rs starts none.
pub fn start_slice(unit: &str, directory: &Path, properties: &[Property]) -> Result<(), SystemdError> {
    let failed = |answer: String| SystemdError { call: format!("StartTransientUnit({unit:?})"), answer };
    let bus = Connection::system().map_err(|error| failed(error.to_string()))?;
    let wired: Vec<_> = properties.iter().map(|property| (property.name.as_ref(), wire(&property.value))).collect();
    let none: [(&str, Vec<(&str, Wire<'_>)>); 0] = [];
    let (path, interface) = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
    let body = (unit, "replace", wired, &none[..]);
    let started = bus.call_method(Some("org.freedesktop.systemd1"), path, Some(interface), "StartTransientUnit", &body);
    match started.map_err(|error| failed(error.to_string())) {
        Err(error) if error.is_taken() => set(unit, properties)?,
        started => drop(started?),
    }
    let deadline = Instant::now() + PATIENCE;
    while !directory.is_dir() {
        if Instant::now() > deadline {
            return Err(failed(format!("{directory:?} is not there after {} s", PATIENCE.as_secs())));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Changes properties of a unit that is there, until the next start of the machine (SetUnitProperties, runtime).
pub fn set(unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
    let failed = |answer: String| SystemdError { call: format!("SetUnitProperties({unit:?})"), answer };
    if properties.is_empty() {
        return Ok(());
    }
    let mut client = SystemdClient::new(unit, Vec::new()).map_err(|error| failed(error.to_string()))?;
    let named = |property: &Property| match &property.name {
        Cow::Borrowed(name) => Some((*name, wire(&property.value))),
        // The client wants names that live as long as the program; those that a limit has do.
        Cow::Owned(_) => None,
    };
    let properties: Vec<_> = properties.iter().filter_map(named).collect();
    client.set_properties(&properties).map_err(|error| failed(error.to_string()))
}

/// Stops a unit whose processes are gone, and forgets that it failed if it did (an OOM kill is a failure to systemd, and
/// a unit that failed stays). Comes back when there is no such unit; that there was none is no error.
pub fn stop(unit: &str) -> Result<(), SystemdError> {
    let failed = |answer: String| SystemdError { call: format!("StopUnit({unit:?})"), answer };
    let client = SystemdClient::new(unit, Vec::new()).map_err(|error| failed(error.to_string()))?;
    let stop = || match client.stop() {
        // It was there to be stopped and went by itself before it could be forgotten.
        Err(error) if !error.to_string().contains("NoSuchUnit") => Err(failed(error.to_string())),
        Ok(()) | Err(_) => Ok(()),
    };
    let deadline = Instant::now() + PATIENCE;
    let mut asked = Instant::now();
    stop()?;
    while client.exists() {
        if Instant::now() > deadline {
            return Err(failed(format!("the unit is still there after {} s", PATIENCE.as_secs())));
        }
        // Asked too often it never goes: to stop a slice loads it, and what was just loaded exists.
        if asked.elapsed() > Duration::from_millis(200) {
            asked = Instant::now();
            stop()?;
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The cgroup of a process; none where the process is gone.
fn cgroup_of(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_string)
}

/// A value as the bus carries it.
fn wire(value: &Value) -> Wire<'static> {
    match value.clone() {
        Value::Bool(value) => Wire::new(value),
        Value::Byte(value) => Wire::new(value),
        Value::Int16(value) => Wire::new(value),
        Value::Uint16(value) => Wire::new(value),
        Value::Int32(value) => Wire::new(value),
        Value::Uint32(value) => Wire::new(value),
        Value::Int64(value) => Wire::new(value),
        Value::Uint64(value) => Wire::new(value),
        Value::Double(value) => Wire::new(value),
        Value::Text(value) => Wire::new(value),
        Value::Texts(values) => Wire::new(values),
        Value::Bytes(values) => Wire::new(values),
        Value::Pairs(pairs) => Wire::new(pairs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_on_the_bus() {
        let all = [
            (Value::Bool(true), "b"),
            (Value::Uint64(1), "t"),
            (Value::Text("x".into()), "s"),
            (Value::Texts(Vec::new()), "as"),
            (Value::Bytes(vec![1]), "ay"),
            (Value::Pairs(Vec::new()), "a(ss)"),
            (Value::Double(0.5), "d"),
        ];
        for (value, signature) in all {
            assert_eq!(value.words()[0], signature);
            assert_eq!(wire(&value).value_signature().to_string(), signature);
        }
    }
}
