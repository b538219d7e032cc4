//! A step as a sentence in Chinese, beside `text.rs`. Names of the kernel and of config.json stay as they are.

use super::step::*;
use super::text::{
    attribute_list, attribute_words, capability_names, cpus, join, mount_words, namespace_names, personality_name,
    propagation_name, text, words_of_mount,
};

impl HostStep {
    /// One sentence without a full stop.
    pub fn describe_in_chinese(&self) -> String {
        match self {
            HostStep::CreateCgroup { path } => format!("创建 cgroup {path}"),
            HostStep::AdoptCgroup { path } => format!("接管空的 cgroup {path}"),
            HostStep::EnableControllers { path, required, wanted } => {
                let names: Vec<_> = required.iter().chain(wanted).map(String::as_str).collect();
                format!("在 {path} 之下启用控制器 {}", names.join("、"))
            }
            HostStep::WriteCgroup { path, write } => format!("把 {:?} 写入 {path}/{}", write.value, write.file),
            HostStep::FilterDevices { path, rules } => format!("给 {path} 挂上有 {} 条规则的设备过滤程序", rules.len()),
            HostStep::DelegateCgroup { path, uid, files } => {
                format!("把 {path} 和其中的文件 {} 交给用户 {uid}", files.join("、"))
            }
            HostStep::StartScope { unit, properties, .. } => {
                let properties: Vec<_> = properties.iter().map(ToString::to_string).collect();
                format!("让 systemd 围绕进程启动 {unit}：{}", properties.join("；"))
            }
            HostStep::WriteIdMap { kind, ranges, program } => {
                let one = |range: &IdRange| {
                    format!("容器内从 {} 起的 {} 个对应外面从 {} 起", range.inside, range.count, range.outside)
                };
                let who = match kind {
                    IdKind::User => "用户",
                    IdKind::Group => "组",
                };
                let ranges: Vec<_> = ranges.iter().map(one).collect();
                let by = program.map(|program| format!("由 {program} ")).unwrap_or_default();
                format!("{by}在 user 命名空间中映射{who}：{}", ranges.join("；"))
            }
            HostStep::DenySetgroups => "禁止在 user 命名空间中使用 setgroups".to_string(),
            HostStep::MoveNetDevice { name, inside, .. } => {
                format!("把网络设备 {name} 连同地址移入容器，改名为 {inside} 并启用")
            }
            HostStep::SetRlimit { name, soft, hard } => {
                format!("把 {name} 设为 {}（软）和 {}（硬）", amount(*soft), amount(*hard))
            }
            HostStep::SetOomScoreAdj { value } => format!("把进程的 oom_score_adj 设为 {value}"),
            HostStep::SetScheduler { scheduling } => format!("让进程按 {} 调度", scheduling.describe()),
            HostStep::SetIoPriority { class, level } => format!("把进程的读写优先级设为 {class} 的第 {level} 级"),
            HostStep::RunHook { kind, hook } => run_hook(*kind, hook),
        }
    }
}

impl InitStep {
    /// One sentence without a full stop.
    pub fn describe_in_chinese(&self) -> String {
        match self {
            InitStep::HideFromTracers => "不让所加入命名空间里的进程窥视这个进程".to_string(),
            InitStep::JoinNamespace { namespace, path } => {
                format!("加入 {} 的 {} 命名空间", text(path), namespace_names(*namespace).join("、"))
            }
            InitStep::JoinContainer { namespaces, pid } => {
                format!("加入进程 {pid} 的命名空间：{}", namespace_names(*namespaces).join("、"))
            }
            InitStep::NewTimeNamespace { offsets } => match offsets.is_empty() {
                true => "新建 time 命名空间并进入".to_string(),
                false => {
                    let offsets = text(offsets).trim_end().replace('\n', "、");
                    format!("新建 time 命名空间，拨好它的时钟并进入：{offsets}")
                }
            },
            InitStep::WriteSysctl { path, value } => format!("把 {:?} 写入 {}", text(value), text(path)),
            InitStep::NewSessionKeyring { name } => format!("加入新的会话密钥环 {}", text(name)),
            InitStep::SetCpuAffinity { mask } => match mask.iter().all(|word| *word == u64::MAX) {
                true => "可以在 cgroup 允许的所有 CPU 上运行".to_string(),
                false => format!("只在 CPU {} 上运行", join(&cpus(mask))),
            },
            InitStep::SetLabel { kind, text: label } => {
                let kind = match kind {
                    LabelKind::Apparmor => "AppArmor",
                    LabelKind::Selinux => "SELinux",
                };
                format!("在 execve 时换上 {kind} 标签 {:?}", text(label))
            }
            InitStep::AwaitHooks => "等待钩子".to_string(),
            InitStep::RunHook { kind, hook } => run_hook(*kind, hook),
            InitStep::SetOomScoreAdj { value } => format!("把自己的 oom_score_adj 设为 {}", text(value)),
            InitStep::BecomeRoot => "成为 user 命名空间里的 root".to_string(),
            InitStep::NewSession => "开始自己的会话".to_string(),
            InitStep::SetPersonality { domain } => format!("换成 {} 的执行域", personality_name(*domain)),
            InitStep::Unshare { namespaces } => {
                format!("新建 {} 命名空间", namespace_names(*namespaces).join("、"))
            }
            InitStep::SetPropagation { path, flags } => {
                format!("把 {} 的挂载传播方式设为 {}", text(path), propagation_name(*flags))
            }
            InitStep::PivotRoot => "把 rootfs 换成根目录，放开主机的根".to_string(),
            InitStep::ChangeRoot { path } => format!("让 {} 成为本进程的根，仍在主机的挂载点之中", text(path)),
            InitStep::SetHostname { name } => format!("把主机名设为 {}", text(name)),
            InitStep::SetDomainname { name } => format!("把域名设为 {}", text(name)),
            InitStep::BringLoopbackUp { device } => format!("启用回环设备 {}", text(device)),
            InitStep::ChangeDirectory { target } => format!("进入 {}", target.in_container()),
            InitStep::FindExecutable { candidates } => {
                format!("检查 {} 可以执行", candidates.first().map(|path| text(path)).unwrap_or_default())
            }
            InitStep::AwaitStart => "等待 start".to_string(),
            InitStep::SetUmask { mask } => format!("把文件权限掩码设为 {mask:04o}"),
            InitStep::DropBounding { drop } => format!("永久放弃 {} 项能力（capability）", drop.len()),
            InitStep::SwitchUser { uid, gid, groups } => match groups {
                None => format!("成为用户 {uid}、组 {gid}，附加组保持不变"),
                Some(groups) if groups.is_empty() => format!("成为用户 {uid}、组 {gid}"),
                Some(groups) => format!("成为用户 {uid}、组 {gid}，附加组 {}", join(groups)),
            },
            InitStep::SetCapabilities { effective, permitted, inheritable, ambient } => format!(
                "保留能力 {}（permitted {}，inheritable {}，ambient {}）",
                capability_names(*effective),
                if permitted == effective { "相同".to_string() } else { capability_names(*permitted) },
                capability_names(*inheritable),
                capability_names(*ambient),
            ),
            InitStep::NoNewPrivileges => "放弃通过 execve 获得特权".to_string(),
            InitStep::CloseDescriptors { from } => format!("关闭从 {from} 起的文件描述符"),
            InitStep::LoadSeccomp { program, .. } => format!(
                "装入有 {} 条指令的系统调用过滤器（{}）",
                program.instructions.len(),
                program.architectures.join("、")
            ),
            InitStep::Execute { args, .. } => {
                format!("变成程序：{}", args.iter().map(|arg| text(arg)).collect::<Vec<_>>().join(" "))
            }
            InitStep::EnterRootfs { path, recursive } => {
                format!("把 {}{}挂载到它自己上面并进入", text(path), all_below(*recursive))
            }
            InitStep::MountFilesystem {
                filesystem: Filesystem { fstype, attributes, parameters, .. }, target, ..
            } => {
                let options = mount_words(*attributes, parameters);
                format!("把 {} 挂载到 {}{options}", text(fstype), target.in_container())
            }
            InitStep::BindMount { source, target, recursive, attributes, idmap } => {
                let options = attribute_words(attributes);
                let ids = idmap.as_ref().map(owners).unwrap_or_default();
                let (source, target) = (text(source), target.in_container());
                format!("让主机的 {source}{}出现在 {target}{options}{ids}", all_below(*recursive))
            }
            InitStep::SetMountPropagation { target, flags } => {
                format!("把挂载 {} 设为 {}", target.in_container(), propagation_name(*flags))
            }
            InitStep::ChangeMount { target, parameters, attributes } => {
                let words = attribute_list(attributes);
                format!("更改挂载 {}{}", target.in_container(), words_of_mount(words, parameters))
            }
            InitStep::MakeDevice { target, mode, major, minor, .. } => {
                let permissions = mode & 0o7777;
                format!("创建设备 {}（{major}:{minor}，权限 {permissions:04o}）", target.in_container())
            }
            InitStep::MakeSymlink { text: link, target } => {
                format!("把 {} 链接到 {}", target.in_container(), text(link))
            }
            InitStep::MakeDirectory { target } => format!("创建目录 {}", target.in_container()),
            InitStep::CopyUp { target } => {
                format!("把 rootfs 中 {} 的内容复制到挂在那里的文件系统", target.in_container())
            }
            InitStep::OpenTerminal { console, .. } => match console {
                Some(console) => {
                    format!("打开一个终端作为 stdin、stdout 和 stderr，并让它出现在 {}", console.in_container())
                }
                None => "打开一个终端作为 stdin、stdout 和 stderr".to_string(),
            },
            InitStep::ReadonlyPath { path, .. } => format!("把 {} 设为只读", text(path)),
            InitStep::MaskPath { path, .. } => format!("遮住 {}", text(path)),
        }
    }
}

impl Clone3 {
    /// One sentence without a full stop.
    pub fn describe_in_chinese(&self) -> String {
        let cgroup = self.cgroup.as_ref().map(|path| format!("，生在 cgroup {path} 里")).unwrap_or_default();
        match namespace_names(self.namespaces).join("、").as_str() {
            "" => format!("克隆出进程{cgroup}"),
            namespaces => format!("克隆出进程，进入新的命名空间：{namespaces}{cgroup}"),
        }
    }
}

/// Whose the files of a mount are shown to be.
fn owners(map: &MountIdMap) -> String {
    let below = all_below(map.recursive);
    let ranges = |ranges: &[IdRange]| {
        let one = |range: &IdRange| format!("从 {} 起的 {} 个显示为从 {} 起", range.inside, range.count, range.outside);
        ranges.iter().map(one).collect::<Vec<_>>().join("、")
    };
    match map.users.is_empty() && map.groups.is_empty() {
        true => format!("，所有者{below}按容器的 user 命名空间映射"),
        false => format!("，所有者{below}映射：用户{}；组{}", ranges(&map.users), ranges(&map.groups)),
    }
}

fn all_below(recursive: bool) -> &'static str {
    if recursive { "连同其下的一切" } else { "" }
}

fn run_hook(kind: HookKind, hook: &Hook) -> String {
    let timeout = hook.timeout.map(|seconds| format!("，最多 {seconds} 秒")).unwrap_or_default();
    format!("运行 {} 钩子 {}{timeout}", kind.name(), text(&hook.path))
}

fn amount(limit: u64) -> String {
    if limit == u64::MAX { "不限".to_string() } else { limit.to_string() }
}
