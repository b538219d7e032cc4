//! Where the blobs of an image are: the files of a directory, or the members of a tar, which is never unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use pathrs::Root;
use pathrs::flags::OpenFlags;

use super::archive::{Archive, ArchiveError, Cause, Input};
use super::digest::{self, Digest};
use super::entry::Kind;
use super::error::{ImageError, of_pathrs};
use super::layer::Compression;
use super::name::Transport;

/// Bytes of a manifest, an index or a config. Registries refuse manifests of more than 4 MiB.
const MOST_DOCUMENT: u64 = 8 << 20;
/// Members of a tar that holds an image.
const MOST_MEMBERS: usize = 100_000;
/// Bytes of a compressed tar that holds an image, decompressed into an unnamed temporary file.
const MOST_SPOOLED: u64 = 128 << 30;
/// Links from member to member: docker made one for a layer that stands twice.
const MOST_LINKS: usize = 8;

/// The blobs of an image, by name.
pub(super) enum Source {
    /// The files below a directory.
    Directory(Root),
    /// Parts of one file.
    Tar { file: File, members: HashMap<String, Member> },
}

/// One member of a tar.
#[derive(Debug)]
pub(super) enum Member {
    /// Where its data begins, and how long it is.
    File(u64, u64),
    /// The name that it stands for.
    Link(String),
}

/// The bytes of a blob and how many there are.
pub(super) struct Opened {
    pub(super) bytes: Section,
    pub(super) size: u64,
}

impl Source {
    /// Opens a directory or a tar; the tar may be compressed.
    pub(super) fn open(path: &Path) -> Result<Source, ImageError> {
        let told = |source| ImageError::io(format!("{path:?}"), source);
        let kind = std::fs::metadata(path).map_err(told)?.file_type();
        if kind.is_dir() {
            let root = Root::open(path).map_err(|error| told(of_pathrs(error)))?;
            return Ok(Source::Directory(root));
        }
        if kind.is_block_device() || kind.is_char_device() || kind.is_socket() {
            return Err(ImageError::NotAnImage(path.into()));
        }
        let mut input = BufReader::new(File::open(path).map_err(told)?);
        let compression = Compression::detect(input.fill_buf().map_err(told)?);
        // What cannot be read from any place of it (a pipe, a compressed file) is put where it can be.
        let file = match kind.is_file() && compression == Compression::None {
            true => input.into_inner(),
            false => spool(compression.reader(input).map_err(told)?).map_err(told)?,
        };
        let members = members(&file).map_err(|error| match error.cause {
            Cause::Read(source) => told(source),
            Cause::Malformed(_) if error.path.is_empty() => ImageError::NotAnImage(path.into()),
            Cause::Malformed(message) => ImageError::invalid(format!("{path:?}"), message),
        })?;
        Ok(Source::Tar { file, members })
    }

    /// What it is, by what it holds. An archive of today's docker is both, and its layout says more.
    pub(super) fn transport(&self, path: &Path) -> Result<Transport, ImageError> {
        if self.blob("oci-layout")?.is_some() && self.blob("index.json")?.is_some() {
            return Ok(Transport::Oci);
        }
        match self.blob("manifest.json")? {
            Some(_) => Ok(Transport::DockerArchive),
            None => Err(ImageError::NotAnImage(PathBuf::from(path))),
        }
    }

    /// A blob by name, if it is there.
    pub(super) fn blob(&self, name: &str) -> Result<Option<Opened>, ImageError> {
        match self {
            Source::Directory(root) => in_directory(root, name).map_err(|source| ImageError::io(name, source)),
            Source::Tar { file, members } => {
                let Some((from, size)) = in_members(members, name) else { return Ok(None) };
                let file = file.try_clone().map_err(|source| ImageError::io(name, source))?;
                Ok(Some(Opened { bytes: Section { file, at: from, end: from + size }, size }))
            }
        }
    }

    /// A blob that must be there.
    pub(super) fn need(&self, what: &str, name: &str) -> Result<Opened, ImageError> {
        self.blob(name)?.ok_or_else(|| ImageError::Missing { what: what.to_string(), name: name.to_string() })
    }

    /// A whole document.
    pub(super) fn document(&self, what: &str, name: &str) -> Result<Vec<u8>, ImageError> {
        let opened = self.need(what, name)?;
        if opened.size > MOST_DOCUMENT {
            let message = format!("it has {} bytes, and at most {MOST_DOCUMENT} are read", opened.size);
            return Err(ImageError::invalid(what, message));
        }
        let mut text = Vec::new();
        opened.bytes.take(MOST_DOCUMENT).read_to_end(&mut text).map_err(|source| ImageError::io(what, source))?;
        Ok(text)
    }

    /// A whole document that a descriptor names, verified.
    pub(super) fn verified(&self, what: &str, digest: &Digest, size: Option<u64>) -> Result<Vec<u8>, ImageError> {
        digest::supported(what, digest)?;
        let text = self.document(what, &blob_name(digest))?;
        digest::Blob::new(&text[..], what, size.unwrap_or(text.len() as u64), Some(digest)).finish()?;
        Ok(text)
    }
}

/// Where a layout keeps a blob (image-layout.md).
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

/// A part of a file, read by position, so that several can be read at once.
pub(super) struct Section {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Input for BufReader<&File> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let offset = i64::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.seek_relative(offset)
    }
}

/// A hostile directory can hold symlinks, which pathrs keeps inside, and pipes, which must not be waited for.
fn in_directory(root: &Root, name: &str) -> io::Result<Option<Opened>> {
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY;
    let file = match root.open_subpath(name, flags) {
        Ok(file) => file,
        Err(error) => {
            return match of_pathrs(error) {
                error if error.kind() == io::ErrorKind::NotFound => Ok(None),
                error => Err(error),
            };
        }
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
    }
    Ok(Some(Opened { bytes: Section { file, at: 0, end: found.size() }, size: found.size() }))
}

fn in_members(members: &HashMap<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = name.to_string();
    for _ in 0..MOST_LINKS {
        match members.get(&name)? {
            Member::File(from, size) => return Some((*from, *size)),
            Member::Link(other) => name = other.clone(),
        }
    }
    None
}

fn spool(mut input: impl Read) -> io::Result<File> {
    let mut file = unnamed()?;
    let written = io::copy(&mut input.by_ref().take(MOST_SPOOLED + 1), &mut file)?;
    if written > MOST_SPOOLED {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MOST_SPOOLED} bytes")));
    }
    Ok(file)
}

/// A file without a name in the directory for temporary files.
fn unnamed() -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let directory = std::env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(CWD, &directory, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Where each member of a tar stands in it.
fn members(mut file: &File) -> Result<HashMap<String, Member>, ArchiveError> {
    let failed = |cause| ArchiveError { path: Vec::new(), cause };
    file.rewind().map_err(|error| failed(Cause::Read(error)))?;
    let length = file.metadata().map_err(|error| failed(Cause::Read(error)))?.len();
    let mut archive = Archive::new(BufReader::new(file));
    let mut members = HashMap::new();
    while let Some(entry) = archive.next()? {
        let told = |text: &str| ArchiveError { path: entry.path.clone(), cause: Cause::Malformed(text.to_string()) };
        let at = archive.position();
        // Seeking passes the file's end without a word.
        if at.checked_add(entry.size).is_none_or(|end| end > length) {
            return Err(told("it ends in the middle of a member"));
        }
        let name = lexical("", &String::from_utf8_lossy(&entry.path));
        let above = name.rsplit_once('/').map_or("", |(above, _)| above);
        let link = String::from_utf8_lossy(&entry.link);
        let member = match entry.kind {
            Kind::File if entry.sparse.is_none() => Member::File(at, entry.size),
            Kind::Symlink => Member::Link(lexical(above, &link)),
            Kind::Hardlink => Member::Link(lexical("", &link)),
            _ => continue,
        };
        members.insert(name, member);
        if members.len() > MOST_MEMBERS {
            return Err(told("it has too many members"));
        }
    }
    Ok(members)
}

/// `path` seen from the directory `from`, without `.` and `..`: the members of a tar are names and no directories.
fn lexical(from: &str, path: &str) -> String {
    let mut names: Vec<&str> = if path.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.retain(|name| !name.is_empty());
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_through_links() {
        assert_eq!(lexical("a/b", "../c/layer.tar"), "a/c/layer.tar");
        assert_eq!(lexical("", "./x//y"), "x/y");
        assert_eq!(lexical("a", "../../../etc/passwd"), "etc/passwd");
        let members = HashMap::from([
            ("x".to_string(), Member::File(512, 9)),
            ("y".to_string(), Member::Link("x".to_string())),
            ("loop".to_string(), Member::Link("loop".to_string())),
        ]);
        assert_eq!(in_members(&members, "y"), Some((512, 9)));
        assert_eq!(in_members(&members, "loop"), None);
        assert_eq!(in_members(&members, "z"), None);
    }

    #[test]
    fn a_directory_s_links_stay_inside_and_its_pipes_are_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(directory.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("manifest.json")).unwrap();
        std::os::unix::fs::symlink(directory.path().join("secret"), root.join("oci-layout")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("index.json"), rustix::fs::Mode::RUSR).unwrap();
        let source = Source::open(&root).unwrap();
        assert!(source.blob("manifest.json").unwrap().is_none());
        assert!(source.blob("oci-layout").unwrap().is_none());
        assert!(source.blob("../secret").unwrap().is_none());
        assert!(matches!(source.blob("index.json"), Err(ImageError::Io { .. })));
    }

    #[test]
    fn a_cut_off_tar_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4000);
        builder.append_data(&mut header, "manifest.json", &[b' '; 4000][..]).unwrap();
        let bytes = builder.into_inner().unwrap();
        let path = directory.path().join("x.tar");
        std::fs::write(&path, &bytes[..2000]).unwrap();
        let Err(error) = Source::open(&path) else { panic!("it was taken") };
        assert!(error.to_string().contains("in the middle of a member"), "{error}");
        std::fs::write(&path, b"no tar at all").unwrap();
        assert!(matches!(Source::open(&path), Err(ImageError::NotAnImage(_))));
    }
}
