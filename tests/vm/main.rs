//! Tests that need root and a cgroup v2 kernel. They run in the test VM: `rootfs-scripts/vm test`.
