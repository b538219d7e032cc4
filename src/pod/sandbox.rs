//! A pod's sandbox: its cgroups, its volumes and own files, the pause process that holds the shared namespaces, and the
//! network. [`make`] is the story; [`renew`] tells the part of it that is told again when the pause process was lost; [`remove`]
//! undoes it, whoever is left to do that.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1 as api;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::cgroup;
use super::config;
use super::error::PodError;
use super::facts::Facts;
use super::object;
use super::pause;
use super::record::{Attachment, Home, Record};
use super::volumes;
use crate::kube::levels::Rank;
use crate::net::{self, HostPort, Network, Protocol, cni, hosts};
use crate::runtime::{self, Bundle, RuntimeError, Store, Until, Voice, identity};
use crate::spec::ContainerId;

/// The sandbox of a pod that runs.
#[derive(Debug)]
pub struct Sandbox {
    /// The pause process.
    pub pid: i32,
    /// The same, as a descriptor; it is a child of ours.
    pub pidfd: OwnedFd,
    /// The pod's address.
    pub address: Option<IpAddr>,
    /// Where each volume is.
    pub volumes: Vec<(String, PathBuf)>,
    /// The controllers that the hierarchy has.
    pub controllers: Vec<String>,
}

/// The id of a container of a pod in the runtime's state; `_pause` is the sandbox.
pub fn container_id(record: &Record, container: &str, run: u32) -> Result<ContainerId, PodError> {
    let text = format!("{}_{container}_{run}", object::key(&record.pod));
    ContainerId::new(&text).map_err(|error| PodError::Config(error.to_string()))
}

/// Makes the sandbox.
pub fn make(home: &Home, record: &Record, facts: &Facts<'_>) -> Result<Sandbox, PodError> {
    let spec = object::spec(&record.pod);
    let controllers = cgroup::make(home, record)?;
    let mut made = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        made.push((volume.name.clone(), volumes::prepare(home, volume, facts)?));
    }
    let (created, address) = hold(home, record, &spec, &controllers)?;
    Ok(Sandbox { pid: created.pid, pidfd: created.pidfd, address, volumes: made, controllers })
}

/// Makes the sandbox anew, whose pause process is gone and whose containers have ended. Its volumes and cgroups stay.
pub fn renew(home: &Home, record: &Record, sandbox: &mut Sandbox) -> Result<(), PodError> {
    // Its end has been taken where this is tried again.
    let _ = waitid(WaitId::PidFd(sandbox.pidfd.as_fd()), WaitIdOptions::EXITED);
    detach(home, record)?;
    let failed = |cause| PodError::Container { container: "sandbox".into(), cause: Box::new(cause) };
    let (store, id) = (Store::new(record.store.clone()), container_id(record, "_pause", 0)?);
    if store.ids().map_err(failed)?.contains(&id) {
        runtime::delete(&store, &id, true).map_err(failed)?;
    }
    let _ = unmount(home.path().join("shm"), UnmountFlags::DETACH);
    let (created, address) = hold(home, record, &object::spec(&record.pod), &sandbox.controllers)?;
    (sandbox.pid, sandbox.pidfd, sandbox.address) = (created.pid, created.pidfd, address);
    Ok(())
}

/// Whether the pause process ends or has ended. One that is the first of a PID namespace is not gone before all others in it are,
/// but its flags tell (`PF_EXITING` of linux/sched.h; proc_pid_stat(5)).
pub fn is_gone(pid: i32) -> bool {
    const EXITING: u32 = 4;
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u32>().ok());
    flags.is_none_or(|flags| flags & EXITING != 0)
}

/// What the namespaces hold: shared memory, the pause process, the network, and the files that tell of them.
fn hold(
    home: &Home,
    record: &Record,
    spec: &api::PodSpec,
    controllers: &[String],
) -> Result<(runtime::Created, Option<IpAddr>), PodError> {
    let shm = home.path().join("shm");
    fs::create_dir_all(&shm).map_err(|cause| PodError::file(&shm, cause))?;
    mount("shm", &shm, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, c"mode=1777,size=65536k")
        .map_err(|errno| PodError::call(format!("mount a tmpfs on {shm:?}"), errno.into()))?;
    let created = start_pause(home, record, spec, controllers)?;
    let address = attach(home, record, spec, created.pid)?;
    own_files(home, record, spec, address)?;
    Ok((created, address))
}

/// The pod's host name: a node's name may have at most 63 characters.
pub fn hostname(pod: &api::Pod) -> String {
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let own = pod.spec.as_ref().and_then(|spec| given(&spec.hostname_override).or(given(&spec.hostname)));
    let name = own.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_string()
}

fn start_pause(
    home: &Home,
    record: &Record,
    spec: &api::PodSpec,
    controllers: &[String],
) -> Result<runtime::Created, PodError> {
    let group = record.group(Rank::Sandbox).ok_or_else(|| PodError::Config("the record has no sandbox".into()))?;
    let id = container_id(record, "_pause", 0)?;
    let bundle = home.bundle("_pause");
    let rootfs = bundle.join("rootfs");
    pause::rootfs(&rootfs).map_err(|cause| PodError::file(&rootfs, cause))?;
    let config = config::sandbox(spec, &hostname(&record.pod), group, id.as_str(), controllers);
    create(&record.store, &id, &bundle, &config)
        .map_err(|cause| PodError::Container { container: "sandbox".into(), cause: Box::new(cause) })
}

/// Writes a bundle's config.json and makes the container in it.
pub fn create(
    store: &Path,
    id: &ContainerId,
    bundle: &Path,
    config: &serde_json::Value,
) -> Result<runtime::Created, RuntimeError> {
    let path = bundle.join("config.json");
    fs::write(&path, format!("{config:#}")).map_err(|cause| RuntimeError::Bundle { path, what: cause.to_string() })?;
    let bundle = Bundle::load(bundle)?;
    // A path of three parts names a scope; a directory's has none of these.
    let linux = bundle.config.spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref());
    let systemd_cgroup = path.is_some_and(|path| path.to_string_lossy().contains(".slice:"));
    let options = runtime::Options { systemd_cgroup, ..runtime::Options::default() };
    let store = Store::new(store.to_path_buf());
    let plan = runtime::plan(&store, id, &bundle, options)?;
    runtime::create(&store, id, &bundle, &plan, Until::Running, &Voice::silent())
}

fn attach(home: &Home, record: &Record, spec: &api::PodSpec, pid: i32) -> Result<Option<IpAddr>, PodError> {
    let namespace = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let ports = host_ports(spec);
    match &record.network {
        Attachment::None => Ok(None),
        Attachment::Bridge { bridge, range, state } => {
            let range = range.parse().map_err(|error: net::RangeError| PodError::Config(error.to_string()))?;
            let network = Network { bridge: bridge.clone(), range, state: state.clone() };
            let file = File::open(&namespace).map_err(|cause| PodError::file(&namespace, cause))?;
            let attached = net::attach(&network, &object::key(&record.pod), file.as_fd(), &ports)?;
            Ok(Some(IpAddr::V4(attached.address)))
        }
        Attachment::Cni { conf } => {
            let chain = cni::Chain::load(conf)?;
            let (id, args) = (object::key(&record.pod), cni_args(record));
            let sandbox = cni::Sandbox { id: &id, namespace: &namespace, args: &args, ports: &ports };
            let (addresses, result) = chain.attach(sandbox)?;
            home.write("cni.json", &result)?;
            Ok(addresses.first().copied())
        }
    }
}

fn cni_args(record: &Record) -> String {
    let metadata = &record.pod.metadata;
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let (namespace, name) = (part(&metadata.namespace), part(&metadata.name));
    format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID={}", part(&metadata.uid))
}

fn host_ports(spec: &api::PodSpec) -> Vec<HostPort> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let ports = containers.flat_map(|one| one.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let protocol = match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            let number = |port: i32| u16::try_from(port).ok().filter(|port| *port > 0);
            Some(HostPort {
                protocol,
                host_port: number(port.host_port?)?,
                container_port: number(port.container_port)?,
                host_ip: port
                    .host_ip
                    .as_ref()
                    .and_then(|ip| ip.parse().ok())
                    .filter(|ip: &std::net::Ipv4Addr| !ip.is_unspecified()),
            })
        })
        .collect()
}

/// /etc/hosts, /etc/hostname and /etc/resolv.conf of the pod's containers.
fn own_files(home: &Home, record: &Record, spec: &api::PodSpec, address: Option<IpAddr>) -> Result<(), PodError> {
    let aliases: Vec<hosts::Alias> = spec
        .host_aliases
        .iter()
        .flatten()
        .filter_map(|alias| {
            Some(hosts::Alias { ip: alias.ip.parse().ok()?, names: alias.hostnames.clone().unwrap_or_default() })
        })
        .collect();
    let name = hostname(&record.pod);
    let node = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let hosts = match (spec.host_network, address) {
        (Some(true), _) => hosts::of_node(&node("/etc/hosts"), &aliases),
        (_, Some(address)) => hosts::file(address, &name, None, &aliases),
        (_, None) => hosts::file(IpAddr::from([127, 0, 0, 1]), &name, None, &aliases),
    };
    let hostname =
        if spec.host_network == Some(true) { node("/proc/sys/kernel/hostname") } else { format!("{name}\n") };
    for (file, text) in
        [("hosts", hosts), ("hostname", hostname), ("resolv.conf", resolv_conf(spec, &node("/etc/resolv.conf")))]
    {
        let path = home.path().join(file);
        fs::write(&path, text).map_err(|cause| PodError::file(path, cause))?;
    }
    Ok(())
}

/// The node's resolver, with what the pod's dnsConfig adds; the policy None leaves the node's out. There is no cluster DNS, so
/// ClusterFirst is as Default.
fn resolv_conf(spec: &api::PodSpec, node: &str) -> String {
    let mut text = if spec.dns_policy.as_deref() == Some("None") { String::new() } else { node.to_string() };
    if let Some(config) = &spec.dns_config {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        config.nameservers.iter().flatten().for_each(|server| text.push_str(&format!("nameserver {server}\n")));
        if let Some(searches) = config.searches.as_ref().filter(|list| !list.is_empty()) {
            text.push_str(&format!("search {}\n", searches.join(" ")));
        }
        for option in config.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            let value = option.value.as_ref().map(|value| format!(":{value}")).unwrap_or_default();
            text.push_str(&format!("options {name}{value}\n"));
        }
    }
    text
}

/// Undoes all that a pod has on the machine: its supervisor, if another process is that, its processes, containers, network
/// and cgroups. What is gone already is no error. The directory with its status and logs stays.
pub fn remove(home: &Home, record: &Record) -> Result<(), PodError> {
    if let Some(supervisor) = home.supervisor()?.filter(|one| one.pid != std::process::id() as i32) {
        end(&supervisor)?;
    }
    detach(home, record)?;
    cgroup::kill(record)?;
    let store = Store::new(record.store.clone());
    let own = format!("{}_", object::key(&record.pod));
    let containers =
        store.ids().map_err(|cause| PodError::Container { container: "containers".into(), cause: Box::new(cause) })?;
    for id in containers.into_iter().filter(|id| id.as_str().starts_with(&own)) {
        runtime::delete(&store, &id, true)
            .map_err(|cause| PodError::Container { container: id.to_string(), cause: Box::new(cause) })?;
    }
    cgroup::remove(home, record)
}

fn detach(home: &Home, record: &Record) -> Result<(), PodError> {
    match &record.network {
        Attachment::None => Ok(()),
        Attachment::Bridge { state, .. } => Ok(net::detach(state, &object::key(&record.pod))?),
        Attachment::Cni { conf } => {
            let path = home.path().join("cni.json");
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
                Err(cause) => return Err(PodError::file(path, cause)),
            };
            let result = serde_json::from_slice(&text).unwrap_or_default();
            let (id, args) = (object::key(&record.pod), cni_args(record));
            let ports = host_ports(&object::spec(&record.pod));
            // Where the namespace is gone with its process, plugins clean up what they know of it (CNI specification, DEL).
            let pause = container_id(record, "_pause", 0)?;
            let pid = runtime::view(&Store::new(record.store.clone()), &pause).map_or(0, |view| view.pid);
            let namespace = if pid > 0 { PathBuf::from(format!("/proc/{pid}/ns/net")) } else { PathBuf::new() };
            let sandbox = cni::Sandbox { id: &id, namespace: &namespace, args: &args, ports: &ports };
            cni::Chain::load(conf)?.detach(sandbox, &result)?;
            fs::remove_file(&path).map_err(|cause| PodError::file(path, cause))
        }
    }
}

/// Ends a process that may be gone already, and waits for it.
fn end(process: &identity::Identity) -> Result<(), PodError> {
    let what = || format!("end the supervisor, process {}", process.pid);
    let Some(pidfd) = identity::open(process).map_err(|errno| PodError::call(what(), errno.into()))? else {
        return Ok(());
    };
    let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
    let mut waiting = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: cgroup::KILL_SECONDS, tv_nsec: 0 };
    rustix::event::poll(&mut waiting, Some(&limit)).map(drop).map_err(|errno| PodError::call(what(), errno.into()))
}
