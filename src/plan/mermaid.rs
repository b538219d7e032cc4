//! A plan as a sequence diagram of Mermaid: who does what to whom. Steps of one kind in a row share an arrow.

use std::mem::discriminant;

use super::step::{InitStep, Plan};
use super::story::{Lane, Numbered};
use super::text::{printable, wrapped};

/// Columns of the text beside an arrow.
const WIDTH: usize = 60;

impl Plan {
    /// The diagram, as text for Mermaid 10.3 or newer.
    pub fn mermaid(&self) -> String {
        let mut diagram = Diagram(vec![
            "sequenceDiagram".to_string(),
            "    participant G as glassbox".to_string(),
            "    participant K as kernel".to_string(),
        ]);
        diagram.note("G,K", Lane::Host);
        diagram.arrows("G->>K", &self.host_numbered().collect::<Vec<_>>());
        let process = escaped(&format!("process of {}", self.id));
        let between: Vec<_> = self.between_numbered().collect();
        let parent = match between.is_empty() {
            true => "G",
            false => {
                diagram.0.push("    create participant B as process in between".to_string());
                diagram.0.push("    G->>B: clone".to_string());
                diagram.arrows("B->>K", &between);
                "B"
            }
        };
        diagram.0.push(format!("    create participant P as {process}"));
        diagram.arrows(&format!("{parent}->>P"), &[self.clone_numbered()]);
        let beside: Vec<_> = self.beside_numbered().collect();
        if !beside.is_empty() {
            diagram.note("G,P", Lane::Beside);
            diagram.arrows("G->>P", &beside);
            diagram.0.push("    G-->>P: go on".to_string());
        }
        diagram.note("K,P", Lane::Init);
        let init: Vec<_> = self.init_numbered().collect();
        let waits = |step: &InitStep| matches!(step, InitStep::AwaitStart | InitStep::AwaitHooks);
        for steps in init.split_inclusive(|numbered| waits(numbered.step)) {
            match steps.split_last() {
                Some((wait, steps)) if waits(wait.step) => {
                    diagram.arrows("P->>K", steps);
                    diagram.arrows("P-->>G", std::slice::from_ref(wait));
                    if matches!(wait.step, InitStep::AwaitHooks) {
                        diagram.arrows("G->>G", &self.hooks_numbered().collect::<Vec<_>>());
                        diagram.0.push("    G-->>P: go on".to_string());
                    } else {
                        diagram.0.push("    G-->>P: start".to_string());
                    }
                }
                Some(_) | None => diagram.arrows("P->>K", steps),
            }
        }
        diagram.0.join("\n") + "\n"
    }
}

struct Diagram(Vec<String>);

impl Diagram {
    fn note(&mut self, over: &str, lane: Lane) {
        self.0.push(format!("    Note over {over}: {}", lane.heading()));
    }

    fn arrows<S>(&mut self, arrow: &str, steps: &[Numbered<'_, S>]) {
        for steps in steps.chunk_by(|one, next| discriminant(one.step) == discriminant(next.step)) {
            let text: Vec<_> = steps
                .iter()
                .flat_map(|step| wrapped(&printable(&format!("{}. {}", step.number, step.sentence)), WIDTH))
                .map(|line| escaped(&line))
                .collect();
            self.0.push(format!("    {arrow}: {}", text.join("<br/>")));
        }
    }
}

/// Text that means nothing to Mermaid: its special characters by number.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '#' | ';' | '<' | '>' | '%' | '&' | '"' => format!("#{};", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plan::tests::plan;

    #[test]
    fn the_template() {
        insta::assert_snapshot!(plan(|_| {}).mermaid(), @"
        sequenceDiagram
            participant G as glassbox
            participant K as kernel
            Note over G,K: On the host, before its process exists
            G->>K: 1. enable the controllers hugetlb, rdma, misc below<br/>/sys/fs/cgroup
            G->>K: 2. make the cgroup /sys/fs/cgroup/glassbox-web
            G->>K: 3. attach a device filter of 11 rules to<br/>/sys/fs/cgroup/glassbox-web
            create participant P as process of web
            G->>P: 4. clone the process into new namespaces: mount, uts, ipc,<br/>pid, network, born into the cgroup<br/>/sys/fs/cgroup/glassbox-web
            Note over G,P: Beside the process, while it waits
            G->>P: 5. set RLIMIT_NOFILE to 1024 (soft) and 1024 (hard)
            G-->>P: go on
            Note over K,P: Inside, by the process itself
            P->>K: 6. close the file descriptors from 3 on
            P->>K: 7. set the file mode creation mask to 0000
            P->>K: 8. start a session of its own
            P->>K: 9. join the new session keyring _ses.web
            P->>K: 10. run on every CPU that the cgroup allows
            P->>K: 11. make a new cgroup namespace
            P->>K: 12. make the mounts of / rslave
            P->>K: 13. mount /bundle/rootfs with all below it over itself and<br/>enter it
            P->>K: 14. mount proc on /proc<br/>15. mount tmpfs on /dev<br/>(nosuid,strictatime,mode=755,size=65536k)<br/>16. mount devpts on /dev/pts<br/>(nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5)<br/>17. mount tmpfs on /dev/shm<br/>(nosuid,nodev,noexec,mode=1777,size=65536k)<br/>18. mount mqueue on /dev/mqueue (nosuid,nodev,noexec)<br/>19. mount sysfs on /sys (ro,nosuid,nodev,noexec)<br/>20. mount cgroup2 on /sys/fs/cgroup (ro,nosuid,nodev,noexec)
            P->>K: 21. make the device /dev/null (1:3, mode 0666)<br/>22. make the device /dev/zero (1:5, mode 0666)<br/>23. make the device /dev/full (1:7, mode 0666)<br/>24. make the device /dev/random (1:8, mode 0666)<br/>25. make the device /dev/urandom (1:9, mode 0666)<br/>26. make the device /dev/tty (5:0, mode 0666)
            P->>K: 27. link /dev/fd to /proc/self/fd<br/>28. link /dev/stdin to /proc/self/fd/0<br/>29. link /dev/stdout to /proc/self/fd/1<br/>30. link /dev/stderr to /proc/self/fd/2<br/>31. link /dev/ptmx to pts/ptmx
            P->>K: 32. make the rootfs the root and let go of the host's
            P->>K: 33. set the host name to glassbox
            P->>K: 34. bring the loopback device lo up
            P->>K: 35. open a terminal, make it stdin, stdout and stderr, and<br/>show it at /dev/console
            P->>K: 36. make /proc/bus read-only<br/>37. make /proc/fs read-only<br/>38. make /proc/irq read-only<br/>39. make /proc/sys read-only<br/>40. make /proc/sysrq-trigger read-only
            P->>K: 41. mask /proc/acpi<br/>42. mask /proc/asound<br/>43. mask /proc/kcore<br/>44. mask /proc/keys<br/>45. mask /proc/latency_stats<br/>46. mask /proc/timer_list<br/>47. mask /proc/timer_stats<br/>48. mask /proc/sched_debug<br/>49. mask /sys/firmware<br/>50. mask /proc/scsi
            P->>K: 51. change the mount / (ro)
            P->>K: 52. drop 38 capabilities for good
            P->>K: 53. go to /
            P->>K: 54. become user 0 and group 0
            P->>K: 55. set the file mode creation mask to 0022
            P->>K: 56. keep the capabilities CAP_KILL, CAP_NET_BIND_SERVICE,<br/>CAP_AUDIT_WRITE (permitted the same, inheritable none,<br/>ambient none)
            P->>K: 57. give up gaining privileges by execve
            P->>K: 58. check that /usr/local/sbin/sh or its namesake further<br/>down PATH can be executed
            P-->>G: 59. wait for start
            G-->>P: start
            P->>K: 60. become the program: sh
        ");
    }

    #[test]
    fn a_config_draws_nothing_of_its_own() {
        let diagram = plan(|config| config["process"]["args"] = json!(["a;#<br/>\n    G->>K: b%%{init}%%"])).mermaid();
        let last = diagram.lines().last().expect("it has lines");
        assert!(last.starts_with("    P->>K: "), "{last}");
        assert!(last.contains("a#59;#35;#60;br/#62;\\n"), "{last}");
    }
}
