//! Huge pages of a cgroup (hugetlb.rst): the files of each page size that the kernel has.

use std::collections::BTreeMap;

use super::dir::{Cgroup, CgroupError};

/// Huge pages of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HugePages {
    /// Bytes in use, or reserved where the kernel counts that (Linux 5.7).
    pub current: u64,
    /// How often the limit was hit.
    pub refused: u64,
}

impl Cgroup {
    /// What the cgroup has of each page size, by the size's name: `2MB`. Empty where the controller is not enabled.
    ///
    /// # Errors
    /// Where the directory or a file that is there cannot be read.
    pub fn huge_pages(&self) -> Result<BTreeMap<String, HugePages>, CgroupError> {
        let mut sizes = BTreeMap::new();
        for name in self.files()? {
            let Some(size) = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(".rsvd.current")) else {
                continue;
            };
            let current = self.read(&name)?.parse().unwrap_or_default();
            let events = self.keyed(&format!("hugetlb.{size}.events"))?;
            let refused = events.get("max").copied().unwrap_or_default();
            sizes.insert(size.to_string(), HugePages { current, refused });
        }
        Ok(sizes)
    }
}
