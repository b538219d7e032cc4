//! The report as a table of 80 columns: what is well in one line an area, each shortfall with its reason and remedy.

use unicode_width::UnicodeWidthStr;

use crate::runtime::survey::Facts;
use crate::runtime::survey::judge::{Finding, Report, Verdict};

const WIDTH: usize = 80;
/// Columns before the text of a row: two spaces, the verdict, the name.
const VERDICT: usize = 9;
const NAME: usize = 17;

/// The report for people. Colour only repeats what the words say.
pub(super) fn render(facts: &Facts, report: &Report, colour: bool) -> String {
    let mut text = headline(facts);
    let mut last_remedy = None;
    for findings in report.findings.chunk_by(|a, b| a.area == b.area) {
        text.push('\n');
        text.push_str(&findings[0].area.word().to_uppercase());
        text.push('\n');
        for rows in rows(findings) {
            text.push_str(&row(&rows, last_remedy, colour));
            last_remedy = rows[0].remedy.as_deref().or(last_remedy);
        }
    }
    text.push('\n');
    text.push_str(&closing(report));
    text
}

fn headline(facts: &Facts) -> String {
    let kernel = &facts.kernel;
    let gib = kernel.memory as f64 / f64::from(1 << 30);
    let cpus = if kernel.cpus == 1 { "1 CPU".to_string() } else { format!("{} CPUs", kernel.cpus) };
    let inside = facts.user.container.as_ref().map_or(String::new(), |name| format!(", inside {name}"));
    format!("Linux {} {}, {cpus}, {gib:.1} GiB of memory{inside}\n", kernel.release, kernel.machine)
}

/// Findings that share a row: the same was found and the same mends it.
fn rows(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut rows: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let same = |row: &&mut Vec<&Finding>| {
            let first = row[0];
            (finding.verdict, &finding.found, &finding.remedy) == (first.verdict, &first.found, &first.remedy)
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.push(finding),
            None => rows.push(vec![finding]),
        }
    }
    rows
}

fn row(findings: &[&Finding], last_remedy: Option<&str>, colour: bool) -> String {
    let first = findings[0];
    let verdict = match first.verdict {
        Verdict::Ok => "ok",
        Verdict::Limited => "limited",
        Verdict::Missing => "missing",
    };
    let names: Vec<_> = findings.iter().map(|finding| finding.name.as_str()).collect();
    let (name, found) = match names.as_slice() {
        [name] => (*name, first.found.clone()),
        names => ("", format!("{}: {}", names.join(", "), first.found)),
    };
    let indent = 2 + VERDICT + if name.is_empty() { 0 } else { NAME };
    let mut text = format!("  {}", paint(&format!("{verdict:<VERDICT$}"), first.verdict, colour));
    if !name.is_empty() {
        text.push_str(&format!("{name:<NAME$}"));
    }
    text.push_str(&wrap(&found, indent));
    let mut reasons: Vec<_> = findings.iter().filter_map(|finding| finding.why.as_deref()).collect();
    reasons.dedup();
    if !reasons.is_empty() {
        text.push_str(&labelled("why", &reasons.join("; ")));
    }
    if let Some(remedy) = first.remedy.as_deref() {
        text.push_str(&labelled("do", if last_remedy == Some(remedy) { "as above" } else { remedy }));
    }
    text
}

/// A line below a row: `why` or `do`, indented to where the name of a row stands.
fn labelled(label: &str, words: &str) -> String {
    let indent = 2 + VERDICT;
    format!("{:indent$}{label:<5}{}", "", wrap(words, indent + 5))
}

fn closing(report: &Report) -> String {
    let count = |verdict| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (missing, limited) = (count(Verdict::Missing), count(Verdict::Limited));
    match (missing, limited) {
        (0, 0) => "Containers run here, and nothing falls short.\n".to_string(),
        (0, limited) => format!("Containers run here; {limited} limited.\n"),
        (missing, limited) => format!(
            "Containers cannot fully run here: {missing} missing, {limited} limited.\n\
             From glassbox's sources, a lab plays in a virtual machine: make demo\n"
        ),
    }
}

/// Breaks at spaces so that no line is wider than the table; later lines start at `indent`. A word that is too wide by
/// itself stays whole: it is a path or a command to copy.
fn wrap(text: &str, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut column = indent;
    for word in text.split(' ') {
        if column > indent && column + 1 + word.width() > WIDTH {
            wrapped.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += word.width();
    }
    wrapped.push('\n');
    wrapped
}

fn paint(text: &str, verdict: Verdict, colour: bool) -> String {
    let code = match verdict {
        _ if !colour => return text.to_string(),
        Verdict::Ok => 32,
        Verdict::Limited => 33,
        Verdict::Missing => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::survey::{judge, samples};

    fn told(machine: &str) -> String {
        let samples = samples::all();
        let (_, facts) = samples.iter().find(|(name, _)| *name == machine).expect("a sample of that name");
        render(facts, &judge::judge(facts), false)
    }

    #[test]
    fn a_machine_where_all_is_well() {
        insta::assert_snapshot!(told("debian vm"), @r"
        Linux 6.1.0-40-cloud-amd64 x86_64, 2 CPUs, 2.0 GiB of memory

        CGROUPS
          ok       mode             unified: cgroup v2 on /sys/fs/cgroup
          ok       delegation       /sys/fs/cgroup is ours to make groups in
          ok       cpu, cpuset, memory, pids, io, hugetlb: there
          ok       swap limit       memory.swap.max
          ok       nsdelegate       set: a cgroup namespace cannot lift its own limits

        NAMESPACES
          ok       mnt, pid, net, ipc, uts, user, cgroup, time: works

        PRIVILEGES
          ok       root             yes
          ok       capabilities     chown dac_override kill mknod net_admin setgid
                                    setpcap setuid sys_admin
          ok       more             setfcap sys_resource

        KERNEL
          ok       version          6.1.0-40-cloud-amd64
          ok       fsopen, open_tree, move_mount, pidfd, openat2, clone3 + cgroup,
                   close_range, mount_setattr, device filter, pressure (PSI): works
          ok       seccomp          filters and user notification
          ok       overlay          a module, loaded on first use

        SECURITY
          ok       AppArmor, SELinux: not active

        ROOTLESS
          ok       user namespaces  allowed
          ok       newuidmap        newuidmap and newgidmap are installed

        TOOLS
          ok       labs             unshare nsenter mount ip
          ok       test VM          qemu-system-x86_64 mke2fs
          ok       KVM              /dev/kvm makes a VM (whether it boots is not tried)
          ok       peers            runc crun

        Containers run here, and nothing falls short.
        ");
    }

    #[test]
    fn a_hybrid_machine() {
        insta::assert_snapshot!(told("hybrid"), @r"
        Linux 6.1.0-40-cloud-amd64 x86_64, 2 CPUs, 2.0 GiB of memory

        CGROUPS
          limited  mode             hybrid: cgroup v2 on /sys/fs/cgroup/unified, and v1
                                    with cpu cpuacct cpuset memory pids blkio
                   why  a controller that a v1 hierarchy holds is not there for cgroup
                        v2
                   do   add systemd.unified_cgroup_hierarchy=1 to GRUB_CMDLINE_LINUX in
                        /etc/default/grub, then: sudo update-grub && sudo reboot
          ok       delegation       /sys/fs/cgroup/unified is ours to make groups in
          missing  cpu, cpuset, memory, pids: held by a v1 hierarchy
                   why  a config or a pod that sets such a limit cannot start
                   do   as above
          limited  io               held by a v1 hierarchy
                   why  a config or a pod that sets such a limit cannot start
                   do   as above
          ok       hugetlb          there
          ok       nsdelegate       set: a cgroup namespace cannot lift its own limits

        NAMESPACES
          ok       mnt, pid, net, ipc, uts, user, cgroup, time: works

        PRIVILEGES
          ok       root             yes
          ok       capabilities     chown dac_override kill mknod net_admin setgid
                                    setpcap setuid sys_admin
          ok       more             setfcap sys_resource

        KERNEL
          ok       version          6.1.0-40-cloud-amd64
          ok       fsopen, open_tree, move_mount, pidfd, openat2, clone3 + cgroup,
                   close_range, mount_setattr, device filter, pressure (PSI): works
          ok       seccomp          filters and user notification
          ok       overlay          a module, loaded on first use

        SECURITY
          ok       AppArmor, SELinux: not active

        ROOTLESS
          ok       user namespaces  allowed
          ok       newuidmap        newuidmap and newgidmap are installed

        TOOLS
          ok       labs             unshare nsenter mount ip
          ok       test VM          qemu-system-x86_64 mke2fs
          ok       KVM              /dev/kvm makes a VM (whether it boots is not tried)
          ok       peers            runc crun

        Containers cannot fully run here: 4 missing, 2 limited.
        From glassbox's sources, a lab plays in a virtual machine: make demo
        ");
    }

    #[test]
    fn inside_docker() {
        insta::assert_snapshot!(told("docker, no privileges"), @r"
        Linux 6.1.0-40-cloud-amd64 x86_64, 2 CPUs, 2.0 GiB of memory, inside docker

        CGROUPS
          ok       mode             unified: cgroup v2 on /sys/fs/cgroup
          missing  delegation       /sys/fs/cgroup is mounted read-only
                   why  a container cannot be put into a cgroup, so nothing limits or
                        counts it
                   do   docker run --privileged --cgroupns=private …
          ok       cpu, cpuset, memory, pids, io, hugetlb: there
          ok       swap limit       memory.swap.max
          ok       nsdelegate       set: a cgroup namespace cannot lift its own limits

        NAMESPACES
          missing  mnt, pid, net, ipc, uts, user, cgroup: EPERM: refused (a seccomp
                   filter is on us)
                   why  a config that asks for such a namespace cannot start
                   do   as above
          limited  time             EPERM: refused (a seccomp filter is on us)
                   why  a config that asks for such a namespace cannot start
                   do   as above

        PRIVILEGES
          ok       root             yes
          missing  capabilities     without net_admin sys_admin
                   why  lo cannot be set up, nor a cgroup's devices filtered; namespaces
                        and mounts cannot be made
                   do   as above
          limited  more             without setfcap sys_resource
                   why  a user namespace cannot map root (uid 0) of the machine;
                        process.rlimits cannot raise a hard limit, nor oomScoreAdj fall
                   do   docker run --cap-add=SETFCAP --cap-add=SYS_RESOURCE …
          limited  seccomp filter   on this process
                   why  containers inherit it: what it refuses, it refuses in them as
                        well
                   do   docker run --security-opt seccomp=unconfined …

        KERNEL
          ok       version          6.1.0-40-cloud-amd64
          missing  fsopen, open_tree, move_mount, mount_setattr, device filter: EPERM: a
                   seccomp filter hides it
                   why  file systems cannot be mounted by descriptor, out of a hostile
                        path's reach; bind mounts cannot be made by descriptor; a mount
                        cannot be put on a descriptor; read-only cannot be set on a
                        mount and all below it; linux.resources.devices cannot be
                        enforced
                   do   docker run --privileged --cgroupns=private …
          ok       pidfd, openat2, close_range, pressure (PSI): works
          missing  clone3 + cgroup  ENOSYS: a seccomp filter hides it
                   why  a container's first process cannot be born inside its limits
                   do   as above
          ok       seccomp          filters and user notification
          ok       overlay          a module, loaded on first use

        SECURITY
          ok       AppArmor, SELinux: not active

        ROOTLESS
          ok       user namespaces  allowed
          limited  newuidmap        no newuidmap and newgidmap
                   why  an ordinary user cannot map more than one id into a user
                        namespace
                   do   sudo apt-get install uidmap

        TOOLS
          limited  labs             no ip
                   why  labs that type them cannot be taken
                   do   sudo apt-get install iproute2
          limited  test VM          no qemu-system-x86_64 mke2fs
                   why  the test VM cannot be made or booted
                   do   sudo apt-get install qemu-system-x86 e2fsprogs
          limited  KVM              no /dev/kvm
                   why  the test VM is emulated, which is many times slower
                   do   give the container around this shell /dev/kvm (docker run
                        --device /dev/kvm …)
          limited  peers            no runc crun
                   why  benchmarks cannot run beside them
                   do   sudo apt-get install runc crun

        Containers cannot fully run here: 15 missing, 8 limited.
        From glassbox's sources, a lab plays in a virtual machine: make demo
        ");
    }

    #[test]
    fn an_ordinary_user() {
        insta::assert_snapshot!(told("user, not delegated"), @r#"
        Linux 6.1.0-40-cloud-amd64 x86_64, 2 CPUs, 2.0 GiB of memory

        CGROUPS
          ok       mode             unified: cgroup v2 on /sys/fs/cgroup
          missing  delegation       /sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope
                                    is not ours to make groups in
                   why  a container cannot be put into a cgroup, so nothing limits or
                        counts it
                   do   systemd-run --user --scope -p Delegate=yes -- bash
          ok       cpu, memory, pids: there
          missing  cpuset           not delegated to us
                   why  a config or a pod that sets such a limit cannot start
                   do   sudo mkdir -p /etc/systemd/system/user@.service.d && printf
                        '[Service]\nDelegate=cpu cpuset io memory pids\n' | sudo tee
                        /etc/systemd/system/user@.service.d/delegate.conf && sudo
                        systemctl daemon-reload, then log in again
          limited  io, hugetlb: not delegated to us
                   why  a config or a pod that sets such a limit cannot start
                   do   as above
          ok       swap limit       memory.swap.max
          ok       nsdelegate       set: a cgroup namespace cannot lift its own limits

        NAMESPACES
          ok       mnt, pid, net, ipc, uts, cgroup, time: works inside a user namespace
          ok       user             works

        PRIVILEGES
          missing  root             no: learner (uid 1000)
                   why  mounts, device nodes and cgroups of the machine take root
                   do   sudo glassbox …

        KERNEL
          ok       version          6.1.0-40-cloud-amd64
          limited  fsopen, open_tree, move_mount, mount_setattr, device filter: EPERM:
                   only root may
                   why  asked by an ordinary user, the kernel does not tell whether it
                        works
                   do   sudo glassbox doctor
          ok       pidfd, openat2, clone3 + cgroup, close_range, pressure (PSI): works
          ok       seccomp          filters and user notification
          ok       overlay          a module, loaded on first use

        SECURITY
          ok       AppArmor, SELinux: not active

        ROOTLESS
          ok       user namespaces  allowed
          ok       further ids      learner has ranges in /etc/subuid and /etc/subgid
          ok       newuidmap        newuidmap and newgidmap are installed

        TOOLS
          ok       labs             unshare nsenter mount ip
          ok       test VM          qemu-system-x86_64 mke2fs
          limited  KVM              /dev/kvm: EACCES
                   why  the test VM is emulated, which is many times slower
                   do   sudo usermod -aG kvm $USER, and log in again
          ok       peers            runc crun

        Containers cannot fully run here: 3 missing, 8 limited.
        From glassbox's sources, a lab plays in a virtual machine: make demo
        "#);
    }

    #[test]
    fn ubuntu_s_ordinary_user() {
        insta::assert_snapshot!(told("user, ubuntu 24.04"), @r#"
        Linux 6.1.0-40-cloud-amd64 x86_64, 2 CPUs, 2.0 GiB of memory

        CGROUPS
          ok       mode             unified: cgroup v2 on /sys/fs/cgroup
          ok       delegation       /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope
                                    is ours to make groups in
          ok       cpu, cpuset, memory, pids, io: there
          limited  hugetlb          not delegated to us
                   why  a config or a pod that sets such a limit cannot start
                   do   sudo mkdir -p /etc/systemd/system/user@.service.d && printf
                        '[Service]\nDelegate=cpu cpuset io memory pids\n' | sudo tee
                        /etc/systemd/system/user@.service.d/delegate.conf && sudo
                        systemctl daemon-reload, then log in again
          ok       swap limit       memory.swap.max
          ok       nsdelegate       set: a cgroup namespace cannot lift its own limits

        NAMESPACES
          missing  mnt, pid, net, ipc, uts, cgroup: EPERM:
                   kernel.apparmor_restrict_unprivileged_userns is 1
                   why  a config that asks for such a namespace cannot start
                   do   sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
          ok       user             works
          limited  time             EPERM: kernel.apparmor_restrict_unprivileged_userns
                                    is 1
                   why  a config that asks for such a namespace cannot start
                   do   as above

        PRIVILEGES
          missing  root             no: learner (uid 1000)
                   why  mounts, device nodes and cgroups of the machine take root
                   do   sudo glassbox …

        KERNEL
          ok       version          6.1.0-40-cloud-amd64
          limited  fsopen, open_tree, move_mount, mount_setattr, device filter: EPERM:
                   only root may
                   why  asked by an ordinary user, the kernel does not tell whether it
                        works
                   do   sudo glassbox doctor
          ok       pidfd, openat2, clone3 + cgroup, close_range, pressure (PSI): works
          ok       seccomp          filters and user notification
          ok       overlay          a module, loaded on first use

        SECURITY
          ok       AppArmor         active; containers keep their caller's profile
          ok       SELinux          not active

        ROOTLESS
          limited  user namespaces  kernel.apparmor_restrict_unprivileged_userns is 1
                   why  an ordinary user cannot become root of a user namespace
                   do   sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
          ok       further ids      learner has ranges in /etc/subuid and /etc/subgid
          ok       newuidmap        newuidmap and newgidmap are installed

        TOOLS
          ok       labs             unshare nsenter mount ip
          ok       test VM          qemu-system-x86_64 mke2fs
          limited  KVM              /dev/kvm: EACCES
                   why  the test VM is emulated, which is many times slower
                   do   sudo usermod -aG kvm $USER, and log in again
          ok       peers            runc crun

        Containers cannot fully run here: 7 missing, 9 limited.
        From glassbox's sources, a lab plays in a virtual machine: make demo
        "#);
    }

    #[test]
    fn no_line_is_wider_than_the_screen_unless_it_is_one_word() {
        for (machine, facts) in samples::all() {
            let report = judge::judge(&facts);
            assert!(report.findings.iter().all(|finding| finding.name.width() < NAME), "{machine}: a name too long");
            let plain = render(&facts, &report, false);
            for line in plain.lines() {
                // A path that is too long by itself is not broken, and stands first on its line.
                let last = line.split_whitespace().last().unwrap_or_default();
                let before = line.width() - last.width();
                assert!(line.width() <= WIDTH || before <= 2 + VERDICT + NAME, "{machine}: {line}");
                assert_eq!(line, line.trim_end(), "{machine}: a space at the end");
            }
        }
    }

    #[test]
    fn colour_repeats_what_the_words_say() {
        let facts = samples::debian_vm();
        let report = judge::judge(&facts);
        let coloured = render(&facts, &report, true);
        let stripped = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"]
            .iter()
            .fold(coloured.clone(), |text, code| text.replace(code, ""));
        assert!(coloured.contains("\x1b[32mok"));
        assert_eq!(stripped, render(&facts, &report, false));
    }
}
