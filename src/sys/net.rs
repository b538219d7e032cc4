//! The one thing that a new network namespace needs: its loopback device up (netdevice(7)).

use std::os::fd::{AsFd, AsRawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::call::{Call, CallResult, Failure};
use super::process::told;
use super::witness::Arg;

/// Brings the device `name` of this network namespace up (SIOCSIFFLAGS with IFF_UP).
pub fn bring_up(name: &[u8]) -> Result<(), Failure> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).of(Call::Socket)?;
    // SAFETY: ifreq is plain data, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.iter().take(libc::IFNAMSIZ - 1)) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request reads an ifreq, which `request` is, and keeps no pointer to it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    told(
        result.into(),
        Call::Ioctl,
        &[Arg::Fd(socket.as_fd()), Arg::Word("SIOCSIFFLAGS"), Arg::Text(name), Arg::Word("IFF_UP")],
    )
}
