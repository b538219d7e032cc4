//! An image's config as a config.json: what image-spec's conversion.md asks for, laid over a template.

use std::os::fd::BorrowedFd;

use oci_spec::image::Config;
use pathrs::Root;
use serde_json::{Map, Value, json};

use super::error::ImageError;
use super::platform::Platform;
use super::user::{self, User};
use super::{Image, Owners, layout};

/// What podman gives to a container whose user asks for nothing: programs of images count on these.
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A config.json for `image`, unpacked in `rootfs` for `owners`, made of `template`. With it, in sentences, what the image asks
/// for and does not get.
///
/// # Errors
/// When the image's user is not in the image's own /etc/passwd.
pub fn config_json(
    image: &Image,
    rootfs: BorrowedFd<'_>,
    owners: &Owners,
    mut template: Value,
) -> Result<(Value, Vec<String>), ImageError> {
    let config = image.config.config().clone().unwrap_or_default();
    let mut notes = Vec::new();
    let user = user::resolve(rootfs, config.user().as_deref().unwrap_or_default())?;
    let user = if *owners == Owners::Mine { alone(user, &mut notes) } else { user };
    template["root"]["readonly"] = false.into();
    process(&config, &user, &mut template["process"], &mut notes);
    template["annotations"] = annotations(image, &config);
    let root = Root::from_fd(rootfs.try_clone_to_owned().map_err(|error| ImageError::io("rootfs", error))?);
    let mounts = template["mounts"].as_array_mut().expect("a template has mounts");
    mounts.extend(volumes(&config, &root, owners, &mut notes));
    if let Owners::Mapped { users, groups } = owners {
        let linux = &mut template["linux"];
        let list = |maps: &[super::IdMap]| -> Value {
            maps.iter().map(|map| json!({"containerID": map.container, "hostID": map.host, "size": map.size})).collect()
        };
        linux["uidMappings"] = list(users);
        linux["gidMappings"] = list(groups);
        linux["namespaces"].as_array_mut().expect("a template has namespaces").push(json!({"type": "user"}));
    }
    Ok((template, notes))
}

/// An ordinary user has one id to give: the image's user, whoever it is, becomes the root that owns all files.
fn alone(user: User, notes: &mut Vec<String>) -> User {
    if (user.uid, user.gid) != (0, 0) {
        let (uid, gid) = (user.uid, user.gid);
        notes.push(format!("the image's user {uid}:{gid} is not there: the process runs as 0:0, which is you"));
    }
    User { uid: 0, gid: 0, groups: Vec::new(), ..user }
}

fn process(config: &Config, user: &User, process: &mut Value, notes: &mut Vec<String>) {
    let args: Vec<_> = config.entrypoint().iter().chain(config.cmd()).flatten().collect();
    match args.is_empty() {
        true => notes.push("the image names no program; process.args is [\"sh\"]".to_string()),
        false => process["args"] = json!(args),
    }
    process["cwd"] = match config.working_dir().as_deref().unwrap_or_default() {
        "" => json!("/"),
        absolute if absolute.starts_with('/') => json!(absolute),
        relative => json!(format!("/{relative}")),
    };
    let mut env: Vec<String> = Vec::new();
    for variable in config.env().iter().flatten() {
        match variable.find('=') {
            Some(at) if at > 0 => env.push(variable.clone()),
            _ => notes.push(format!("the variable {variable:?} has no value, and is left out")),
        }
    }
    let home = user.home.iter().map(|home| format!("HOME={home}"));
    let usual = process["env"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string);
    let defaults: Vec<String> = usual.chain(home).collect();
    for default in defaults {
        let name = default.split_inclusive('=').next().unwrap_or_default();
        if !env.iter().any(|variable| variable.starts_with(name)) {
            env.push(default);
        }
    }
    process["env"] = json!(env);
    process["user"] = json!({"uid": user.uid, "gid": user.gid});
    if !user.groups.is_empty() {
        process["user"]["additionalGids"] = json!(user.groups);
    }
    for set in ["bounding", "effective", "permitted"] {
        process["capabilities"][set] = json!(CAPABILITIES);
    }
}

/// The annotations of conversion.md; a label of the image that has one's name holds.
fn annotations(image: &Image, config: &Config) -> Value {
    let Platform { os, architecture, variant } = layout::own_platform(&image.config);
    let mut ports: Vec<_> = config.exposed_ports().iter().flatten().cloned().collect();
    ports.sort();
    let derived = [
        ("os", Some(os)),
        ("architecture", Some(architecture)),
        ("variant", variant),
        ("author", image.config.author().clone()),
        ("created", image.config.created().clone()),
        ("stopSignal", config.stop_signal().clone()),
        ("exposedPorts", Some(ports.join(","))),
    ];
    let mut all: Map<String, Value> = derived
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
        .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.into()))
        .collect();
    let mut labels: Vec<_> = config.labels().iter().flatten().filter(|(name, _)| !name.is_empty()).collect();
    labels.sort();
    all.extend(labels.into_iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    all.into()
}

/// A tmpfs for each volume, with the mode and the owner that its directory has in the image.
fn volumes(config: &Config, root: &Root, owners: &Owners, notes: &mut Vec<String>) -> Vec<Value> {
    let mut wanted: Vec<_> = config.volumes().iter().flatten().map(|volume| normal(volume)).collect();
    wanted.sort();
    wanted.dedup();
    let mut mounts = Vec::new();
    for volume in wanted {
        // Over these a volume would take the container's protection away (CVE-2019-16884).
        let forbidden = ["/", "/proc", "/sys", "/dev"].iter().any(|top| {
            volume == *top || (*top != "/" && volume.strip_prefix(top).is_some_and(|rest| rest.starts_with('/')))
        });
        if forbidden || volume.contains('\0') {
            notes.push(format!("the volume {volume:?} is left out: it would hide what the runtime mounts"));
            continue;
        }
        let mut options: Vec<String> = ["rw", "nosuid", "nodev"].map(str::to_string).into();
        let found = root.resolve(&volume).ok().and_then(|handle| rustix::fs::fstat(&handle).ok());
        let found = found.filter(|found| found.st_mode & libc::S_IFMT == libc::S_IFDIR);
        options.push(format!("mode={:o}", found.as_ref().map_or(0o755, |found| found.st_mode & 0o1777)));
        if let (Some(found), Owners::Kept) = (found, owners) {
            options.extend([format!("uid={}", found.st_uid), format!("gid={}", found.st_gid)]);
        }
        mounts.push(json!({"destination": volume, "type": "tmpfs", "source": "tmpfs", "options": options}));
    }
    mounts
}

/// A path without `.`, `..` and doubled slashes.
fn normal(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}
