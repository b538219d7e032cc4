//! Memory: limits in pages, and the files of the feature gate MemoryQoS and of swap.

/// The page size that the kernel counts in, in bytes.
pub const PAGE: i128 = 4096;

/// What reads back from `memory.max` after `bytes` are written: the kernel floors to whole pages.
pub fn read_back(bytes: i128) -> i128 {
    bytes / PAGE * PAGE
}

/// The reason for a `memory.max` of `bytes`, from `origin`.
pub fn max_because(bytes: i128, origin: &str) -> String {
    let kept = read_back(bytes);
    let mut because = format!("{origin}: {bytes} bytes");
    if kept != bytes {
        because.push_str(&format!("; the kernel counts pages of {PAGE} and keeps {kept}"));
    }
    because
}

/// `memory.high` between a request and a limit (or what the node has), `factor` of the way; floored to pages.
///
/// kubelet computes it in floating point (`generateLinuxContainerResources`), so this does too.
pub fn high(request: i128, top: i128, factor: f64) -> i128 {
    let (request, top) = (request as f64, top as f64);
    ((request + (top - request) * factor).floor() / PAGE as f64) as i128 * PAGE
}

/// The share of the node's swap for a container (`calcSwapForBurstablePods`), in floating point as in kubelet.
pub fn limited_swap(request: i128, node_memory: i128, node_swap: i64) -> i128 {
    (request as f64 / node_memory as f64 * node_swap as f64) as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_in_pages() {
        assert_eq!([4095, 4096, 129_000_000].map(read_back), [0, 4096, 128_999_424]);
        assert_eq!(max_because(4096, "x"), "x: 4096 bytes");
        assert_eq!(max_because(1, "x"), "x: 1 bytes; the kernel counts pages of 4096 and keeps 0");
    }

    #[test]
    fn high_stands_nine_tenths_up_by_default() {
        assert_eq!(high(1 << 30, 2 << 30, 0.9), 2_040_107_008);
        assert_eq!(high(0, 1 << 20, 1.0), 1 << 20);
        assert_eq!(high(100, 4095, 0.9), 0);
    }

    #[test]
    fn swap_is_shared_out_by_memory_request() {
        assert_eq!(limited_swap(1 << 30, 8 << 30, 4 << 30), 512 << 20);
        assert_eq!(limited_swap(1, 3, 10), 3);
        assert_eq!(limited_swap(1, 3, 0), 0);
    }
}
