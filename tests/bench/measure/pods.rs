//! `glassbox qos` on a manifest with many pods.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::peer::{Peer, timed};
use super::place::Place;
use super::sample::{median, rounded};

/// Calls of which the median counts.
const CALLS: usize = 5;

/// Milliseconds for the last pod of a manifest with `most` pods, with a tenth of them, and with one: whether a pod costs the
/// same beside many.
pub fn measure(place: &Place, ours: &Peer, most: usize) -> Result<Value> {
    let mut points = Vec::new();
    for pods in [1, most / 10, most] {
        let manifest = place.path("pods.yaml");
        fs::write(&manifest, manifest_of(pods))?;
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let mut command = Command::new(&ours.program);
            command.args(["qos", "--format", "json", "--pod", &format!("pod-{pods}")]).arg(&manifest);
            took.push(timed(&mut command)?);
        }
        points.push(json!({ "pods": pods, "milliseconds": rounded(median(&took)) }));
    }
    Ok(points.into())
}

fn manifest_of(pods: usize) -> String {
    let mut text = String::new();
    for pod in 1..=pods {
        // Numbers that differ, so that nothing is computed once for all.
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: pod-{pod}, uid: uid-{pod}}}\nspec:\n  containers:\n  \
             - name: app\n    image: busybox\n    resources:\n      requests: {{cpu: {}m, memory: {pod}Mi}}\n      \
             limits: {{memory: {}Mi}}\n",
            pod % 1000 + 1,
            2 * pod,
        );
    }
    text
}
