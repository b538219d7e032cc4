//! Programs: what labs type, what the test VM needs, and the runtimes that comparisons run beside.

use super::{Area, Facts, Finding, Verdict};

/// What writes id maps for ordinary users, from package uidmap.
pub(super) const MAP_WRITERS: [&str; 2] = ["newuidmap", "newgidmap"];
/// What labs type, with Debian's package.
const LABS: [(&str, &str); 4] =
    [("unshare", "util-linux"), ("nsenter", "util-linux"), ("mount", "mount"), ("ip", "iproute2")];
/// Runtimes to compare with, each its own package.
const PEERS: [&str; 2] = ["runc", "crun"];

/// The programs that are looked for on a machine of this architecture (as uname(2) has it).
pub fn names(architecture: &str) -> Vec<String> {
    let labs = LABS.iter().map(|(name, _)| *name);
    let vm = vm(architecture);
    labs.chain(vm.iter().map(|(name, _)| name.as_str())).chain(PEERS).chain(MAP_WRITERS).map(str::to_string).collect()
}

/// What the test VM needs, with Debian's package.
fn vm(architecture: &str) -> [(String, &'static str); 2] {
    let package = match architecture {
        "x86_64" => "qemu-system-x86",
        "aarch64" => "qemu-system-arm",
        _ => "qemu-system-misc",
    };
    [(format!("qemu-system-{architecture}"), package), ("mke2fs".to_string(), "e2fsprogs")]
}

/// The findings about programs. None holds a container back.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let labs = LABS.map(|(name, package)| (name.to_string(), package));
    let peers = PEERS.map(|name| (name.to_string(), name));
    vec![
        programs(facts, "labs", "labs", &labs, "labs that type them cannot be taken"),
        programs(facts, "vm", "test VM", &vm(&facts.kernel.machine), "the test VM cannot be made or booted"),
        kvm(facts),
        programs(facts, "peers", "peers", &peers, "benchmarks cannot run beside them"),
    ]
}

fn programs(facts: &Facts, key: &str, name: &str, wanted: &[(String, &str)], why: &str) -> Finding {
    let is_there = |name: &String| facts.tools.get(name).is_some_and(Option::is_some);
    let names = |list: Vec<&(String, &str)>| list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
    let lacking: Vec<_> = wanted.iter().filter(|(name, _)| !is_there(name)).collect();
    if lacking.is_empty() {
        return Area::Tools.ok(key, name, names(wanted.iter().collect()));
    }
    let mut packages: Vec<_> = lacking.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let remedy = facts.install(&packages.join(" "));
    Area::Tools.ok(key, name, format!("no {}", names(lacking))).short(Verdict::Limited, why, remedy)
}

fn kvm(facts: &Facts) -> Finding {
    let finding = |found: String| Area::Tools.ok("kvm", "KVM", found);
    let why = "the test VM is emulated, which is many times slower";
    if facts.kvm.works() {
        return finding("/dev/kvm makes a VM (whether it boots is not tried)".into());
    }
    if facts.kvm.is("ENOENT") {
        let remedy = match &facts.user.container {
            Some(_) => "give the container around this shell /dev/kvm (docker run --device /dev/kvm …)",
            None => {
                "switch virtualisation on in the firmware, or nested virtualisation on the host, then: sudo modprobe kvm"
            }
        };
        return finding("no /dev/kvm".into()).short(Verdict::Limited, why, remedy);
    }
    let remedy = "sudo usermod -aG kvm $USER, and log in again";
    finding(format!("/dev/kvm: {}", facts.kvm)).short(Verdict::Limited, why, remedy)
}
