//! Readiness passed on (sd_notify(3)): a container whose runtime has NOTIFY_SOCKET gets a socket of its own, and what its
//! program says there of being ready goes on to the runtime's. Everything else that a program may say to its service
//! manager stays here: it is no process of that manager's.

use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, chmodat, mkdirat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::error::RuntimeError;
use super::identity::{self, Identity};
use super::state::{Entry, Store};
use crate::spec::ContainerId;
use crate::sys::{self, Arg, Call, CallResult, Outcome, witness};

/// The directory in a container's state that the container sees as /run/notify, and the socket in it.
const DIRECTORY: &str = "notify";
const SOCKET: &str = "notify.sock";

/// How long whoever listens may take to say that it has read all (sd_notify_barrier(3)), in seconds.
const BARRIER_SECONDS: i64 = 5;

/// A container's socket.
#[derive(Debug)]
pub struct Notify(UnixDatagram);

/// The directory that a container is to see; a relative path would mean another place for whoever mounts it.
pub(super) fn directory(store: &Store, id: &ContainerId) -> Result<PathBuf, RuntimeError> {
    let path = store.directory(id).join(DIRECTORY);
    std::path::absolute(&path).map_err(|cause| RuntimeError::io(format!("find {path:?}"), &cause))
}

/// Makes that directory.
pub(super) fn prepare(entry: &Entry) -> Result<(), RuntimeError> {
    let path = entry.path().join(DIRECTORY);
    let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), Arg::Mode(0o755)];
    let made = mkdirat(CWD, &path, Mode::from_raw_mode(0o755)).told(Call::Mkdirat, &told).map_err(io::Error::from);
    made.and_then(|()| permit(&path, 0o755)).map_err(|cause| RuntimeError::io(format!("make {path:?}"), &cause))
}

/// Listens for a container that was made with such a directory; none where it was not.
pub(super) fn listen(entry: &Entry) -> Result<Option<Notify>, RuntimeError> {
    if !entry.path().join(DIRECTORY).is_dir() {
        return Ok(None);
    }
    // The way by the descriptor is short enough for sockaddr_un whatever the store's own path.
    let path = entry.short(&format!("{DIRECTORY}/{SOCKET}"));
    let bind = || -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::bind(&path);
        witness::tell(Call::Bind, &[Arg::Text(path.as_os_str().as_bytes())], Outcome::of_io(&socket, 0));
        let socket = socket?;
        // Whoever the program runs as, it is to be heard.
        permit(&path, 0o777)?;
        Ok(socket)
    };
    let socket = bind().map_err(|cause| RuntimeError::io(format!("listen on {DIRECTORY}/{SOCKET}"), &cause))?;
    Ok(Some(Notify(socket)))
}

/// Whatever our mask for new files is.
fn permit(path: &Path, mode: u32) -> io::Result<()> {
    let told = [Arg::Fd(CWD), Arg::Text(path.as_os_str().as_bytes()), Arg::Mode(mode)];
    Ok(chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()).told(Call::Fchmodat, &told)?)
}

impl Notify {
    /// Waits until the program says that it is ready, or ends, and passes the word on to the socket `host`; with `leave` also that the service
    /// manager is to look after the program from now on, as we go. False where the program ended without the word.
    pub fn pass_on(&self, program: &Identity, host: &str, leave: bool) -> io::Result<bool> {
        let Some(pidfd) = identity::open(program)? else { return Ok(false) };
        let mut bytes = [0; 4096];
        let ready = loop {
            let mut waiting = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&pidfd, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            // Words come first: a program may say that it is ready and end.
            if !waiting[0].revents().is_empty() {
                let length = self.0.recv(&mut bytes)?;
                let text = String::from_utf8_lossy(&bytes[..length]);
                if let Some(line) = text.lines().find(|line| line.starts_with("READY=")) {
                    break line.to_string();
                }
            } else if !waiting[1].revents().is_empty() {
                return Ok(false);
            }
        };
        let host = connect(host)?;
        host.send(format!("{ready}\n").as_bytes())?;
        if leave {
            host.send(format!("MAINPID={}\n", program.pid).as_bytes())?;
            barrier(&host)?;
        }
        Ok(true)
    }
}

/// A name that begins with @ is one of the abstract kind (unix(7)).
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(Path::new(name))?,
    }
    Ok(socket)
}

/// Comes back when all that was sent is read: the other side then closes the descriptor that it was sent. One that does not
/// know this is not waited for longer than BARRIER_SECONDS.
fn barrier(host: &UnixDatagram) -> io::Result<()> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    sys::send_message(host.as_fd(), b"BARRIER=1", Some(theirs.as_fd()))
        .map_err(|failure| io::Error::from(failure.errno))?;
    drop(theirs);
    let limit = Timespec { tv_sec: BARRIER_SECONDS, tv_nsec: 0 };
    poll(&mut [PollFd::new(&ours, PollFlags::IN)], Some(&limit))?;
    Ok(())
}
