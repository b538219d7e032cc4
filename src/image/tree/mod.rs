//! Tar entries to files, by descriptor, below one root that no name leaves.
//!
//! The directory that an entry stands in is resolved by pathrs as if the root were `/` (openat2(2), RESOLVE_IN_ROOT): a layer
//! may reach it through symlinks, absolute ones too. The entry itself is made in that directory by its last name, which is
//! never followed. What a directory is to be like is kept until the end (`metadata.rs`): until then it must let us in.

mod metadata;
mod node;
mod remove;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use pathrs::Root;
use pathrs::error::ErrorKind;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::Options;
use super::entry::{Entry, Kind};
use super::error::{EntryError, ImageError, of_pathrs};

pub use metadata::{IdMap, Owners};
pub use node::Devices;
pub(super) use remove::remove_tree;

use metadata::Metadata;

/// Open directories that are kept. Layers come sorted: the next entry mostly stands where the last one stood.
const MOST_CACHED: usize = 128;
/// Bytes of a file that are read and written at once.
const BUFFER: usize = 256 << 10;
/// Warnings that are kept, each about one entry.
const MOST_WARNINGS: usize = 20;

/// A root file system in the making.
pub(super) struct Tree {
    root: Root,
    options: Options,
    /// Owner and group of what we make.
    creator: (u32, u32),
    /// Whether a lower layer has been here, so that there is something to white out.
    lower: bool,
    layers: usize,
    cache: HashMap<Vec<u8>, Rc<Directory>>,
    metadata: Metadata,
    /// What this layer has made, so that its whiteouts spare it: a keyed hash of the directory's inode number and the name.
    made: HashSet<u64>,
    hash: RandomState,
    buffer: Vec<u8>,
    warnings: Vec<String>,
    unwarned: usize,
}

/// A directory of the tree.
pub(super) struct Directory {
    fd: OwnedFd,
    inode: u64,
}

/// A name of the archive, taken apart: the directory, as its names joined by `/`, and the last name.
pub(super) struct Place<'a> {
    directory: Vec<u8>,
    name: &'a [u8],
}

impl Tree {
    /// A tree in the empty directory `root`.
    pub(super) fn new(root: OwnedFd, options: &Options) -> Result<Self, ImageError> {
        let mut tree = Tree {
            root: Root::from_fd(root),
            options: options.clone(),
            creator: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            lower: false,
            layers: 0,
            cache: HashMap::new(),
            metadata: Metadata::default(),
            made: HashSet::new(),
            hash: RandomState::new(),
            buffer: vec![0; BUFFER],
            warnings: Vec::new(),
            unwarned: 0,
        };
        // What it is like if no layer tells.
        let told = |source| ImageError::entry(0, ".", source);
        let directory = tree.existing(b"").map_err(told)?.expect("the root is there");
        tree.remember_new(&directory, b"");
        tree.own(directory.fd.as_fd(), 0, 0).map_err(told)?;
        Ok(tree)
    }

    /// What comes now lies above what came before.
    pub(super) fn next_layer(&mut self) {
        self.lower = self.layers > 0;
        self.layers += 1;
        self.made.clear();
    }

    /// Keeps a sentence about what was not done as the image says.
    pub(super) fn warn(&mut self, warning: String) {
        match self.warnings.len() < MOST_WARNINGS {
            true => self.warnings.push(warning),
            false => self.unwarned += 1,
        }
    }

    /// Makes one entry; `data` gives the bytes of a file.
    pub(super) fn apply(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), EntryError> {
        let Some(place) = take_apart(&entry.path, self.options.limits.depth)? else {
            return self.apply_root(entry);
        };
        if let Some(hidden) = place.name.strip_prefix(b".wh.") {
            return self.whiteout(&place, hidden);
        }
        let parent = self.directory(&place.directory)?;
        match entry.kind {
            Kind::Directory => self.make_directory(&parent, &place, entry)?,
            Kind::File => self.make_file(&parent, &place, entry, data)?,
            Kind::Symlink => self.make_symlink(&parent, &place, entry)?,
            Kind::Hardlink => self.make_hardlink(&parent, &place, entry)?,
            Kind::Fifo => self.make_fifo(&parent, &place, entry)?,
            Kind::Character | Kind::Block => self.make_device(&parent, &place, entry)?,
        }
        if self.lower {
            let key = self.key(&parent, place.name);
            self.made.insert(key);
        }
        Ok(())
    }

    /// An entry for the root itself tells what it is to be like. A layer whose root is a symlink would have the next one
    /// unpacked elsewhere (CVE-2021-29136).
    fn apply_root(&mut self, entry: &Entry) -> Result<(), EntryError> {
        if entry.kind != Kind::Directory {
            return Err(EntryError::Name("the root is a directory, and can be nothing else"));
        }
        let root = self.directory(b"")?;
        self.own(root.fd.as_fd(), entry.uid, entry.gid)?;
        self.remember(root.inode, b"", entry, false)
    }

    /// Gives the directories their last touch, and the warnings.
    pub(super) fn finish(mut self) -> Result<Vec<String>, (Vec<u8>, EntryError)> {
        let wanted = std::mem::take(&mut self.metadata);
        for (path, inode, look) in wanted.children_first() {
            self.dress(&path, inode, look).map_err(|error| (path, error))?;
        }
        if self.unwarned > 0 {
            self.warnings.push(format!("{} more warnings of this kind", self.unwarned));
        }
        Ok(self.warnings)
    }

    /// The directory with these names, made where it is missing, as layers leave out parents that they do not change.
    fn directory(&mut self, path: &[u8]) -> Result<Rc<Directory>, EntryError> {
        if let Some(known) = self.cache.get(path) {
            return Ok(Rc::clone(known));
        }
        if let Some(found) = self.existing(path)? {
            return Ok(found);
        }
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path),
        };
        let parent = self.directory(above)?;
        // EEXIST: a symlink to nowhere. What it would mean in the container is nobody's guess.
        rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU).map_err(EntryError::of("mkdir of its directory"))?;
        let found = self.existing(path)?.ok_or(EntryError::Name("its directory goes away as it is made"))?;
        self.remember_new(&found, path);
        self.own(found.fd.as_fd(), 0, 0)?;
        Ok(found)
    }

    /// The directory with these names, if there is one.
    fn existing(&mut self, path: &[u8]) -> Result<Option<Rc<Directory>>, EntryError> {
        use std::os::unix::ffi::OsStrExt;
        if let Some(known) = self.cache.get(path) {
            return Ok(Some(Rc::clone(known)));
        }
        let handle = match self.root.resolve(std::ffi::OsStr::from_bytes(if path.is_empty() { b"." } else { path })) {
            Ok(handle) => handle,
            Err(error) if error.kind() == ErrorKind::OsError(Some(libc::ENOENT)) => return Ok(None),
            Err(error) => return Err(EntryError::Call { call: "open of its directory", cause: of_pathrs(error) }),
        };
        let fd = OwnedFd::from(handle);
        let found = rustix::fs::fstat(&fd).map_err(EntryError::of("fstat of its directory"))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            return Err(EntryError::Name("it stands in what is no directory"));
        }
        let directory = Rc::new(Directory { fd, inode: found.st_ino });
        if self.cache.len() >= MOST_CACHED {
            self.cache.clear();
        }
        self.cache.insert(path.to_vec(), Rc::clone(&directory));
        Ok(Some(directory))
    }

    /// Makes room for an entry: whatever has its name is removed. A directory of lower layers goes with all that is in it.
    fn displace(&mut self, parent: &Directory, name: &[u8]) -> Result<(), EntryError> {
        let found = rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(EntryError::of("lstat"))?;
        self.gone(FileType::from_raw_mode(found.st_mode));
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => remove_tree(parent.fd.as_fd(), name).map_err(EntryError::of("rmdir")),
            _ => rustix::fs::unlinkat(&parent.fd, name, AtFlags::empty()).map_err(EntryError::of("unlink")),
        }
    }

    /// A name that was a directory or led to one may lead elsewhere now.
    fn gone(&mut self, kind: FileType) {
        if matches!(kind, FileType::Directory | FileType::Symlink) {
            self.cache.clear();
        }
    }

    /// Runs `make`, and once more after making room when something has the name already.
    fn in_place<T>(
        &mut self,
        parent: &Directory,
        name: &[u8],
        call: &'static str,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T, EntryError> {
        match make(parent.fd.as_fd(), name) {
            Err(Errno::EXIST) => {
                self.displace(parent, name)?;
                make(parent.fd.as_fd(), name).map_err(EntryError::of(call))
            }
            result => result.map_err(EntryError::of(call)),
        }
    }

    /// By what `made` knows a name in a directory.
    fn key(&self, parent: &Directory, name: &[u8]) -> u64 {
        self.hash.hash_one((parent.inode, name))
    }
}

/// Takes a name apart; none for the root. `..` is refused: no layer needs it, and readers differ in what it means.
fn take_apart(path: &[u8], most: usize) -> Result<Option<Place<'_>>, EntryError> {
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(EntryError::Name("a name with .. in it")),
            name => names.push(name),
        }
        if names.len() > most {
            return Err(EntryError::Depth(most));
        }
    }
    let Some(name) = names.pop() else { return Ok(None) };
    if names.iter().any(|name| name.starts_with(b".wh.")) {
        return Err(EntryError::Name("it stands below a whiteout"));
    }
    Ok(Some(Place { directory: names.join(&b'/'), name }))
}

/// Reads until `buffer` is full or the end comes.
fn read_full(data: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match data.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
