//! How long a container's start and end take.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use nix::sys::wait::{WaitStatus, waitpid};
use serde_json::{Value, json};

use super::peer::{Peer, pid, timed};
use super::place::{Bundle, Place};
use super::sample::summary;

/// Milliseconds, by case.
type Times = BTreeMap<&'static str, Vec<f64>>;

/// Rounds that warm the caches, and do not count.
const WARMING: usize = 3;

/// Measures `runs` interleaved rounds: for each case and runtime a summary in milliseconds.
pub fn measure(place: &Place, peers: &[Peer], runs: usize) -> Result<Value> {
    // With a cpu and a memory controller there are limits to set.
    let limits = place.has_controllers(&["cpu", "memory", "pids"])?;
    for peer in peers.iter().filter(|peer| !peer.floor) {
        stay(place, peer).with_context(|| peer.name.clone())?;
    }
    let mut times: Vec<Times> = peers.iter().map(|_| Times::new()).collect();
    for round in 0..runs + WARMING {
        // Who comes first rotates: what one leaves to the kernel to clean up, the next one pays for.
        for turn in 0..peers.len() {
            let which = (round + turn) % peers.len();
            let figures = one_round(place, &peers[which], limits).with_context(|| peers[which].name.clone())?;
            if round >= WARMING {
                figures.into_iter().for_each(|(case, took)| times[which].entry(case).or_default().push(took));
            }
        }
    }
    for peer in peers.iter().filter(|peer| !peer.floor) {
        timed(&mut peer.delete(place, "staying"))?;
    }
    let of = |times: &Times| times.iter().map(|(case, times)| (case.to_string(), summary(times))).collect::<Value>();
    Ok(peers.iter().zip(&times).map(|(peer, times)| (peer.name.clone(), of(times))).collect())
}

/// Starts the container that `exec` enters.
fn stay(place: &Place, peer: &Peer) -> Result<f64> {
    place.write(Bundle::Staying, |config| {
        config["linux"]["cgroupsPath"] = json!(place.cgroups_path(&format!("staying-{}", peer.name)));
    })?;
    timed(&mut peer.run_detached(place, "staying"))
}

/// Every case once: milliseconds by case.
fn one_round(place: &Place, peer: &Peer, limits: bool) -> Result<Vec<(&'static str, f64)>> {
    let mut figures = vec![("run", timed(&mut peer.run(place, Bundle::Plain))?)];
    if peer.floor {
        return Ok(figures);
    }
    figures.push(("run, seccomp", timed(&mut peer.run(place, Bundle::Seccomp))?));
    if limits {
        figures.push(("run, limits", timed(&mut peer.run(place, Bundle::Limits))?));
    }
    let pid_file = place.path("pid");
    let mut create = peer.command(place, &["create", "--bundle"]);
    create.arg(place.bundle(Bundle::Plain)).arg("--pid-file").arg(&pid_file).arg("c");
    let create = timed(&mut create)?;
    let process = pid(&pid_file)?;
    let start = timed(&mut peer.command(place, &["start", "c"]))?;
    // `true` ends by itself, and only a stopped container can be deleted.
    let ended = waitpid(process, None)?;
    ensure!(matches!(ended, WaitStatus::Exited(_, 0)), "the container ended as {ended:?}");
    let delete = timed(&mut peer.command(place, &["delete", "c"]))?;
    figures.extend([("create", create), ("start", start), ("delete", delete), ("cycle", create + start + delete)]);
    figures.push(("exec", timed(&mut peer.command(place, &["exec", "staying", "/bin/true"]))?));
    figures.push(("state", timed(&mut peer.command(place, &["state", "staying"]))?));
    Ok(figures)
}
