//! Who has which address: a file of leases, changed under a lock (flock(2)) and replaced whole by rename(2).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::error::NetError;
use super::port::HostPort;
use super::range::Range;

/// One sandbox's part of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lease {
    /// Its address.
    pub address: Ipv4Addr,
    /// The device of its pair that is on the node.
    pub device: String,
    /// Ports of the node that lead to it.
    pub ports: Vec<HostPort>,
}

/// All sandboxes' parts, and what the node was like before the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    /// The range that the addresses are of; empty where there are none.
    pub range: String,
    /// The bridge.
    pub bridge: String,
    /// Settings of the kernel (paths below /proc/sys) with the values that they had.
    pub changed: BTreeMap<String, String>,
    /// Leases by sandbox id.
    pub leases: BTreeMap<String, Lease>,
}

impl Table {
    /// Gives `id` an address of `range`: the one it has, else the first after the newest that is free, so that an address
    /// that was just given back rests a while.
    pub fn lease(&mut self, id: &str, range: Range, ports: &[HostPort]) -> Result<Lease, NetError> {
        for port in ports {
            let taken = |lease: &Lease| lease.ports.iter().any(|held| held.clashes(port));
            if let Some((holder, _)) = self.leases.iter().find(|(of, lease)| of.as_str() != id && taken(lease)) {
                let port = format!("{} {}", port.protocol, port.host_port);
                return Err(NetError::PortTaken { port, holder: holder.clone() });
            }
        }
        let address = match self.leases.get(id) {
            Some(lease) => lease.address,
            None => self.free(range)?,
        };
        let lease = Lease { address, device: device(address), ports: ports.to_vec() };
        self.leases.insert(id.to_string(), lease.clone());
        Ok(lease)
    }

    fn free(&self, range: Range) -> Result<Ipv4Addr, NetError> {
        let used: Vec<Ipv4Addr> = self.leases.values().map(|lease| lease.address).collect();
        let newest = used.iter().max().copied();
        let is_free = |address: &Ipv4Addr| !used.contains(address);
        let after = range.pods().find(|address| Some(*address) > newest && is_free(address));
        after
            .or_else(|| range.pods().find(is_free))
            .ok_or(NetError::Full { range: range.to_string(), used: used.len() })
    }
}

/// The name of a sandbox's device on the node: IFNAMSIZ leaves 15 characters, and the address is unique.
fn device(address: Ipv4Addr) -> String {
    format!("gb{:08x}", u32::from(address))
}

/// The file of leases, locked until it is dropped.
pub(super) struct Leases {
    path: PathBuf,
    _lock: File,
    /// What it says.
    pub table: Table,
}

impl Leases {
    /// Locks and reads the file in `directory`, which is made where it is not there.
    pub fn open(directory: &Path) -> Result<Leases, NetError> {
        fs::create_dir_all(directory).map_err(|cause| NetError::file(directory, cause))?;
        let lock_path = directory.join("lock");
        let failed = |cause| NetError::file(&lock_path, cause);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let path = directory.join("leases.json");
        let table = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| NetError::Leases { path: path.clone(), message: error.to_string() })?,
            Err(cause) if cause.kind() == ErrorKind::NotFound => Table::default(),
            Err(cause) => return Err(NetError::file(path, cause)),
        };
        Ok(Leases { path, _lock: lock, table })
    }

    /// Writes the table, whole or not at all.
    pub fn save(&self) -> Result<(), NetError> {
        let new = self.path.with_extension("new");
        let text = serde_json::to_vec(&self.table).expect("a table has only text keys");
        let write = || File::create(&new)?.write_all(&text).and_then(|()| fs::rename(&new, &self.path));
        write().map_err(|cause| NetError::file(&self.path, cause))
    }

    /// Removes the file: nobody has a lease any more. The lock stays, for whoever waits on it.
    pub fn remove(&self) -> Result<(), NetError> {
        match fs::remove_file(&self.path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(NetError::file(&self.path, cause)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::port::Protocol;
    use super::*;

    fn port(host_port: u16) -> HostPort {
        HostPort { protocol: Protocol::Tcp, host_port, container_port: 80, host_ip: None }
    }

    fn addresses(table: &Table) -> Vec<String> {
        table.leases.iter().map(|(id, lease)| format!("{id} {}", lease.address)).collect()
    }

    #[test]
    fn addresses_are_given_in_order_kept_and_reused_last() {
        let range: Range = "10.244.0.0/29".parse().unwrap();
        let mut table = Table::default();
        for id in ["a", "b", "c"] {
            table.lease(id, range, &[]).unwrap();
        }
        assert_eq!(table.lease("b", range, &[]).unwrap().address.to_string(), "10.244.0.3");
        table.leases.remove("a");
        table.lease("d", range, &[]).unwrap();
        assert_eq!(addresses(&table), ["b 10.244.0.3", "c 10.244.0.4", "d 10.244.0.5"]);
        table.lease("e", range, &[]).unwrap();
        table.lease("f", range, &[]).unwrap();
        assert_eq!(table.leases["f"].address.to_string(), "10.244.0.2");
        let full = table.lease("g", range, &[]).unwrap_err().to_string();
        assert_eq!(full, "no address is free in 10.244.0.0/29: 5 are given out");
    }

    #[test]
    fn a_device_name_fits_and_is_the_address() {
        assert_eq!(device(Ipv4Addr::new(255, 255, 255, 255)), "gbffffffff");
        assert_eq!(device(Ipv4Addr::new(10, 244, 0, 2)), "gb0af40002");
    }

    #[test]
    fn a_host_port_is_given_once() {
        let range: Range = "10.244.0.0/24".parse().unwrap();
        let mut table = Table::default();
        table.lease("a", range, &[port(8080)]).unwrap();
        table.lease("a", range, &[port(8080)]).unwrap();
        let error = table.lease("b", range, &[port(80), port(8080)]).unwrap_err().to_string();
        assert_eq!(error, "host port tcp 8080 is taken by a");
        assert_eq!(addresses(&table), ["a 10.244.0.2"]);
    }

    #[test]
    fn the_file_holds_what_was_saved_and_a_broken_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let range: Range = "10.244.0.0/24".parse().unwrap();
        let mut leases = Leases::open(directory.path()).unwrap();
        let lease = leases.table.lease("a", range, &[port(1)]).unwrap();
        leases.save().unwrap();
        drop(leases);
        let again = Leases::open(directory.path()).unwrap();
        assert_eq!(again.table.leases["a"], lease);
        again.remove().unwrap();
        again.remove().unwrap();
        drop(again);
        fs::write(directory.path().join("leases.json"), "[]").unwrap();
        let Err(error) = Leases::open(directory.path()) else { panic!("a list is no table") };
        assert!(error.to_string().contains("is no file of leases"), "{error}");
    }

    #[test]
    fn two_hands_do_not_give_out_one_address() {
        let directory = tempfile::tempdir().unwrap();
        let range: Range = "10.244.0.0/24".parse().unwrap();
        std::thread::scope(|scope| {
            for hand in 0..8 {
                let path = directory.path();
                scope.spawn(move || {
                    for turn in 0..5 {
                        let mut leases = Leases::open(path).unwrap();
                        leases.table.lease(&format!("{hand}-{turn}"), range, &[]).unwrap();
                        leases.save().unwrap();
                    }
                });
            }
        });
        let table = Leases::open(directory.path()).unwrap().table;
        let addresses: std::collections::BTreeSet<Ipv4Addr> =
            table.leases.values().map(|lease| lease.address).collect();
        assert_eq!((table.leases.len(), addresses.len()), (40, 40));
    }
}
