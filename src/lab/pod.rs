//! Pods as the labs see them: by `glassbox pod`, like any user of the program.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::processes;

/// Deletes every pod that was run from the lab's shell: the process that keeps a pod was started there, so it carries the
/// run's mark.
///
/// # Errors
/// If our own program does not run, or cannot delete one.
pub fn remove_of_run(dir: &Path) -> io::Result<()> {
    let exe = std::env::current_exe()?;
    for process in processes::of_run(dir) {
        let cmdline = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let Some(pod) = kept(&cmdline) else { continue };
        let mut delete = Command::new(&exe);
        delete.arg("--root").arg(&pod.root).args([
            "pod",
            "delete",
            "--force",
            "--namespace",
            &pod.namespace,
            &pod.name,
        ]);
        let deleted = delete.output()?;
        // It may have ended by itself, or by another's hand, meanwhile.
        if !deleted.status.success() && processes::of_run(dir).contains(&process) {
            let said = String::from_utf8_lossy(&deleted.stderr).trim().to_string();
            return Err(io::Error::other(format!("glassbox pod delete --force {}: {said}", pod.name)));
        }
    }
    Ok(())
}

/// A pod by what it is called on the command line.
#[derive(Debug, PartialEq, Eq)]
struct Pod {
    root: String,
    namespace: String,
    name: String,
}

/// The pod that a process keeps: `glassbox pod supervise ROOT-pods/NAMESPACE_NAME`.
fn kept(cmdline: &[u8]) -> Option<Pod> {
    let text = String::from_utf8_lossy(cmdline).into_owned();
    let words: Vec<_> = text.trim_end_matches('\0').split('\0').collect();
    let [_, "pod", "supervise", directory] = words.as_slice() else { return None };
    let (pods, key) = directory.rsplit_once('/')?;
    let (namespace, name) = key.split_once('_')?;
    let root = pods.strip_suffix("-pods")?.to_string();
    Some(Pod { root, namespace: namespace.to_string(), name: name.to_string() })
}

#[cfg(test)]
mod tests {
    use super::{Pod, kept};

    #[test]
    fn a_pod_is_known_by_the_process_that_keeps_it() {
        let pod = Pod { root: "/run/glassbox".into(), namespace: "default".into(), name: "web".into() };
        assert_eq!(kept(b"/usr/bin/glassbox\0pod\0supervise\0/run/glassbox-pods/default_web\0"), Some(pod));
        for other in ["glassbox\0pod\0ps\0", "sleep\x001000\0", "", "glassbox\0pod\0supervise\0/run\0"] {
            assert_eq!(kept(other.as_bytes()), None, "{other:?}");
        }
    }
}
