//! Memory: what the kernel makes of a limit, and the words for it.

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
