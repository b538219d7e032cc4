//! Huge pages: `hugetlb.SIZE.max` and its twin `hugetlb.SIZE.rsvd.max`, for every page size of the node.

use std::collections::BTreeMap;

use super::effective::Total;
use super::node::Node;
use super::pod::{Amount, ResourceList};
use super::quantity::Quantity;

/// What kubelet writes where huge pages shall not be limited: 2^62.
pub const UNLIMITED: i128 = 1 << 62;

/// A page size of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSize {
    /// In bytes.
    pub bytes: i128,
    /// The kernel's word for it in file names: `2MB`.
    pub name: String,
}

/// The node's page sizes, smallest first.
pub fn page_sizes(node: &Node) -> Vec<PageSize> {
    let mut sizes: Vec<PageSize> = node
        .capacity
        .keys()
        .filter_map(|resource| size_of(resource))
        .filter_map(|bytes| Some(PageSize { bytes, name: name_of(bytes)? }))
        .collect();
    sizes.sort_by_key(|size| size.bytes);
    sizes
}

/// The files for one page size.
pub fn files(size: &PageSize) -> [String; 2] {
    [format!("hugetlb.{}.max", size.name), format!("hugetlb.{}.rsvd.max", size.name)]
}

/// The amounts of huge pages in a list, by page size in bytes.
pub fn amounts(list: &ResourceList) -> BTreeMap<i128, Amount> {
    list.iter().filter_map(|(resource, amount)| Some((size_of(resource)?, amount.clone()))).collect()
}

/// The same of totals.
pub fn totals(list: &BTreeMap<String, Total>) -> BTreeMap<i128, Total> {
    list.iter().filter_map(|(resource, total)| Some((size_of(resource)?, total.clone()))).collect()
}

/// Page size in bytes of `hugepages-2Mi`.
fn size_of(resource: &str) -> Option<i128> {
    let size: Quantity = resource.strip_prefix("hugepages-")?.parse().ok()?;
    (size.is_positive() && size.is_whole()).then(|| size.value())
}

/// The kernel's name of a size (`HugePageUnitSizeFromByteSize`).
fn name_of(bytes: i128) -> Option<String> {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    let (mut size, mut unit) = (bytes, 0);
    while size % 1024 == 0 && unit < UNITS.len() - 1 {
        size /= 1024;
        unit += 1;
    }
    (size <= 1024).then(|| format!("{size}{}", UNITS[unit]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_kernels_names() {
        let table = [("2Mi", Some("2MB")), ("1Gi", Some("1GB")), ("64Ki", Some("64KB")), ("2M", None)];
        for (size, name) in table {
            let bytes = size_of(&format!("hugepages-{size}")).unwrap();
            assert_eq!(name_of(bytes).as_deref(), name, "{size}");
        }
        assert_eq!(size_of("hugepages-"), None);
        assert_eq!(size_of("memory"), None);
    }
}
