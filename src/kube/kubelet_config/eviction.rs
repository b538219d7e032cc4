//! What a KubeletConfiguration says of eviction (`pkg/kubelet/eviction/helpers.go`, `ParseThresholdConfig`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Problem;
use super::super::eviction::{Settings, Signal};
use super::super::quantity::Quantity;
use super::Threshold;
use super::duration::nanoseconds;

/// The fields as they are written.
#[derive(Debug)]
pub struct Written {
    /// `evictionHard`.
    pub hard: Option<BTreeMap<String, String>>,
    /// `evictionSoft`.
    pub soft: BTreeMap<String, String>,
    /// `evictionSoftGracePeriod`.
    pub soft_grace: BTreeMap<String, String>,
    /// `evictionMinimumReclaim`.
    pub reclaim: BTreeMap<String, String>,
    /// `evictionMaxPodGracePeriod`.
    pub longest_grace: i64,
    /// `mergeDefaultEvictionSettings`.
    pub merge: bool,
}

/// Fills in the defaults, and adds what is wrong to `problems`.
pub fn check(written: Written, problems: &mut Vec<Problem>) -> Settings {
    let defaults = Settings::default();
    let mut settings = Settings { hard: BTreeMap::new(), ..Settings::default() };
    settings.hard = match written.hard {
        None => defaults.hard,
        Some(hard) => {
            let mut merged = if written.merge { defaults.hard } else { BTreeMap::new() };
            merged.extend(thresholds("evictionHard", hard, problems));
            merged
        }
    };
    for (signal, limit) in thresholds("evictionSoft", written.soft, problems) {
        let field = format!("evictionSoftGracePeriod[{}]", signal.name());
        let Some(text) = written.soft_grace.get(signal.name()) else {
            problems.push(Problem::new(field, "Required value: of a soft eviction threshold, such as 1m30s"));
            continue;
        };
        match nanoseconds(text).and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0) {
            Some(nanos) => drop(settings.soft.insert(signal, (limit, Duration::from_nanos(nanos)))),
            None => problems
                .push(Problem::new(field, format!("Invalid value: {text:?}: write a duration above 0, such as 1m30s"))),
        }
    }
    settings.reclaim = thresholds("evictionMinimumReclaim", written.reclaim, problems);
    match written.longest_grace {
        negative if negative < 0 => problems.push(Problem::new(
            "evictionMaxPodGracePeriod",
            format!("Invalid value: {negative}: write a number of seconds from 0"),
        )),
        seconds => settings.longest_grace = seconds,
    }
    // The file system of containers has the thresholds of that of images or of the node, whatever is written
    // (`UpdateContainerFsThresholds`).
    for (derived, from) in [(Signal::Containerfs, Signal::Nodefs), (Signal::ContainerfsInodes, Signal::NodefsInodes)] {
        settings.hard.remove(&derived);
        settings.soft.remove(&derived);
        if let Some(limit) = settings.hard.get(&from).copied() {
            settings.hard.insert(derived, limit);
        }
        if let Some(limit) = settings.soft.get(&from).copied() {
            settings.soft.insert(derived, limit);
        }
    }
    // Pods as a whole may use what the node may less than its own threshold (`addAllocatableThresholds`).
    if let Some(limit) = settings.hard.get(&Signal::Memory).copied() {
        settings.hard.insert(Signal::AllocatableMemory, limit);
    }
    settings
}

fn thresholds(
    field: &str,
    written: BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Signal, Threshold> {
    let mut found = BTreeMap::new();
    for (name, text) in written {
        let field = format!("{field}[{name}]");
        match (Signal::of_name(&name), threshold(&text)) {
            (None, _) => problems.push(Problem::new(field, "is no eviction signal; memory.available is one")),
            (_, None) => problems.push(Problem::new(
                field,
                format!("Invalid value: {text:?}: write a quantity such as 100Mi, or 0% to 100%"),
            )),
            (Some(signal), Some(threshold)) => drop(found.insert(signal, threshold)),
        }
    }
    found
}

/// `0%` and `100%` switch a threshold off.
fn threshold(text: &str) -> Option<Threshold> {
    if text == "0%" || text == "100%" {
        return Some(Threshold::None);
    }
    if let Some(number) = text.strip_suffix('%') {
        let percent: f32 = number.parse().ok()?;
        return (0.0..=100.0).contains(&percent).then_some(Threshold::Percent(percent));
    }
    let amount: Quantity = text.parse().ok()?;
    amount.is_positive().then_some(Threshold::Amount(amount))
}

#[cfg(test)]
mod tests {
    use super::super::KubeletConfig;
    use super::*;

    fn read(fields: &str) -> Result<Settings, Vec<String>> {
        let text = format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{fields}");
        let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        KubeletConfig::decode(&text).map(|config| config.eviction).map_err(told)
    }

    #[test]
    fn hard_thresholds_replace_the_defaults_unless_they_are_merged() {
        assert_eq!(read("").unwrap().hard[&Signal::Nodefs], Threshold::Percent(10.0));
        let given = read("evictionHard: {memory.available: 1Gi, pid.available: 5%}").unwrap();
        assert_eq!(given.hard.get(&Signal::Nodefs), None);
        assert_eq!(given.hard[&Signal::Pids], Threshold::Percent(5.0));
        assert_eq!(given.hard[&Signal::AllocatableMemory], given.hard[&Signal::Memory]);
        let merged = read("mergeDefaultEvictionSettings: true\nevictionHard: {pid.available: 0%}").unwrap();
        assert_eq!(merged.hard[&Signal::Nodefs], Threshold::Percent(10.0));
        assert_eq!(merged.hard[&Signal::Pids], Threshold::None);
    }

    #[test]
    fn soft_thresholds_have_their_grace_period() {
        let given = "evictionSoft: {memory.available: 1Gi}\nevictionSoftGracePeriod: {memory.available: 1m30s}\n\
                     evictionMaxPodGracePeriod: 60\nevictionMinimumReclaim: {memory.available: 10Mi}";
        let given = read(given).unwrap();
        assert_eq!(given.soft[&Signal::Memory].1, Duration::from_secs(90));
        assert_eq!((given.longest_grace, given.reclaim.len()), (60, 1));
        for (fields, wrong) in [
            ("evictionSoft: {memory.available: 1Gi}", "evictionSoftGracePeriod[memory.available]: Required value"),
            (
                "evictionSoft: {memory.available: 1Gi}\nevictionSoftGracePeriod: {memory.available: 0s}",
                "evictionSoftGracePeriod[memory.available]: Invalid value: \"0s\"",
            ),
            ("evictionSoft: {cpu.available: 1Gi}", "evictionSoft[cpu.available]: is no eviction signal"),
            ("evictionMinimumReclaim: {memory.available: many}", "evictionMinimumReclaim[memory.available]: Invalid"),
            ("evictionMaxPodGracePeriod: -1", "evictionMaxPodGracePeriod: Invalid value: -1"),
        ] {
            let problems = read(fields).unwrap_err();
            assert!(problems[0].starts_with(wrong), "{fields}: {problems:?}");
        }
    }
}
