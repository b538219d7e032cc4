//! How a user names an image: `PATH[:REFERENCE]`, as umoci and skopeo have it, the transport in front if need be.

use std::path::{Path, PathBuf};

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// An OCI image layout, as a directory or a tar of one.
    Oci,
    /// What `docker save` writes.
    DockerArchive,
}

impl Transport {
    /// As skopeo calls it.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Oci => "oci",
            Transport::DockerArchive => "docker-archive",
        }
    }
}

/// The name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The transport; without one, what is found at the path decides.
    pub transport: Option<Transport>,
    /// A directory or a file.
    pub path: PathBuf,
    /// A tag, a reference such as `docker.io/library/busybox:latest`, a digest of a manifest, or `@` and a number from 0.
    pub reference: Option<String>,
}

impl ImageName {
    /// Reads `[oci:|oci-archive:|docker-archive:]PATH[:REFERENCE]`.
    ///
    /// A path may hold colons itself: the longest part before a colon that `exists` is the path.
    pub fn parse(text: &str, exists: impl Fn(&Path) -> bool) -> ImageName {
        let transports =
            [("oci:", Transport::Oci), ("oci-archive:", Transport::Oci), ("docker-archive:", Transport::DockerArchive)];
        let named = transports.iter().find_map(|(prefix, transport)| Some((text.strip_prefix(prefix)?, *transport)));
        let (rest, transport) = match named {
            Some((rest, transport)) if !rest.is_empty() && !exists(Path::new(text)) => (rest, Some(transport)),
            _ => (text, None),
        };
        let (path, reference) = split(rest, exists);
        let reference = reference.filter(|reference| !reference.is_empty()).map(str::to_string);
        ImageName { transport, path: PathBuf::from(path), reference }
    }
}

fn split(text: &str, exists: impl Fn(&Path) -> bool) -> (&str, Option<&str>) {
    if exists(Path::new(text)) {
        return (text, None);
    }
    let mut colons: Vec<_> = text.match_indices(':').map(|(at, _)| at).filter(|at| *at > 0).collect();
    // Where nothing exists, the first colon gives the better message.
    let first = colons.first().copied();
    colons.reverse();
    let found = colons.into_iter().find(|at| exists(Path::new(&text[..*at]))).or(first);
    found.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// Whether two references mean the same image, as docker completes them: `busybox` is `docker.io/library/busybox:latest`.
pub(super) fn same_reference(one: &str, other: &str) -> bool {
    complete(one) == complete(other)
}

fn complete(reference: &str) -> String {
    let first = reference.split('/').next().unwrap_or_default();
    let has_host = reference.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let mut whole = match (has_host, reference.contains('/')) {
        (true, _) => reference.to_string(),
        (false, true) => format!("docker.io/{reference}"),
        (false, false) => format!("docker.io/library/{reference}"),
    };
    let last = whole.rsplit('/').next().unwrap_or_default();
    if !last.contains([':', '@']) {
        whole.push_str(":latest");
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, there: &[&str]) -> (Option<Transport>, String, Option<String>) {
        let name = ImageName::parse(text, |path| there.iter().any(|one| Path::new(one) == path));
        (name.transport, name.path.display().to_string(), name.reference)
    }

    #[test]
    fn the_path_is_the_longest_part_that_exists() {
        let some = |text: &str| Some(text.to_string());
        assert_eq!(parse("web:latest", &["web"]), (None, "web".into(), some("latest")));
        assert_eq!(parse("web", &["web"]), (None, "web".into(), None));
        assert_eq!(parse("web:", &["web"]), (None, "web".into(), None));
        assert_eq!(parse("a:b:c", &["a", "a:b"]), (None, "a:b".into(), some("c")));
        assert_eq!(parse("a:b", &["a", "a:b"]), (None, "a:b".into(), None));
        let reference = "docker.io/library/busybox:latest";
        assert_eq!(parse(&format!("x.tar:{reference}"), &["x.tar"]), (None, "x.tar".into(), some(reference)));
        assert_eq!(parse("nowhere:tag", &[]), (None, "nowhere".into(), some("tag")));
    }

    #[test]
    fn a_transport_in_front_is_skopeos() {
        assert_eq!(parse("oci:web:1", &["web"]), (Some(Transport::Oci), "web".into(), Some("1".into())));
        assert_eq!(parse("oci-archive:web.tar", &["web.tar"]), (Some(Transport::Oci), "web.tar".into(), None));
        assert_eq!(
            parse("docker-archive:x.tar:busybox:1", &["x.tar"]),
            (Some(Transport::DockerArchive), "x.tar".into(), Some("busybox:1".into()))
        );
        assert_eq!(parse("oci:1", &["oci"]), (Some(Transport::Oci), "1".into(), None));
        assert_eq!(parse("oci:1", &["oci:1"]), (None, "oci:1".into(), None), "a file of that name");
    }

    #[test]
    fn references_are_completed_as_docker_does() {
        assert!(same_reference("busybox", "docker.io/library/busybox:latest"));
        assert!(same_reference("me/web:2", "docker.io/me/web:2"));
        assert!(same_reference("localhost/web", "localhost/web:latest"));
        assert!(same_reference("host:5000/web", "host:5000/web:latest"));
        assert!(!same_reference("busybox:1", "busybox"));
        assert!(!same_reference("localhost/web", "web"));
    }
}
