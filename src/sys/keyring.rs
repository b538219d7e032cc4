//! keyctl(2): the session keyring of a container.

use std::ffi::CStr;

use super::call::{Call, CallResult, Failure};
use super::clone::last_errno;
use super::witness::{Arg, Bits};

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
const KEYCTL_DESCRIBE: libc::c_long = 6;
const KEYCTL_SETPERM: libc::c_long = 5;
/// KEY_USR_SEARCH (linux/keyctl.h): whoever is the keyring's user may find keys in it.
const USER_SEARCH: u32 = 0x0008_0000;

/// Joins a new session keyring called `name`, and lets its user search it: a later process of the same user finds its keys.
pub fn join_session_keyring(name: &CStr) -> Result<(), Failure> {
    let joined = keyctl(KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr() as libc::c_long, 0, 0);
    let told = [Arg::Word("KEYCTL_JOIN_SESSION_KEYRING"), Arg::Text(name.to_bytes())];
    let keyring = joined.map_err(|failure| failure.errno).told(Call::Keyctl, &told)?;
    let mut description = [0_u8; 256];
    let (buffer, length) = (description.as_mut_ptr() as libc::c_long, description.len() as libc::c_long);
    keyctl(KEYCTL_DESCRIBE, keyring, buffer, length)?;
    let permissions = permissions(&description).unwrap_or(0x3f13_0000) | USER_SEARCH;
    let set = keyctl(KEYCTL_SETPERM, keyring, libc::c_long::from(permissions), 0);
    let told = [Arg::Word("KEYCTL_SETPERM"), Arg::Number(keyring), Arg::Bits(Bits::Hex, permissions.into())];
    set.map_err(|failure| failure.errno).told(Call::Keyctl, &told).map(drop)
}

/// The mask of `keyring;0;0;3f130000;_ses.web`, without an allocation.
fn permissions(description: &[u8]) -> Option<u32> {
    let digits = description.split(|byte| *byte == b';').nth(3)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn keyctl(
    operation: libc::c_long,
    one: libc::c_long,
    two: libc::c_long,
    three: libc::c_long,
) -> Result<libc::c_long, Failure> {
    // SAFETY: the operations above take numbers, a C string that outlives the call, or a buffer and its length.
    match unsafe { libc::syscall(libc::SYS_keyctl, operation, one, two, three, 0) } {
        -1 => Err(Call::Keyctl.failed(last_errno())),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_mask_is_the_fourth_field() {
        assert_eq!(super::permissions(b"keyring;0;0;3f130000;_ses.web\0"), Some(0x3f13_0000));
        assert_eq!(super::permissions(b"keyring"), None);
    }
}
