//! A plan as one POSIX shell script that does the same with the ordinary tools: coreutils, util-linux, iproute2, libcap.
//!
//! Every step stands under its number and its sentence. What a shell must do in another way is said in the script where
//! it does so; what it cannot do at all is said there too, with the reason. `host.rs`, `init.rs`, `mount.rs` and
//! `program.rs` have the commands of each step, `outside.rs` and `inside.rs` put them into an order that a shell can
//! follow:
//!
//! * The process becomes `setpriv`, `setsid`, `unshare` in turn, and then the shell that reads the script's middle part.
//! * That shell works in the rootfs directory with the host's commands, which pivot_root(2) would take away from it. So
//!   the root is swapped at the very end, by the shell outside, while the process waits with its power given away.

mod alone;
mod host;
mod init;
mod inside;
mod mount;
mod outside;
mod prepare;
mod program;
mod quote;

use super::step::{InitStep, Plan};
use super::story::Numbered;
use super::text::{printable, text, wrapped};
pub use alone::Alone;
use quote::word;

/// How a shell does a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shell {
    /// Commands, in order. An entry may have several lines.
    Commands(Vec<String>),
    /// A command that the process becomes, and that then becomes what stands behind it: `setsid`.
    Becomes(String),
    /// Arguments of capsh(1), which gives power away and becomes the last shell.
    Capsh(Vec<String>),
    /// What the last shell does, just before it becomes the program.
    Last(Vec<String>),
    /// What is done from outside once the process waits in the last shell.
    Outside(Vec<String>),
    /// No command does this, for this reason.
    Nothing(&'static str),
}

/// A step with what the script says of it.
struct Told<'a, S> {
    /// Number, sentence and reason, as comment lines.
    heading: Vec<String>,
    step: &'a S,
    shell: Shell,
}

impl Plan {
    /// The script. Run by root it starts the container, and it ends with the program's exit status.
    pub fn shell(&self) -> String {
        let init = init_lane(self);
        let inside = inside::script(&init);
        let end = delimiter(&inside);
        [
            outside::head(self),
            outside::host_lane(self),
            outside::meeting(self),
            outside::clone_lane(self),
            outside::beside_lane(self, &init),
            outside::process(&init, &end),
            inside,
            end,
            "exit \"$status\"\n".to_string(),
        ]
        .join("\n")
    }
}

/// The init lane, with pivot_root and what needs the swapped root put outside.
fn init_lane(plan: &Plan) -> Vec<Told<'_, InitStep>> {
    let mut pivoted = false;
    let becomes = |shell: &Shell| matches!(shell, Shell::Becomes(_));
    let last_becomes = plan.init.iter().rposition(|planned| becomes(&planned.step.shell())).unwrap_or(0);
    plan.init_numbered()
        .enumerate()
        .map(|(index, numbered)| {
            let shell = match (numbered.step, numbered.step.shell()) {
                (InitStep::PivotRoot, _) => {
                    pivoted = true;
                    Shell::Outside(outside::swap_root(plan))
                }
                // Only the process itself sees a root that chroot(2) has made.
                (InitStep::SetPropagation { flags, .. }, Shell::Commands(_)) if plan.changes_root() && pivoted => {
                    Shell::Outside(vec![outside::set_propagation(plan, *flags)])
                }
                (InitStep::ChangeRoot { .. }, _) => {
                    pivoted = true;
                    Shell::Capsh(vec![format!("--chroot={}", rootfs(plan))])
                }
                // From here on "/" is the container's root. mount(8) enters only for the call itself, so that it is
                // loaded from the host.
                (InitStep::SetPropagation { .. }, Shell::Commands(commands)) if pivoted => {
                    let elsewhere = |command: String| command.replacen("mount ", "mount --namespace \"$pid\" ", 1);
                    Shell::Outside(commands.into_iter().map(elsewhere).collect())
                }
                // What the process keeps when it becomes another: a shell that does it and becomes the next.
                (_, Shell::Commands(commands)) if index < last_becomes => {
                    let code = format!("{}; exec \"$@\"", commands.join("; "));
                    Shell::Becomes(format!("sh -euc {} sh", word(&code)))
                }
                (_, shell) => shell,
            };
            Told { heading: heading(&numbered), step: numbered.step, shell }
        })
        .collect()
}

/// Columns of the script; only a word that is longer passes them.
const WIDTH: usize = 110;

/// A step's number, sentence and reason as comment lines.
fn heading<S>(numbered: &Numbered<'_, S>) -> Vec<String> {
    let sentence = printable(&format!("{}. {} ({})", numbered.number, numbered.sentence, numbered.because));
    let lines = wrapped(&sentence, WIDTH - 4).into_iter().enumerate();
    lines.map(|(index, line)| if index == 0 { format!("# {line}") } else { format!("#   {line}") }).collect()
}

/// A line that ends the middle part and does not stand in it.
fn delimiter(inside: &str) -> String {
    let mut word = "INSIDE".to_string();
    while inside.lines().any(|line| line == word) {
        word.push('_');
    }
    word
}

/// Lines moved to the right. What stands on further lines of an entry stays: it may be part of a quoted text.
fn indented<'a>(by: &str, lines: impl IntoIterator<Item = &'a String>) -> String {
    lines.into_iter().map(|line| format!("{by}{line}\n")).collect()
}

/// Why a step is not done, as comment lines.
fn not_done(reason: &str) -> Vec<String> {
    wrapped(&format!("Not done: {reason}."), WIDTH - 2).into_iter().map(|line| format!("# {line}")).collect()
}

/// The rootfs directory on the host, quoted.
fn rootfs(plan: &Plan) -> String {
    let path = plan.init.iter().find_map(|planned| match &planned.step {
        InitStep::EnterRootfs { path, .. } => Some(word(&text(path))),
        _ => None,
    });
    path.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::tests::{all_kinds, host, joined, plan, user_namespace};
    use crate::plan::{Host, Options, create};
    use crate::spec::{Config, template};

    /// What `sh -n` says of a script that it must be able to read.
    fn complaints(script: &str) -> String {
        let mut sh = Command::new("sh");
        sh.arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut sh = sh.spawn().expect("sh is there");
        sh.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("sh reads all of it");
        let output = sh.wait_with_output().expect("sh ends");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), words.is_empty(), "{words}");
        words
    }

    /// The script, its middle part and its last shell, each of which is text to the one around it.
    fn parts(plan: &Plan) -> [String; 3] {
        let init = init_lane(plan);
        [plan.shell(), inside::script(&init), inside::last_shell(&init)]
    }

    const NASTY: &[&str] =
        &["it's", "a\nINSIDE\nb", "$(reboot)", "`x`", "\\", "\"", "-n", "a b", "\u{1b}[2J", "é漢", "*", "~", "#"];
    const MOUNT_OPTIONS: &[&str] = &[
        "ro",
        "rw",
        "rro",
        "nosuid",
        "rnosuid",
        "noatime",
        "strictatime",
        "relatime",
        "bind",
        "rbind",
        "remount",
        "rslave",
        "shared",
        "mode=755",
        "size=1m",
        "data=a,b",
        "nosymfollow",
        "rdev",
    ];

    fn one_of(list: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::sample::select(list).prop_map(String::from)
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[a-z]{1,6}", 2 => "\\PC{0,12}", 1 => any::<String>(), 3 => one_of(NASTY)]
    }

    fn any_mount() -> impl Strategy<Value = Value> {
        let options = prop::collection::vec(prop_oneof![one_of(MOUNT_OPTIONS), any_text()], 0..4);
        let kind = one_of(&["proc", "tmpfs", "bind", "cgroup", "cgroup2", "overlay", "none"]);
        let place = prop_oneof![Just("/dev".to_string()), any_text().prop_map(|text| format!("/x/{text}"))];
        (place, kind, any_text(), options).prop_map(|(destination, kind, source, options)| {
            json!({"destination": destination, "type": kind, "source": source, "options": options})
        })
    }

    prop_compose! {
        fn any_process()(
            args in prop::collection::vec(any_text(), 1..4),
            env in prop::collection::vec((any_text(), any_text()), 0..4),
            cwd in any_text(),
            (uid, gid, umask) in (0..60_000_u32, 0..60_000_u32, proptest::option::of(0..0o777_u32)),
            groups in prop::collection::vec(0..60_000_u32, 0..3),
            sets in prop::collection::vec(prop::collection::vec(one_of(&["CAP_KILL", "CAP_CHOWN", "CAP_BPF"]), 0..3), 5),
            (terminal, no_new_privileges, score) in (any::<bool>(), any::<bool>(), proptest::option::of(-1000..1000_i32)),
            (soft, hard) in (any::<u64>(), any::<u64>()),
        ) -> Value {
            let env: Vec<_> = env.into_iter().map(|(name, value)| format!("x{name}={value}")).collect();
            let names = ["bounding", "effective", "inheritable", "permitted", "ambient"];
            let capabilities: serde_json::Map<_, _> = names.iter().zip(sets).map(|(name, set)| (name.to_string(), json!(set))).collect();
            let mut process = json!({
                "args": args, "env": env, "cwd": format!("/{cwd}"), "terminal": terminal,
                "user": {"uid": uid, "gid": gid, "additionalGids": groups}, "capabilities": capabilities,
                "noNewPrivileges": no_new_privileges, "rlimits": [{"type": "RLIMIT_CORE", "soft": soft.min(hard), "hard": hard}],
            });
            if let Some(umask) = umask {
                process["user"]["umask"] = umask.into();
            }
            if let Some(score) = score {
                process["oomScoreAdj"] = score.into();
            }
            process
        }
    }

    prop_compose! {
        fn any_config()(
            process in any_process(),
            (hostname, domainname) in (any_text(), any_text()),
            (mapped, readonly) in (any::<bool>(), any::<bool>()),
            mounts in prop::collection::vec(any_mount(), 0..4),
            (masked, read_only) in (prop::collection::vec(any_text(), 0..3), prop::collection::vec(any_text(), 0..3)),
            propagation in proptest::option::of(one_of(&["shared", "rslave", "private"])),
            (limit, swap, shares, pids) in (1..i64::MAX / 2, 0..i64::MAX / 2, any::<u64>(), any::<i64>()),
            (group, file, value) in (any_text(), any_text(), any_text()),
        ) -> Value {
            let mut config = template();
            config["process"] = process;
            config["hostname"] = hostname.into();
            config["domainname"] = domainname.into();
            config["root"]["readonly"] = readonly.into();
            config["mounts"].as_array_mut().expect("a list").extend(mounts);
            let linux = &mut config["linux"];
            linux["maskedPaths"] = json!(masked);
            linux["readonlyPaths"] = json!(read_only);
            linux["cgroupsPath"] = group.into();
            if let Some(propagation) = propagation {
                linux["rootfsPropagation"] = propagation.into();
            }
            linux["resources"]["memory"] = json!({"limit": limit, "swap": limit + swap});
            linux["resources"]["cpu"] = json!({"shares": shares});
            linux["resources"]["pids"] = json!({"limit": pids});
            linux["resources"]["unified"] = json!({format!("memory.{file}"): value});
            if mapped {
                user_namespace(&mut config);
            }
            config
        }
    }

    /// Half of the configs are to become plans: a property of none would hold for anything.
    #[test]
    fn any_config_is_refused_or_told_in_every_form() {
        const CASES: u32 = 128;
        let plans = std::cell::Cell::new(0);
        let mut runner = TestRunner::new(ProptestConfig { cases: CASES, ..ProptestConfig::default() });
        let told = runner.run(&any_config(), |config| {
            if let Ok(config) = Config::parse(&config.to_string())
                && let Ok(plan) = create("web", &config.spec, &host(), Options::default())
            {
                plans.set(plans.get() + 1);
                for part in parts(&plan) {
                    prop_assert_eq!(complaints(&part), "", "{}", part);
                }
                let lines = plan.mermaid().lines().count();
                prop_assert!(lines < 2 * plan.story().len(), "a text has broken out of its line:\n{}", plan.mermaid());
                prop_assert_eq!(plan.json()["steps"].as_array().map(Vec::len), Some(plan.story().len()));
            }
            Ok(())
        });
        told.unwrap_or_else(|error| panic!("{error}"));
        assert!(plans.get() > CASES / 2, "only {} of {CASES} became plans", plans.get());
    }

    proptest! {
        #[test]
        fn a_shell_reads_a_word_as_the_text_that_it_was_made_of(texts in prop::collection::vec(any_text(), 1..20)) {
            let texts: Vec<_> = texts.into_iter().map(|text| text.replace('\0', "")).collect();
            let words: Vec<_> = texts.iter().map(|text| word(text)).collect();
            let printed = Command::new("sh").arg("-c").arg(format!(r"printf '%s\0' {}", words.join(" "))).output()?;
            let read: Vec<_> = printed.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            prop_assert_eq!(&read[..texts.len()], &texts[..]);
        }
    }

    #[test]
    fn the_scripts_of_all_kinds_of_steps_can_be_read() {
        for plan in all_kinds() {
            for part in parts(&plan) {
                assert_eq!(complaints(&part), "", "{part}");
            }
        }
    }

    #[test]
    fn the_middle_part_ends_at_a_line_of_its_own() {
        let plan = plan(|config| config["process"]["args"] = json!(["echo", "a\nINSIDE\nb"]));
        assert!(plan.shell().contains("<<'INSIDE_' ||") && plan.shell().ends_with("\nINSIDE_\nexit \"$status\"\n"));
    }

    fn commands(change: impl FnOnce(&mut Value)) -> String {
        let script = plan(change).shell();
        script
            .lines()
            .filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// The command lines that a change of the template brings with it.
    fn new_commands(change: impl FnOnce(&mut Value)) -> String {
        let before = commands(|_| {});
        commands(change)
            .lines()
            .filter(|line| !before.lines().any(|known| known == *line))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn limits_are_echoed() {
        insta::assert_snapshot!(new_commands(|config| {
            config["linux"]["resources"]["cpu"] = json!({"quota": 50000});
            config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
            config["linux"]["resources"]["unified"] = json!({"memory.oom.group": "-1"});
            config["process"]["oomScoreAdj"] = (-500).into();
        }), @r#"
        echo '50000 100000' >/sys/fs/cgroup/glassbox-web/cpu.max
        echo 67108864 >/sys/fs/cgroup/glassbox-web/memory.max
        printf '%s\n' -1 >/sys/fs/cgroup/glassbox-web/memory.oom.group
          printf '%s\n' -500 >"/proc/$pid/oom_score_adj"
        "#);
    }

    #[test]
    fn systemd_is_asked_by_busctl() {
        let script = crate::plan::tests::scoped(|_| {}).expect("a plan").shell();
        let beside: Vec<_> = script.lines().skip_while(|line| !line.contains("busctl")).take(24).collect();
        insta::assert_snapshot!(beside.join("\n"), @r#"
          busctl --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
          StartTransientUnit 'ssa(sv)a(sa(sv))' glassbox-web.scope replace 12 \
          PIDs au 1 "$pid" \
          Description s 'glassbox container web' \
          Slice s machine.slice \
          Delegate b true \
          DefaultDependencies b false \
          CollectMode s inactive-or-failed \
          CPUAccounting b true \
          IOAccounting b true \
          MemoryAccounting b true \
          TasksAccounting b true \
          DevicePolicy s strict \
          DeviceAllow 'a(ss)' 10 'char-*' m 'block-*' m /dev/char/1:3 rwm /dev/char/1:5 rwm /dev/char/1:7 rwm /dev/char/1:8 rwm /dev/char/1:9 rwm /dev/char/5:0 rwm /dev/char/5:2 rwm char-136 rwm \
          0
          until grep -qx "$pid" /sys/fs/cgroup/machine.slice/glassbox-web.scope/cgroup.procs 2>/dev/null; do sleep 0.01; done
          # 3. enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup (linux.resources)
          for controller in hugetlb rdma misc; do
          echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || : # it only counts
        done 2>/dev/null
          # 4. enable the controllers hugetlb, rdma, misc below /sys/fs/cgroup/machine.slice (linux.resources)
          for controller in hugetlb rdma misc; do
          echo "+$controller" >/sys/fs/cgroup/machine.slice/cgroup.subtree_control || : # it only counts
        done 2>/dev/null
        "#);
    }

    #[test]
    fn a_user_namespace_is_mapped_by_printf_and_its_devices_are_bound() {
        insta::assert_snapshot!(new_commands(user_namespace), @r#"
          exec unshare --mount --propagation unchanged --uts --ipc --user --keep-caps --pid --fork --net \
          printf '%s\n' '0 100000 65536' >"/proc/$pid/gid_map"
          printf '%s\n' '0 100000 65536' >"/proc/$pid/uid_map"
        set -- "$@" setpriv --reuid=0 --regid=0 --keep-groups --inh-caps=-all --ambient-caps=-all
        place() {
          if [ -d "$1" ]; then
            directory "$2"
          else
            directory "${2%/*}"
            below "$2"
            [ -e "$2" ] || (umask 0022 && : >"$2")
          fi
        place /dev/null ./dev/null
        mount --bind /dev/null ./dev/null
        place /dev/zero ./dev/zero
        mount --bind /dev/zero ./dev/zero
        place /dev/full ./dev/full
        mount --bind /dev/full ./dev/full
        place /dev/random ./dev/random
        mount --bind /dev/random ./dev/random
        place /dev/urandom ./dev/urandom
        mount --bind /dev/urandom ./dev/urandom
        place /dev/tty ./dev/tty
        mount --bind /dev/tty ./dev/tty
        "#);
    }

    #[test]
    fn mounts_of_every_sort() {
        insta::assert_snapshot!(new_commands(|config| {
            let mounts = config["mounts"].as_array_mut().expect("a list");
            mounts.push(json!({"destination": "/data", "type": "bind", "source": "/my files", "options": ["rbind", "ro", "nosuid", "dev", "noatime", "rslave"]}));
            mounts.push(json!({"destination": "/rec", "type": "bind", "source": "/r", "options": ["rbind", "rro"]}));
            mounts.push(json!({"destination": "/own", "type": "tmpfs", "source": "own", "options": ["rro", "size=1m"]}));
            mounts.push(json!({"destination": "/o", "type": "overlay", "source": "o", "options": ["lowerdir=a,b", "upperdir=c"]}));
            config["linux"]["rootfsPropagation"] = "shared".into();
        }), @r#"
          mount --namespace "$pid" --make-shared /
        place() {
          if [ -d "$1" ]; then
            directory "$2"
          else
            directory "${2%/*}"
            below "$2"
            [ -e "$2" ] || (umask 0022 && : >"$2")
          fi
        mount --make-rprivate /
        place '/my files' ./data
        mount --rbind '/my files' ./data
        mount -o remount,bind,dev,ro,nosuid,noatime ./data
        below ./data
        mount --make-rslave ./data
        place /r ./rec
        mount --rbind /r ./rec
        remount_all ./rec ro
        directory ./own
        mount -t tmpfs -o size=1m own ./own
        mount -o remount,bind,ro ./own
        directory ./o
        mount -t overlay -o 'lowerdir="a,b",upperdir=c' o ./o
        "#);
    }

    #[test]
    fn a_user_with_capabilities() {
        insta::assert_snapshot!(new_commands(|config| {
            config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 10]});
            config["process"]["capabilities"] = json!({
                "bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_CHOWN"],
                "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
            });
        }), @r#"
        set -- "$@" --drop=cap_dac_override,cap_dac_read_search,cap_fowner,cap_fsetid,cap_setgid \
          --drop=cap_setuid,cap_setpcap,cap_linux_immutable,cap_net_bind_service,cap_net_broadcast \
          --drop=cap_mknod,cap_lease,cap_audit_write,cap_audit_control,cap_setfcap \
          --drop=cap_mac_override,cap_mac_admin,cap_syslog,cap_wake_alarm,cap_block_suspend \
          --drop=cap_audit_read,cap_perfmon,cap_bpf,cap_checkpoint_restore
        set -- "$@" --keep=1 --groups=5,10 --gid=1001 --uid=1000
        set -- "$@" --caps='= cap_chown+ep cap_kill+ip' --addamb=cap_kill
        "#);
    }

    #[test]
    fn what_a_shell_adds_to_the_environment_goes_and_what_the_config_says_stays() {
        insta::assert_snapshot!(new_commands(|config| {
            config["process"]["args"] = json!(["./run it's"]);
            config["process"]["env"] = json!(["PWD=/elsewhere", "a.b=1", "X=it's"]);
        }), @r"
          PWD=/elsewhere \
          a.b=1 \
          'X=it'\''s' \
        for file in '\''//./run it'\''\'\'''\''s'\''; do
        unset OLDPWD SHLVL _
        PWD=/elsewhere
        ' sh './run it'\''s'
        ");
    }

    #[test]
    fn joined_namespaces_are_entered_by_nsenter() {
        insta::assert_snapshot!(new_commands(joined), @r#"
          echo 0 >/sys/fs/cgroup/glassbox-web/cgroup.procs # 0: whoever writes it
          exec nsenter --pid=/proc/7/ns/pid nsenter --net=/run/netns/web nsenter --user=/proc/7/ns/user unshare --mount --propagation unchanged --uts --time --boottime=-1 --monotonic=86400 \
          chrt --batch --reset-on-fork --pid 0 "$pid"
          renice -n 5 -p "$pid"
          ionice --class idle --classdata 0 --pid "$pid"
        set -- "$@" setpriv --reuid=0 --regid=0 --keep-groups --inh-caps=-all --ambient-caps=-all
        place() {
          if [ -d "$1" ]; then
            directory "$2"
          else
            directory "${2%/*}"
            below "$2"
            [ -e "$2" ] || (umask 0022 && : >"$2")
          fi
        place /sys/fs/cgroup/glassbox-web ./sys/fs/cgroup
        mount --bind /sys/fs/cgroup/glassbox-web ./sys/fs/cgroup
        mount -o remount,bind,relatime,ro,nosuid,nodev,noexec ./sys/fs/cgroup
        place /dev/null ./dev/null
        mount --bind /dev/null ./dev/null
        place /dev/zero ./dev/zero
        mount --bind /dev/zero ./dev/zero
        place /dev/full ./dev/full
        mount --bind /dev/full ./dev/full
        place /dev/random ./dev/random
        mount --bind /dev/random ./dev/random
        place /dev/urandom ./dev/urandom
        mount --bind /dev/urandom ./dev/urandom
        place /dev/tty ./dev/tty
        mount --bind /dev/tty ./dev/tty
        printf %s 512 >/proc/sys/net/core/somaxconn
        printf %s 1 >/proc/sys/net/ipv4/ip_forward
        "#);
    }

    #[test]
    fn a_machine_without_cgroups_needs_none() {
        let config = Config::parse(&template().to_string()).expect("valid");
        let host = Host { cgroup: None, ..host() };
        let script = create("web", &config.spec, &host, Options::default()).expect("a plan").shell();
        assert!(!script.contains("cgroup.procs") && !script.contains("rmdir"), "{script}");
    }
}
