//! The mount options of config.md ("Linux mount options"), each as what the new mount API needs.

use super::step::{FsParameter, MountAttributes, c_string};
use super::uapi::*;

/// What a mount's options ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MountOptions {
    /// `bind` or `rbind` stands among them; `true` for `rbind`.
    pub bind: Option<bool>,
    /// `remount` stands among them.
    pub remount: bool,
    /// `idmap` or `ridmap` stands among them; `true` for `ridmap`.
    pub idmap: Option<bool>,
    /// `tmpcopyup` stands among them: the new file system begins with what it covers.
    pub copy_up: bool,
    /// Attributes of the mount.
    pub attributes: MountAttributes,
    /// MS_* propagation flags, in order.
    pub propagation: Vec<u64>,
    /// What goes to the file system itself.
    pub parameters: Vec<FsParameter>,
}

/// What one option does.
#[derive(Clone, Copy)]
enum Effect {
    Set(u64),
    Clear(u64),
    Atime(u64),
    Propagation(u64),
    Bind(bool),
    Remount,
    CopyUp,
    IdMap(bool),
    Superblock,
    Nothing,
}

/// Sorts the options of one mount.
pub(super) fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> MountOptions {
    let mut parsed = MountOptions::default();
    for option in options {
        if let Some(effect) = effect(option) {
            parsed.apply(option, effect, false);
        } else if let Some(effect) = option.strip_prefix('r').and_then(effect).filter(Effect::is_attribute) {
            parsed.apply(option, effect, true);
        } else {
            parsed.parameters.push(match option.split_once('=') {
                Some((key, value)) => FsParameter::Value(c_string(key), c_string(value)),
                None => FsParameter::Flag(c_string(option)),
            });
        }
    }
    parsed
}

impl Effect {
    fn is_attribute(&self) -> bool {
        matches!(self, Effect::Set(_) | Effect::Clear(_) | Effect::Atime(_))
    }
}

impl MountOptions {
    fn apply(&mut self, option: &str, effect: Effect, recursive: bool) {
        let attributes = &mut self.attributes;
        let (set, clear) = match recursive {
            true => (&mut attributes.set_all, &mut attributes.clear_all),
            false => (&mut attributes.set, &mut attributes.clear),
        };
        match effect {
            // The last of two that contradict each other wins, as with mount(8).
            Effect::Set(bits) => (*set, *clear) = (*set | bits, *clear & !bits),
            Effect::Clear(bits) => (*set, *clear) = (*set & !bits, *clear | bits),
            // The kernel wants the whole mode cleared when one is set.
            Effect::Atime(mode) => (*set, *clear) = (*set & !MOUNT_ATTR_ATIME | mode, *clear | MOUNT_ATTR_ATIME),
            Effect::Propagation(flags) => self.propagation.push(flags),
            Effect::Bind(recursive) => self.bind = Some(recursive),
            Effect::Remount => self.remount = true,
            Effect::CopyUp => self.copy_up = true,
            Effect::IdMap(recursive) => self.idmap = Some(recursive),
            Effect::Superblock => self.parameters.push(FsParameter::Flag(c_string(option))),
            Effect::Nothing => {}
        }
        // A file system that is read-only as a whole says so in its own options too, as with mount(2).
        let read_only = FsParameter::Flag(c"ro".to_owned());
        if !recursive && ["ro", "rw"].contains(&option) {
            self.parameters.retain(|parameter| *parameter != read_only);
        }
        if !recursive && option == "ro" {
            self.parameters.push(read_only);
        }
    }

    /// What goes to a file system that is there already: it may be read-only, and is to be so no more.
    pub fn reconfiguration(&self) -> Vec<FsParameter> {
        let writable = (self.attributes.clear & MOUNT_ATTR_RDONLY != 0).then(|| FsParameter::Flag(c"rw".to_owned()));
        self.parameters.iter().cloned().chain(writable).collect()
    }

    /// What a mount of something that is there already leaves to it: options of the file system alone.
    pub fn foreign(&self) -> impl Iterator<Item = String> {
        let read_only = FsParameter::Flag(c"ro".to_owned());
        self.parameters.iter().filter(move |parameter| **parameter != read_only).map(|parameter| match parameter {
            FsParameter::Flag(flag) => flag.to_string_lossy().into_owned(),
            FsParameter::Value(key, value) => format!("{}={}", key.to_string_lossy(), value.to_string_lossy()),
        })
    }
}

/// What each option does. An attribute's name with an `r` before it means the mount and all below it.
const OPTIONS: [(&str, Effect); 36] = [
    ("ro", Effect::Set(MOUNT_ATTR_RDONLY)),
    ("rw", Effect::Clear(MOUNT_ATTR_RDONLY)),
    ("nosuid", Effect::Set(MOUNT_ATTR_NOSUID)),
    ("suid", Effect::Clear(MOUNT_ATTR_NOSUID)),
    ("nodev", Effect::Set(MOUNT_ATTR_NODEV)),
    ("dev", Effect::Clear(MOUNT_ATTR_NODEV)),
    ("noexec", Effect::Set(MOUNT_ATTR_NOEXEC)),
    ("exec", Effect::Clear(MOUNT_ATTR_NOEXEC)),
    ("nosymfollow", Effect::Set(MOUNT_ATTR_NOSYMFOLLOW)),
    ("symfollow", Effect::Clear(MOUNT_ATTR_NOSYMFOLLOW)),
    ("nodiratime", Effect::Set(MOUNT_ATTR_NODIRATIME)),
    ("diratime", Effect::Clear(MOUNT_ATTR_NODIRATIME)),
    ("noatime", Effect::Atime(MOUNT_ATTR_NOATIME)),
    ("strictatime", Effect::Atime(MOUNT_ATTR_STRICTATIME)),
    // relatime is the kernel's default mode, the one with no bit.
    ("atime", Effect::Atime(0)),
    ("relatime", Effect::Atime(0)),
    ("norelatime", Effect::Atime(0)),
    ("nostrictatime", Effect::Atime(0)),
    ("bind", Effect::Bind(false)),
    ("rbind", Effect::Bind(true)),
    ("remount", Effect::Remount),
    ("tmpcopyup", Effect::CopyUp),
    ("idmap", Effect::IdMap(false)),
    ("ridmap", Effect::IdMap(true)),
    ("sync", Effect::Superblock),
    ("async", Effect::Superblock),
    ("dirsync", Effect::Superblock),
    ("lazytime", Effect::Superblock),
    ("nolazytime", Effect::Superblock),
    // Mandatory locks left the kernel in 5.15; i_version is the file system's own matter; `silent` is about its log.
    ("defaults", Effect::Nothing),
    ("mand", Effect::Nothing),
    ("nomand", Effect::Nothing),
    ("iversion", Effect::Nothing),
    ("noiversion", Effect::Nothing),
    ("silent", Effect::Nothing),
    ("loud", Effect::Nothing),
];

/// The names of all options that are not left to the file system, sorted.
pub(super) fn names() -> Vec<String> {
    let plain = OPTIONS.iter().map(|(name, _)| *name).chain(PROPAGATION.iter().map(|(_, name)| *name));
    let attributes = OPTIONS.iter().filter(|(_, effect)| effect.is_attribute()).map(|(name, _)| *name);
    let recursive = attributes.chain(PROPAGATION.iter().map(|(_, name)| *name)).map(|name| format!("r{name}"));
    let mut names: Vec<_> = plain.map(str::to_string).chain(recursive).collect();
    names.sort();
    names
}

fn effect(option: &str) -> Option<Effect> {
    let named = OPTIONS.iter().find(|(name, _)| *name == option).map(|(_, effect)| *effect);
    named.or_else(|| propagation(option).map(Effect::Propagation))
}

/// MS_* flags of a propagation type: `rslave`, `private` ….
pub(super) fn propagation(option: &str) -> Option<u64> {
    let named = |name: &str| PROPAGATION.iter().find(|(_, known)| *known == name).map(|(flag, _)| *flag);
    named(option).or_else(|| option.strip_prefix('r').and_then(named).map(|flag| flag | MS_REC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_specification_has_its_effect() {
        let of = |options: &str| parse(options.split(','));
        assert_eq!(of("nosuid,noexec,nodev").attributes.set, 0x0e);
        assert_eq!(of("ro,rw").attributes, MountAttributes { clear: 1, ..Default::default() });
        assert_eq!(of("ro,rw").parameters, [], "the last of two that contradict each other wins");
        let atime = of("noatime,strictatime").attributes;
        assert_eq!((atime.set, atime.clear), (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_ATIME));
        assert_eq!(of("rro,rnosuid").attributes.set_all, 3);
        assert_eq!(of("rslave").propagation, [MS_SLAVE | MS_REC]);
        assert_eq!((of("rbind").bind, of("bind").bind, of("ro").bind), (Some(true), Some(false), None));
        assert_eq!(of("relatime").attributes, MountAttributes { clear: MOUNT_ATTR_ATIME, ..Default::default() });
        let must = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev \
            nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid private rbind relatime remount \
            rprivate rshared rslave runbindable rw shared silent slave strictatime suid sync unbindable nosymfollow symfollow \
            rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime rdiratime rrelatime rnorelatime rnoatime ratime \
            rstrictatime rnostrictatime rnosymfollow rsymfollow";
        for option in must.split_whitespace() {
            let superblock = ["async", "sync", "dirsync", "lazytime", "nolazytime"].contains(&option);
            assert_eq!(parse([option]).parameters.is_empty(), !superblock, "{option} went to the file system");
        }
    }

    #[test]
    fn every_option_that_is_named_is_understood() {
        let names = names();
        for name in ["async", "rro", "rprivate", "unbindable", "rsymfollow", "ratime"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        for name in &names {
            assert!(
                !parse([name.as_str()]).parameters.contains(&FsParameter::Flag(c_string(name)))
                    || effect(name).is_some()
            );
        }
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "each once: {names:?}");
    }

    #[test]
    fn unknown_options_go_to_the_file_system() {
        let expected = [
            FsParameter::Value(c"mode".into(), c"755".into()),
            FsParameter::Flag(c"newinstance".into()),
            FsParameter::Flag(c"ro".into()),
        ];
        assert_eq!(parse(["mode=755", "newinstance", "ro"]).parameters, expected);
    }
}
