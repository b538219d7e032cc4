//! `config.json`: load, normalise, validate. Pure: touches nothing but the text it is given.
//!
//! The types are oci-spec's. What it reads more strictly or more loosely than the runtime specification wants is put
//! right on the JSON before it is typed (`load.rs`); what the specification forbids, and what glassbox does not
//! support, is refused by name (`validate.rs`).

mod id;
mod json;
mod load;
mod proc_mount;
mod template;
mod validate;
mod without;

pub use id::{ContainerId, IdError};
pub use load::{Config, SpecError, parse_process, parse_resources};
pub use template::{OCI_VERSION, rootless_template, template};
pub use validate::{check_process, sysctl_path};
pub use without::{Wall, WithoutError, without};

/// The runtime specification's types, under the names that it uses.
pub use oci_spec::runtime as oci;
