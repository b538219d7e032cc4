//! execve(2) with arrays that were prepared before.

use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::call::Call;
use super::clone::last_errno;
use super::witness::{self, Arg, Outcome};

/// A null-terminated array of pointers to C strings, as execve(2) takes it.
pub struct CStringArray<'a> {
    pointers: Vec<*const c_char>,
    strings: PhantomData<&'a [CString]>,
}

impl<'a> CStringArray<'a> {
    /// Points to each of `strings`, which it borrows.
    pub fn new(strings: &'a [CString]) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        CStringArray { pointers, strings: PhantomData }
    }
}

/// Becomes the program `path`; comes back only with an error.
pub fn execve(path: &CStr, args: &CStringArray<'_>, env: &CStringArray<'_>) -> Errno {
    let told = [Arg::Text(path.to_bytes()), Arg::Word("[...]"), Arg::Word("[...]")];
    witness::tell_the_last(Call::Execve, &told);
    // SAFETY: `path` is a C string; both arrays end with a null pointer and point to C strings that they borrow.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    let errno = last_errno();
    witness::tell(Call::Execve, &told, Outcome::Failed(errno));
    errno
}

/// Becomes the program that `file` is, with the environment that this process has; comes back only with an error.
pub fn execute_file(file: BorrowedFd<'_>, args: &CStringArray<'_>) -> Errno {
    unsafe extern "C" {
        // environ(7).
        static environ: *const *const c_char;
    }
    // SAFETY: `args` ends with a null pointer and points to C strings that it borrows; so does `environ`, which nobody changes:
    // std's set_var is unsafe, and no code of ours calls it.
    unsafe { libc::fexecve(file.as_raw_fd(), args.pointers.as_ptr(), environ) };
    last_errno()
}
