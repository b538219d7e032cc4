//! The user of an image's config, looked up in the image's own /etc/passwd and /etc/group (config.md, "User").

use std::io::Read;
use std::os::fd::BorrowedFd;

use pathrs::flags::OpenFlags;
use pathrs::{Root, error::ErrorKind};

use super::error::{ImageError, of_pathrs, shown};

/// Bytes of /etc/passwd and /etc/group that are read: a layer may hold anything under these names.
const MOST_TEXT: u64 = 16 << 20;

/// Whom a container's program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The groups of which /etc/group says that the user is a member.
    pub groups: Vec<u32>,
    /// The home directory, if /etc/passwd has the user.
    pub home: Option<String>,
}

/// Looks up `user`, `uid`, `user:group` and so on; nothing is root.
pub(super) fn resolve(rootfs: BorrowedFd<'_>, text: &str) -> Result<User, ImageError> {
    let passwd = file(rootfs, "etc/passwd")?;
    let group = file(rootfs, "etc/group")?;
    find(text, &passwd, &group).map_err(|message| ImageError::invalid("config: User", message))
}

/// Looks up `text` in the texts of /etc/passwd and /etc/group. The error says what is not there.
pub fn find(text: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (name, group_name) = match text.split_once(':') {
        Some((_, "")) => return Err(format!("{text:?} names no group")),
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    // A name first: nothing forbids one of digits.
    let entry = users(passwd).find(|user| user.name == name);
    let entry = entry.or_else(|| users(passwd).find(|user| id(name) == Some(user.uid)));
    let uid = entry.as_ref().map(|user| user.uid).or_else(|| id(name));
    let uid = uid.ok_or_else(|| format!("{:?} is no user of /etc/passwd", shown(name.as_bytes())))?;
    let mut user = User { uid, gid: entry.as_ref().map_or(0, |user| user.gid), groups: Vec::new(), home: None };
    if let Some(wanted) = group_name {
        let found = groups(group).find(|group| group.name == wanted).map(|group| group.gid);
        let unknown = || format!("{:?} is no group of /etc/group", shown(wanted.as_bytes()));
        user.gid = found.or_else(|| id(wanted)).ok_or_else(unknown)?;
    } else if let Some(entry) = &entry {
        user.groups = groups(group)
            .filter(|group| group.members.split(',').any(|member| member == entry.name))
            .map(|group| group.gid)
            .collect();
        user.groups.sort_unstable();
        user.groups.dedup();
    }
    user.home = entry.map(|user| user.home.to_string()).filter(|home| home.starts_with('/'));
    Ok(user)
}

/// A line of /etc/passwd (passwd(5)).
struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// A line of /etc/group (group(5)).
struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn users(text: &str) -> impl Iterator<Item = PasswdLine<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdLine { name, uid, gid, home }).filter(|user| !user.name.is_empty())
    })
}

fn groups(text: &str) -> impl Iterator<Item = GroupLine<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, gid) = (fields.next()?, fields.next()?, id(fields.next()?)?);
        Some(GroupLine { name, gid, members: fields.next().unwrap_or_default() }).filter(|group| !group.name.is_empty())
    })
}

/// An id in decimal digits and nothing else. What is too large is none: wrapped around it would be root's.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// A text file of the image, read without leaving its root file system; one that is not there is empty.
pub fn file(rootfs: BorrowedFd<'_>, name: &str) -> Result<String, ImageError> {
    let told = |source| ImageError::io(format!("/{name} of the image"), source);
    let flags = OpenFlags::O_RDONLY | OpenFlags::O_NONBLOCK | OpenFlags::O_NOCTTY;
    let root = Root::from_fd(rootfs.try_clone_to_owned().map_err(told)?);
    let file = match root.open_subpath(name, flags) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::OsError(Some(libc::ENOENT | libc::ENOTDIR))) => {
            return Ok(String::new());
        }
        Err(error) => return Err(told(of_pathrs(error))),
    };
    let found = file.metadata().map_err(told)?;
    if !found.is_file() || found.len() > MOST_TEXT {
        let message = format!("it is no regular file of at most {MOST_TEXT} bytes");
        return Err(ImageError::invalid(format!("/{name} of the image"), message));
    }
    let mut text = Vec::new();
    file.take(MOST_TEXT).read_to_end(&mut text).map_err(told)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:www:/var/www:/bin/false\n1000:x:7:8::/odd:\nbroken\n:x:5:5::/:\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nssl:x:101:web,other\nlog:x:4:web\nbroken:x:\n";

    fn found(text: &str) -> Result<(u32, u32, Vec<u32>, Option<String>), String> {
        find(text, PASSWD, GROUP).map(|user| (user.uid, user.gid, user.groups, user.home))
    }

    #[test]
    fn users_and_groups_are_named_in_every_way() {
        let root = Some("/root".to_string());
        let www = Some("/var/www".to_string());
        assert_eq!(found(""), Ok((0, 0, vec![], root.clone())));
        assert_eq!(found("root"), Ok((0, 0, vec![], root)));
        assert_eq!(found("web"), Ok((33, 33, vec![4, 101], www.clone())));
        assert_eq!(found("33"), Ok((33, 33, vec![4, 101], www.clone())));
        assert_eq!(found("web:ssl"), Ok((33, 101, vec![], www.clone())));
        assert_eq!(found("33:5000"), Ok((33, 5000, vec![], www)));
        assert_eq!(found("4000"), Ok((4000, 0, vec![], None)));
        assert_eq!(found("4000:ssl"), Ok((4000, 101, vec![], None)));
        assert_eq!(found("1000"), Ok((7, 8, vec![], Some("/odd".to_string()))), "a name of digits is a name");
    }

    #[test]
    fn what_is_nobody_is_refused_and_never_root() {
        for bad in ["nobody", "web:nogroup", "4294967296", "4294967295", "-1", "+0", " 0", "0x0", "web:", "1:", "0:-1"]
        {
            assert!(found(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_files_are_those_of_the_image() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        let root = std::fs::File::open(directory.path()).unwrap();
        assert_eq!(resolve(root.as_fd(), "").unwrap().uid, 0, "an image may have no /etc/passwd");
        // The host's has a root; the link leads to the image's own, which is not there.
        std::os::unix::fs::symlink("/etc/passwd-", directory.path().join("etc/passwd")).unwrap();
        assert!(resolve(root.as_fd(), "daemon").is_err());
        std::fs::write(directory.path().join("etc/passwd-"), "daemon:x:12:13::/:\n").unwrap();
        assert_eq!(resolve(root.as_fd(), "daemon").unwrap().uid, 12);
        rustix::fs::mkfifoat(&root, "etc/group", rustix::fs::Mode::RUSR).unwrap();
        assert!(resolve(root.as_fd(), "daemon").is_err(), "a pipe is not waited for");
    }
}
