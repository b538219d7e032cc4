//! Whether a container costs more when many are there: one more beside 1 to 1000, `list`, `state`, and one less.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::peer::{Peer, timed};
use super::place::{Bundle, Place};
use super::sample::{median, rounded};

/// Containers over which the cost of one is taken.
const WINDOW: usize = 20;
/// Calls of `list` and `state` of which the median counts.
const LOOKS: usize = 5;

/// For each runtime a list of what things cost, in milliseconds, with how many alive.
pub fn measure(place: &Place, peers: &[Peer], most: usize) -> Result<Value> {
    let mut all = serde_json::Map::new();
    for peer in peers.iter().filter(|peer| !peer.floor) {
        all.insert(peer.name.clone(), of(place, peer, most).with_context(|| peer.name.clone())?);
    }
    Ok(all.into())
}

fn of(place: &Place, peer: &Peer, most: usize) -> Result<Value> {
    let mut points = Vec::new();
    let mut created = Vec::new();
    for alive in 1..=most {
        place.write(Bundle::Staying, |config| {
            config["linux"]["cgroupsPath"] = json!(place.cgroups_path(&format!("many-{alive}")));
        })?;
        created.push(timed(&mut peer.run_detached(place, &format!("many-{alive}")))?);
        if [WINDOW, most / 10, most / 2, most].contains(&alive) {
            let one_more = median(&created[alive.saturating_sub(WINDOW)..]);
            points.push(json!({
                "alive": alive,
                "one_more": rounded(one_more),
                "list": look(peer, place, &["list", "--format", "json"])?,
                "state": look(peer, place, &["state", &format!("many-{alive}")])?,
            }));
        }
    }
    let mut deleted = Vec::new();
    for alive in (1..=most).rev() {
        deleted.push(timed(&mut peer.delete(place, &format!("many-{alive}")))?);
        let point = points.iter_mut().find(|point| point["alive"].as_u64() == Some((alive + WINDOW - 1) as u64));
        if let Some(point) = point {
            point["one_less"] = json!(rounded(median(&deleted[deleted.len().saturating_sub(WINDOW)..])));
        }
        // What had no parent is ours by now.
        while nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG))
            .is_ok_and(|it| it.pid().is_some())
        {}
    }
    Ok(points.into())
}

fn look(peer: &Peer, place: &Place, arguments: &[&str]) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..LOOKS {
        took.push(timed(&mut peer.command(place, arguments))?);
    }
    Ok(rounded(median(&took)))
}
