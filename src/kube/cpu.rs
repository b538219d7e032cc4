//! CPU: from millicores to shares, `cpu.weight` and `cpu.max`.
//!
//! Two weight formulas live side by side: the kubelet's own linear one, and the one of newer runtimes.

/// cgroup v1's smallest `cpu.shares`, also what zero millicores give.
pub const MIN_SHARES: u64 = 2;
/// cgroup v1's largest `cpu.shares`.
pub const MAX_SHARES: u64 = 262_144;
/// Smallest quota in microseconds: kubelet's, and the kernel's (`min_cfs_quota_period`).
pub const MIN_QUOTA: i128 = 1000;
/// Largest quota in microseconds that the kernel takes: more gives EINVAL.
pub const MAX_QUOTA: i128 = 17_592_186_044_415;
/// kubelet's default period in microseconds.
pub const DEFAULT_PERIOD: u64 = 100_000;

/// Which formula turns shares into a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Formula {
    /// Linear: kubelet at its own levels, runc up to 1.3.1, crun up to 1.22.
    Old,
    /// Quadratic in log2, so that 1024 shares are weight 100: runc 1.3.2, crun 1.23, youki, and later.
    #[default]
    New,
}

/// `cpu.shares` of `milli` millicores (kubelet's `MilliCPUToShares`).
pub fn shares(milli: i128) -> u64 {
    if milli == 0 {
        return MIN_SHARES;
    }
    let shares = milli.saturating_mul(1024) / 1000;
    shares.clamp(i128::from(MIN_SHARES), i128::from(MAX_SHARES)) as u64
}

/// The shares with the sum that gave them: `500m * 1024 / 1000 = 512 shares`.
pub fn shares_because(milli: i128) -> String {
    let shares = shares(milli);
    match milli.saturating_mul(1024) / 1000 {
        _ if milli == 0 => format!("no cpu request gives {shares} shares, the minimum"),
        exact if exact == i128::from(shares) => format!("{milli}m * 1024 / 1000 = {shares} shares"),
        exact if exact < i128::from(shares) => {
            format!("{milli}m * 1024 / 1000 = {exact}, raised to {shares} shares, the minimum")
        }
        exact => format!("{milli}m * 1024 / 1000 = {exact}, cut to {shares} shares, the maximum"),
    }
}

/// `cpu.weight` of `shares` by `formula`: 1 to 10000.
pub fn weight(shares: u64, formula: Formula) -> u64 {
    match formula {
        _ if shares >= MAX_SHARES => 10_000,
        _ if shares <= MIN_SHARES => 1,
        Formula::Old => 1 + ((shares - 2) * 9999) / 262_142,
        Formula::New => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// The weight with its formula and who applies it.
pub fn weight_because(shares: u64, formula: Formula) -> String {
    let weight = weight(shares, formula);
    match formula {
        Formula::Old => format!("kubelet and old runtimes: 1 + ({shares} - 2) * 9999 / 262142 = {weight}"),
        Formula::New if shares <= MIN_SHARES || shares >= MAX_SHARES => {
            format!("runc 1.3.2, crun 1.23 and later: {shares} shares are weight {weight}")
        }
        Formula::New => {
            let log = (shares as f64).log2();
            format!(
                "runc 1.3.2, crun 1.23 and later: l = log2({shares}) = {log:.3}; 10^((l*l + 125*l)/612 - 7/34) = {weight}, rounded up"
            )
        }
    }
}

/// Quota in microseconds per `period` of `milli` millicores (kubelet's `MilliCPUToQuota`); `None` for no limit.
pub fn quota(milli: i128, period: u64) -> Option<i128> {
    if milli == 0 {
        return None;
    }
    Some((milli * i128::from(period) / 1000).max(MIN_QUOTA))
}

/// The quota that the systemd driver writes: rounded up to a whole percent of a CPU (`addCPUQuota`).
pub fn systemd_quota(quota: i128, period: u64) -> i128 {
    let period = i128::from(period);
    let per_second = quota * 1_000_000 / period;
    if per_second % 10_000 == 0 {
        return quota;
    }
    (per_second / 10_000 + 1) * 10_000 * period / 1_000_000
}

/// `cpu.max` for a limit of `milli` millicores, with the sum that gave it.
pub fn max(milli: i128, period: u64, systemd: bool) -> (String, String) {
    let Some(exact) = quota(milli, period) else {
        return (format!("max {period}"), format!("no limit, per {period} us"));
    };
    let product = milli * i128::from(period) / 1000;
    let mut because = format!("{milli}m * {period} / 1000 = {product} us per {period} us");
    if product < exact {
        because.push_str(&format!(", raised to {exact} us, the least there is"));
    }
    let written = if systemd { systemd_quota(exact, period) } else { exact };
    if written != exact {
        because.push_str(&format!("; systemd knows whole percents of a CPU only: rounded up to {written}"));
    }
    (format!("{written} {period}"), because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_truncated_and_clamped() {
        let table = [
            (0, 2),
            (1, 2),
            (2, 2),
            (3, 3),
            (100, 102),
            (250, 256),
            (1000, 1024),
            (256_000, 262_144),
            (999_999, 262_144),
        ];
        for (milli, expected) in table {
            assert_eq!(shares(milli), expected, "{milli}m");
        }
    }

    #[test]
    fn two_weight_formulas_live_side_by_side() {
        let table = [
            (2, 1, 1),
            (102, 4, 17),
            (512, 20, 59),
            (1024, 39, 100),
            (2048, 79, 174),
            (4096, 157, 303),
            (262_144, 10_000, 10_000),
        ];
        for (shares, old, new) in table {
            assert_eq!((weight(shares, Formula::Old), weight(shares, Formula::New)), (old, new), "{shares} shares");
        }
    }

    #[test]
    fn the_new_formula_never_stands_so_close_to_a_whole_number_that_rounding_could_differ_between_machines() {
        for shares in 3..MAX_SHARES {
            let log = (shares as f64).log2();
            let exact = 10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0);
            let distance = (exact - exact.round()).abs();
            assert!(shares == 1024 || distance > 1e-9, "{shares} shares: {exact}");
        }
        // 10^2 exactly; a hair more would be 101.
        assert_eq!(weight(1024, Formula::New), 100);
    }

    #[test]
    fn a_quota_is_at_least_a_millisecond() {
        let table = [
            (0, 100_000, None),
            (1, 100_000, Some(1000)),
            (9, 100_000, Some(1000)),
            (10, 100_000, Some(1000)),
            (11, 100_000, Some(1100)),
            (50, 10_000, Some(1000)),
            (500, 100_000, Some(50_000)),
        ];
        for (milli, period, expected) in table {
            assert_eq!(quota(milli, period), expected, "{milli}m per {period}");
        }
    }

    #[test]
    fn systemd_rounds_up_to_whole_percents() {
        let table = [
            (33_300, 100_000, 34_000),
            (50_000, 100_000, 50_000),
            (1000, 100_000, 1000),
            (1100, 100_000, 2000),
            (1000, 10_000, 1000),
            (1010, 10_000, 1100),
            (33_333, 50_000, 33_500),
        ];
        for (exact, period, expected) in table {
            assert_eq!(systemd_quota(exact, period), expected, "{exact} per {period}");
        }
    }

    #[test]
    fn the_reason_names_every_rounding() {
        assert_eq!(
            max(500, 100_000, false),
            ("50000 100000".into(), "500m * 100000 / 1000 = 50000 us per 100000 us".into())
        );
        assert_eq!(max(0, 100_000, true).0, "max 100000");
        assert_eq!(
            max(5, 100_000, false),
            (
                "1000 100000".into(),
                "5m * 100000 / 1000 = 500 us per 100000 us, raised to 1000 us, the least there is".into()
            )
        );
        assert_eq!(
            max(333, 100_000, true),
            (
                "34000 100000".into(),
                "333m * 100000 / 1000 = 33300 us per 100000 us; systemd knows whole percents of a CPU only: rounded up to 34000".into()
            )
        );
    }
}
