//! Containers that podman, docker and containerd start with glassbox as their runtime, on the engines' own programs; the
//! bundles and images of umoci and buildah; containers whose cgroups systemd makes. They need packages that the other tests
//! do not, and systemd as process 1, so they run in a machine of their own: `rootfs-scripts/vm test --engines`.
//!
//! An engine leaves things of its own behind when it is used for the first time (a bridge, a mount, a daemon). So each
//! test first has its engine used, and takes the machine then: what is there at the end and was not before, a container
//! has left.

mod bundles;
mod containerd;
mod docker;
mod engine;
#[path = "../vm/levels.rs"]
mod levels;
mod podman;
mod same;
#[path = "../vm/support.rs"]
#[allow(dead_code)]
mod support;
mod systemd;
