//! Where it happens: bundles, state and cgroups of our own, removed at the end.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What a bundle asks for beside the config.json of `runc spec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bundle {
    /// Nothing: `/bin/true`.
    Plain,
    /// Docker's seccomp profile.
    Seccomp,
    /// A CPU and a memory limit.
    Limits,
    /// A program that stays: `sleep`.
    Staying,
}

impl Bundle {
    /// Its directory's name.
    pub fn name(self) -> &'static str {
        match self {
            Bundle::Plain => "plain",
            Bundle::Seccomp => "seccomp",
            Bundle::Limits => "limits",
            Bundle::Staying => "staying",
        }
    }
}

/// The directories.
pub struct Place {
    directory: tempfile::TempDir,
    /// The cgroup that all containers' cgroups lie in.
    pub cgroup: PathBuf,
    /// The root file system that all containers share.
    pub rootfs: PathBuf,
}

impl Place {
    /// Makes them, below /run and /sys/fs/cgroup.
    pub fn make(rootfs: &Path) -> Result<Self> {
        // statfs(2) of cgroup v2's own file says enough: no controllers are needed for /bin/true.
        ensure!(
            Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            "/sys/fs/cgroup is no cgroup v2: see tests/bench/run"
        );
        ensure!(nix::unistd::geteuid().is_root(), "measuring starts containers and needs root: see tests/bench/run");
        let directory = tempfile::Builder::new().prefix("glassbox-bench.").tempdir_in("/run")?;
        let cgroup = PathBuf::from("/sys/fs/cgroup").join(directory.path().file_name().expect("it has a name"));
        fs::create_dir(&cgroup)?;
        // A created container's parent is gone; it becomes our child, so that its end can be waited for.
        nix::sys::prctl::set_child_subreaper(true)?;
        let place = Self { directory, cgroup, rootfs: rootfs.canonicalize()? };
        for bundle in [Bundle::Plain, Bundle::Seccomp, Bundle::Limits, Bundle::Staying] {
            place.write(bundle, |_| ())?;
        }
        Ok(place)
    }

    /// Writes the bundle's config.json anew, with a change.
    pub fn write(&self, bundle: Bundle, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut config: Value = serde_json::from_str(include_str!("config.json"))?;
        config["root"]["path"] = self.rootfs.to_str().context("the rootfs path is not UTF-8")?.into();
        config["linux"]["cgroupsPath"] = self.cgroups_path("c").into();
        match bundle {
            Bundle::Plain => {}
            Bundle::Seccomp => {
                config["linux"]["seccomp"] = serde_json::from_str(include_str!("../../vm/docker-profile.json"))?;
            }
            Bundle::Limits => {
                config["linux"]["resources"]["cpu"] = json!({ "quota": 50_000, "period": 100_000, "shares": 512 });
                config["linux"]["resources"]["memory"] = json!({ "limit": 256 << 20 });
                config["linux"]["resources"]["pids"] = json!({ "limit": 512 });
            }
            Bundle::Staying => config["process"]["args"] = json!(["/bin/sleep", "1000000"]),
        }
        change(&mut config);
        fs::create_dir_all(self.bundle(bundle))?;
        Ok(fs::write(self.bundle(bundle).join("config.json"), config.to_string())?)
    }

    /// The directory of a bundle.
    pub fn bundle(&self, bundle: Bundle) -> PathBuf {
        self.path(bundle.name())
    }

    /// A file of ours.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `linux.cgroupsPath` of the container's cgroup with this name.
    pub fn cgroups_path(&self, name: &str) -> String {
        format!("/{}/{name}", self.cgroup.file_name().expect("made with a name").display())
    }

    /// Whether containers can have limits here.
    pub fn has_controllers(&self, wanted: &[&str]) -> Result<bool> {
        let text = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
        let present: Vec<_> = text.split_whitespace().collect();
        Ok(wanted.iter().all(|name| present.contains(name)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A run that failed may have left containers behind.
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        while nix::sys::wait::wait().is_ok() {}
        for entry in fs::read_dir(&self.cgroup).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(&self.cgroup);
    }
}
