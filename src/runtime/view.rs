//! A container as `state` and `list` show it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::error::RuntimeError;
use super::lifecycle::read;
use super::state::{Status, Store, user_name};
use crate::spec::ContainerId;

/// A container as `state` and `list` show it; the field names are runc's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Version of the runtime specification that the config follows.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Its first process in the runtime's PID namespace; 0 where there is none.
    pub pid: i32,
    /// Its state now.
    pub status: Status,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the rootfs.
    pub rootfs: PathBuf,
    /// When `create` began, RFC 3339.
    pub created: String,
    /// The config's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Name of the user who created it; the empty string where the id has no name.
    pub owner: String,
}

/// What `state` prints.
pub fn view(store: &Store, id: &ContainerId) -> Result<View, RuntimeError> {
    let entry = store.peek(id)?;
    let record = read(&entry, id)?;
    let status = entry.status(&record);
    let alive = record.process.as_ref().filter(|_| status != Status::Stopped);
    Ok(View {
        oci_version: record.oci_version,
        id: record.id,
        pid: alive.map_or(0, |process| process.pid),
        status,
        bundle: record.bundle,
        rootfs: record.rootfs,
        created: record.created,
        annotations: record.annotations,
        owner: user_name(record.owner),
    })
}
