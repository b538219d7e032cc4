//! "This machine cannot run it, because …; do this": the words for unmet requirements, in both languages.

use super::cgroup::NoBase;
use super::lang::Lang;
use super::machine::{Unmet, Why};
use super::requires::Require;

/// What is in the way: `you are user 1000, not root`.
pub fn because(unmet: &Unmet, lang: Lang) -> String {
    let name = match &unmet.require {
        Require::Controller(name) | Require::Command(name) | Require::File(name) => name.clone(),
        other => other.to_string(),
    };
    let (en, zh) = match &unmet.why {
        Why::NotRoot(uid) => (format!("you are user {uid}, not root"), format!("当前用户是 {uid}，不是 root")),
        Why::NoCgroup2 => ("no cgroup v2 hierarchy is mounted".into(), "没有挂载 cgroup v2".into()),
        Why::HeldByV1(mount) => (
            format!("cgroup v1 holds the controller {name}, at {}", mount.display()),
            format!("控制器 {name} 被 cgroup v1 占用，在 {}", mount.display()),
        ),
        Why::NoBase(NoBase::NoController(name)) => {
            (format!("cgroup v2 has no controller {name} here"), format!("这里的 cgroup v2 没有控制器 {name}"))
        }
        Why::NoBase(NoBase::NotWritable(dir)) => {
            (format!("you may not make a cgroup in {}", dir.display()), format!("无权在 {} 里建 cgroup", dir.display()))
        }
        Why::NoBase(NoBase::Busy(dir, count)) => (
            format!("other processes ({count}) stand in {} itself", dir.display()),
            format!("{} 里还有 {count} 个别的进程", dir.display()),
        ),
        Why::NoCommand => (format!("there is no program {name}"), format!("没有程序 {name}")),
        Why::Kernel(release) => (format!("the kernel is {release}"), format!("内核是 {release}")),
        Why::Cpus(count) => (format!("there are {count} CPUs"), format!("只有 {count} 个 CPU")),
        Why::Swap(bytes) => (format!("{bytes} bytes of swap are free"), format!("空闲 swap 只有 {bytes} 字节")),
        Why::Unreadable(error) => (format!("{name}: {error}"), format!("{name}：{error}")),
    };
    lang.pick(&en, &zh).to_string()
}

/// What to do about it, as one sentence.
pub fn remedy(unmet: &Unmet, lang: Lang) -> String {
    let (en, zh) = match &unmet.why {
        Why::NotRoot(_) | Why::NoBase(NoBase::NotWritable(_)) => {
            ("run it with sudo".to_string(), "用 sudo 运行".to_string())
        }
        Why::NoCgroup2 | Why::HeldByV1(_) => (
            "boot with systemd.unified_cgroup_hierarchy=1, or use a VM: make demo".to_string(),
            "用内核参数 systemd.unified_cgroup_hierarchy=1 启动，或用虚拟机：make demo".to_string(),
        ),
        Why::NoBase(NoBase::NoController(_)) => (
            "use a kernel that has it and does not disable it (cgroup_disable=), or a VM: make demo".to_string(),
            "换一个带有它且没有 cgroup_disable= 的内核，或用虚拟机：make demo".to_string(),
        ),
        Why::NoBase(NoBase::Busy(..)) => (
            "start it in a scope of its own: systemd-run --scope -p Delegate=yes glassbox lab …".to_string(),
            "放进单独的 scope：systemd-run --scope -p Delegate=yes glassbox lab …".to_string(),
        ),
        Why::NoCommand => {
            ("install it, or add its directory to PATH".to_string(), "安装它，或把它的目录加进 PATH".to_string())
        }
        Why::Kernel(_) => (
            format!("boot a kernel with {}, or use a VM", unmet.require),
            format!("换 {} 的内核，或用虚拟机", unmet.require),
        ),
        Why::Cpus(_) => {
            (format!("use a machine or VM with {}", unmet.require), format!("换一台 {} 的机器或虚拟机", unmet.require))
        }
        Why::Swap(_) => (
            "add swap: fallocate -l 256M /swap && chmod 600 /swap && mkswap /swap && swapon /swap".to_string(),
            "加 swap：fallocate -l 256M /swap && chmod 600 /swap && mkswap /swap && swapon /swap".to_string(),
        ),
        Why::Unreadable(_) => {
            ("use a kernel that has this file, or a VM".to_string(), "换一个有这个文件的内核，或用虚拟机".to_string())
        }
    };
    lang.pick(&en, &zh).to_string()
}

#[cfg(test)]
mod tests {
    use super::{because, remedy};
    use crate::lab::lang::Lang;
    use crate::lab::machine::{Unmet, Why};

    #[test]
    fn an_unmet_requirement_is_told_with_its_remedy() {
        let require = "cgroup2:memory".parse().expect("a requirement");
        let unmet = Unmet { require, why: Why::HeldByV1("/sys/fs/cgroup/memory".into()) };
        assert_eq!(because(&unmet, Lang::En), "cgroup v1 holds the controller memory, at /sys/fs/cgroup/memory");
        assert_eq!(because(&unmet, Lang::Zh), "控制器 memory 被 cgroup v1 占用，在 /sys/fs/cgroup/memory");
        assert!(remedy(&unmet, Lang::En).ends_with("make demo"));
    }
}
