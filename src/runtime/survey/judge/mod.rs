//! The judgement over the facts: what works, what falls short, why that matters to glassbox, and what mends it. Pure.

mod cgroup;
mod kernel;
mod namespaces;
mod privileges;
mod rootless;
mod tools;

use serde::Serialize;

use super::{Facts, Outcome};

pub use tools::names as tools_of;

/// Where nothing can be known of the machine.
const MOUNT_PROC: &str = "sudo mount -t proc proc /proc";

/// How well something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It works.
    Ok,
    /// Containers run; what the finding names does not work, or not by itself.
    Limited,
    /// Containers do not run, or not with everything that config.json may ask for.
    Missing,
}

/// What a finding is about. The order is the order in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Control groups.
    Cgroups,
    /// Namespaces.
    Namespaces,
    /// What the caller may do.
    Privileges,
    /// System calls and file systems.
    Kernel,
    /// AppArmor and SELinux.
    Security,
    /// What ordinary users may do.
    Rootless,
    /// Programs that labs and the test VM use.
    Tools,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// A name that stays, such as `cgroups.controller.memory`: the area, then what.
    pub id: String,
    /// Its area.
    pub area: Area,
    /// What people call it.
    pub name: String,
    /// How well it does.
    pub verdict: Verdict,
    /// What was found, a phrase.
    pub found: String,
    /// Why the shortfall matters, a phrase; none where there is no shortfall.
    pub why: Option<String>,
    /// A command, or a step a person can take; none where there is no shortfall.
    pub remedy: Option<String>,
}

/// The judgement over one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The worst verdict among the findings.
    pub verdict: Verdict,
    /// In the order of [`Area`].
    pub findings: Vec<Finding>,
}

/// Judges a machine.
pub fn judge(facts: &Facts) -> Report {
    let findings: Vec<Finding> = [
        cgroup::judge(facts),
        namespaces::judge(facts),
        privileges::judge(facts),
        kernel::judge(facts),
        kernel::judge_security(facts),
        rootless::judge(facts),
        tools::judge(facts),
    ]
    .concat();
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    Report { verdict, findings }
}

impl Area {
    /// The area's word in ids.
    pub fn word(self) -> &'static str {
        match self {
            Area::Cgroups => "cgroups",
            Area::Namespaces => "namespaces",
            Area::Privileges => "privileges",
            Area::Kernel => "kernel",
            Area::Security => "security",
            Area::Rootless => "rootless",
            Area::Tools => "tools",
        }
    }

    /// A finding that all is well.
    fn ok(self, key: &str, name: &str, found: impl Into<String>) -> Finding {
        Finding {
            id: format!("{}.{key}", self.word()),
            area: self,
            name: name.to_string(),
            verdict: Verdict::Ok,
            found: found.into(),
            why: None,
            remedy: None,
        }
    }
}

impl Finding {
    /// Makes it a shortfall.
    fn short(self, verdict: Verdict, why: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { verdict, why: Some(why.into()), remedy: Some(remedy.into()), ..self }
    }
}

impl Facts {
    /// What to do about an attempt that could not be made; none where it was.
    fn untried(&self, outcome: &Outcome) -> Option<String> {
        let remedy = || match self.kernel.proc {
            true => "glassbox doctor once more: it could not run itself".to_string(),
            false => MOUNT_PROC.to_string(),
        };
        matches!(outcome, Outcome::Untried(_)).then(remedy)
    }

    /// The caller acts as root: it has CAP_SYS_ADMIN, which making namespaces and mounts takes.
    fn privileged(&self) -> bool {
        self.has_capability("CAP_SYS_ADMIN")
    }

    fn has_capability(&self, name: &str) -> bool {
        self.user.capabilities.iter().any(|known| known == name)
    }

    /// The first two numbers of the kernel's release.
    fn kernel_version(&self) -> (u32, u32) {
        let mut numbers = self.kernel.release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten().unwrap_or(0);
        (next(), next())
    }

    /// What to do where the container around us holds something back; none outside of one.
    fn open_the_container(&self) -> Option<String> {
        let engine = self.user.container.as_deref()?;
        Some(match engine {
            "docker" | "podman" => format!("{engine} run --privileged --cgroupns=private …"),
            other => format!("start the {other} container around this shell as a privileged one"),
        })
    }

    /// What to do for a setting of the kernel command line.
    fn boot_with(&self, setting: &str) -> String {
        if let Some(remedy) = self.open_the_container() {
            return format!("boot the host with {setting} on its kernel command line, then: {remedy}");
        }
        if self.is_debian() {
            return format!(
                "add {setting} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot"
            );
        }
        format!("add {setting} to the kernel command line and reboot")
    }

    /// Debian, Ubuntu and what is made from them have apt.
    fn is_debian(&self) -> bool {
        self.kernel.distribution.iter().any(|name| name == "debian" || name == "ubuntu")
    }

    fn install(&self, packages: &str) -> String {
        if self.is_debian() {
            format!("sudo apt-get install {packages}")
        } else {
            format!("install {packages} (Debian's package names)")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::samples;
    use super::*;

    #[test]
    fn every_shortfall_says_why_and_what_to_do_and_ids_are_one_each() {
        for (machine, facts) in samples::all() {
            let report = judge(&facts);
            let ids: BTreeSet<_> = report.findings.iter().map(|finding| &finding.id).collect();
            assert_eq!(ids.len(), report.findings.len(), "{machine}: an id twice");
            assert!(report.findings.is_sorted_by_key(|finding| finding.area), "{machine}: areas mixed");
            for finding in &report.findings {
                let short = finding.verdict != Verdict::Ok;
                assert!(finding.id.starts_with(finding.area.word()), "{machine}: {finding:?}");
                assert!(!finding.found.is_empty(), "{machine}: {finding:?}");
                assert_eq!((finding.why.is_some(), finding.remedy.is_some()), (short, short), "{machine}: {finding:?}");
                for text in [Some(&finding.found), finding.why.as_ref(), finding.remedy.as_ref()].into_iter().flatten()
                {
                    assert!(!text.ends_with('.') && !text.contains('\n'), "{machine}: {text:?} is no phrase");
                }
            }
        }
    }

    #[test]
    fn what_each_machine_lacks() {
        let told: Vec<_> = samples::all()
            .into_iter()
            .map(|(machine, facts)| {
                let report = judge(&facts);
                let of = |verdict| {
                    let found = report.findings.iter().filter(|finding| finding.verdict == verdict);
                    let ids: Vec<_> = found.map(|finding| finding.id.as_str()).collect();
                    if ids.is_empty() { "nothing".to_string() } else { ids.join(" ") }
                };
                format!("{machine}\n  missing: {}\n  limited: {}", of(Verdict::Missing), of(Verdict::Limited))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        debian vm
          missing: nothing
          limited: nothing
        debian vm, memory not enabled below the root
          missing: nothing
          limited: cgroups.controller.memory
        debian vm without qemu, kvm and ip
          missing: nothing
          limited: tools.labs tools.vm tools.kvm tools.peers
        hybrid
          missing: cgroups.controller.cpu cgroups.controller.cpuset cgroups.controller.memory cgroups.controller.pids
          limited: cgroups.mode cgroups.controller.io
        v1 alone
          missing: cgroups.mode
          limited: nothing
        no cgroup2 in the kernel
          missing: cgroups.mode
          limited: nothing
        nothing mounted
          missing: cgroups.mode
          limited: nothing
        raspberry pi, memory switched off
          missing: cgroups.controller.memory
          limited: nothing
        linux 5.4
          missing: kernel.version kernel.openat2 kernel.clone_into_cgroup kernel.close_range kernel.mount_setattr
          limited: namespaces.time
        docker, no privileges
          missing: cgroups.delegation namespaces.mnt namespaces.pid namespaces.net namespaces.ipc namespaces.uts namespaces.user namespaces.cgroup privileges.capabilities kernel.fsopen kernel.open_tree kernel.move_mount kernel.clone_into_cgroup kernel.mount_setattr kernel.device_filter
          limited: namespaces.time privileges.more_capabilities privileges.seccomp_filter rootless.newuidmap tools.labs tools.vm tools.kvm tools.peers
        user, not delegated
          missing: cgroups.delegation cgroups.controller.cpuset privileges.root
          limited: cgroups.controller.io cgroups.controller.hugetlb kernel.fsopen kernel.open_tree kernel.move_mount kernel.mount_setattr kernel.device_filter tools.kvm
        user, delegated
          missing: privileges.root
          limited: cgroups.controller.hugetlb kernel.fsopen kernel.open_tree kernel.move_mount kernel.mount_setattr kernel.device_filter tools.kvm
        user, userns_clone 0
          missing: namespaces.mnt namespaces.pid namespaces.net namespaces.ipc namespaces.uts namespaces.user namespaces.cgroup privileges.root
          limited: cgroups.controller.hugetlb namespaces.time kernel.fsopen kernel.open_tree kernel.move_mount kernel.mount_setattr kernel.device_filter rootless.user_namespaces tools.kvm
        user, ubuntu 24.04
          missing: namespaces.mnt namespaces.pid namespaces.net namespaces.ipc namespaces.uts namespaces.cgroup privileges.root
          limited: cgroups.controller.hugetlb namespaces.time kernel.fsopen kernel.open_tree kernel.move_mount kernel.mount_setattr kernel.device_filter rootless.user_namespaces tools.kvm
        root, max_user_namespaces 0
          missing: namespaces.user
          limited: rootless.user_namespaces
        user, no subuid and no newuidmap
          missing: privileges.root
          limited: cgroups.controller.hugetlb kernel.fsopen kernel.open_tree kernel.move_mount kernel.mount_setattr kernel.device_filter rootless.sub_ids rootless.newuidmap tools.kvm
        fedora, selinux enforcing
          missing: nothing
          limited: security.selinux
        root without psi, swap limit, nsdelegate
          missing: nothing
          limited: cgroups.swap cgroups.nsdelegate kernel.psi
        root of a user namespace
          missing: nothing
          limited: privileges.root kernel.device_filter
        no /proc
          missing: cgroups.mode namespaces.mnt namespaces.pid namespaces.net namespaces.ipc namespaces.uts namespaces.user namespaces.cgroup kernel.proc kernel.fsopen kernel.open_tree kernel.move_mount kernel.pidfd_open kernel.openat2 kernel.clone_into_cgroup kernel.close_range kernel.mount_setattr kernel.device_filter
          limited: namespaces.time
        ");
    }

    #[test]
    fn releases_are_read_as_numbers() {
        for (release, version) in
            [("6.12.48+deb13-amd64", (6, 12)), ("5.4", (5, 4)), ("6.1-rc2", (6, 1)), ("six", (0, 0))]
        {
            let mut facts = samples::debian_vm();
            facts.kernel.release = release.to_string();
            assert_eq!(facts.kernel_version(), version, "{release}");
        }
    }
}
