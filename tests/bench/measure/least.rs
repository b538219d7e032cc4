//! The smallest memory.max with which a container still starts: what a runtime itself needs in the container's cgroup.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::peer::{Peer, succeeds_within, timed};
use super::place::{Bundle, Place};

/// Memory is counted in pages.
const PAGE: u64 = 4096;
/// Enough for every runtime: 64 MiB.
const ENOUGH: u64 = 16384;
/// Starts that must all succeed: the kernel counts in batches, so that one may be luck.
const STARTS: usize = 3;
/// Seconds for one start, on a slow machine too: with hardly enough memory the kernel may look for more without end.
const PATIENCE: i64 = 60;

/// Bytes, for each runtime.
pub fn measure(place: &Place, peers: &[Peer]) -> Result<Value> {
    let mut all = serde_json::Map::new();
    for peer in peers {
        let (mut too_few, mut enough) = (0, ENOUGH);
        let first = starts_with(place, peer, enough)?;
        ensure!(first, "{} does not start with {} bytes", peer.name, enough * PAGE);
        while enough - too_few > 1 {
            let middle = (too_few + enough) / 2;
            match starts_with(place, peer, middle).with_context(|| peer.name.clone())? {
                true => enough = middle,
                false => too_few = middle,
            }
        }
        all.insert(peer.name.clone(), json!(enough * PAGE));
    }
    place.write(Bundle::Plain, |_| ())?;
    Ok(all.into())
}

fn starts_with(place: &Place, peer: &Peer, pages: u64) -> Result<bool> {
    let bytes = pages * PAGE;
    place.write(Bundle::Plain, |config| config["linux"]["resources"]["memory"] = json!({ "limit": bytes }))?;
    if peer.floor {
        // It knows no limits: they are on the cgroup above its own.
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")?;
        fs::write(place.cgroup.join("memory.max"), bytes.to_string())?;
    }
    let mut all = true;
    for _ in 0..STARTS {
        all = all && succeeds_within(&mut peer.run(place, Bundle::Plain), PATIENCE)?;
        if !peer.floor && !all {
            // One that failed may have left something.
            let _ = timed(&mut peer.delete(place, "c"));
        }
        let _ = fs::remove_dir(place.cgroup.join("c"));
    }
    if peer.floor {
        fs::write(place.cgroup.join("memory.max"), "max")?;
    }
    Ok(all)
}
