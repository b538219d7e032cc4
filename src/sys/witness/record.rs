//! One record: what was begun, done or ended, with a call's arguments, in a fixed number of bytes.
//!
//! Arguments stand one behind the other: a kind, then eight bytes for a number, or a length and the bytes of a text. What
//! does not fit is cut, and says so.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::super::call::Call;

/// Bytes for the arguments of one call.
const ROOM: usize = 984;

/// Bytes of one text; strace shows 32, a path may be longer.
const TEXT: usize = 300;

/// An argument of a system call, as it is passed.
#[derive(Debug, Clone, Copy)]
pub enum Arg<'a> {
    /// A descriptor.
    Fd(BorrowedFd<'a>),
    /// A descriptor, and what it was opened for.
    File(BorrowedFd<'a>, &'a [u8]),
    /// A text that the kernel reads: a path, a name, what is written.
    Text(&'a [u8]),
    /// A number.
    Number(i64),
    /// Permission bits.
    Mode(u32),
    /// Flags that have names.
    Bits(Bits, u64),
    /// A constant by its name, or a structure in braces.
    Word(&'static str),
}

/// Whose names flags have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Bits {
    Namespaces,
    MountAttributes,
    OpenTree,
    Propagation,
    Capabilities,
    Seccomp,
    Clone,
    Hex,
}

/// An argument as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A descriptor, and what it was opened for.
    Fd(i64, String),
    /// A text; `true`: it went on.
    Text(Vec<u8>, bool),
    /// A number.
    Number(i64),
    /// Permission bits.
    Mode(u32),
    /// Flags.
    Bits(Bits, u64),
    /// A constant by its name.
    Word(String),
}

/// What a call answers with when it succeeds, as the number that the kernel returned.
pub trait Answer {
    /// That number.
    fn number(&self) -> i64;
}

impl Answer for () {
    fn number(&self) -> i64 {
        0
    }
}

impl Answer for OwnedFd {
    fn number(&self) -> i64 {
        self.as_raw_fd().into()
    }
}

impl Answer for usize {
    fn number(&self) -> i64 {
        *self as i64
    }
}

impl Answer for i64 {
    fn number(&self) -> i64 {
        *self
    }
}

impl Answer for rustix::process::Pid {
    fn number(&self) -> i64 {
        self.as_raw_nonzero().get().into()
    }
}

/// The bytes of one record in the shared memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Raw {
    pub kind: u8,
    pub who: u8,
    pub lane: u8,
    pub state: u8,
    pub index: u32,
    /// Nanoseconds of CLOCK_MONOTONIC; 0: not looked at.
    pub at: u64,
    pub call: u16,
    pub length: u16,
    pub errno: i32,
    pub result: i64,
    pub arguments: [u8; ROOM],
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this number.
    Returned(i64),
    /// It failed.
    Failed(Errno),
    /// It does not come back when it succeeds: execve(2).
    Gone,
}

impl Outcome {
    /// Of a result.
    pub fn of<T: Answer>(result: &rustix::io::Result<T>) -> Outcome {
        match result {
            Ok(answer) => Outcome::Returned(answer.number()),
            Err(errno) => Outcome::Failed(*errno),
        }
    }

    /// Of a library's call, which returned `number` where it succeeded.
    pub fn of_io<T>(result: &std::io::Result<T>, number: i64) -> Outcome {
        match result {
            Ok(_) => Outcome::Returned(number),
            Err(cause) => Outcome::Failed(Errno::from_io_error(cause).unwrap_or(Errno::IO)),
        }
    }
}

impl Raw {
    pub(super) fn put(&mut self, call: Call, arguments: &[Arg<'_>], outcome: Outcome) {
        self.call = call as u16;
        (self.state, self.result, self.errno) = match outcome {
            Outcome::Returned(number) => (0, number, 0),
            Outcome::Failed(errno) => (1, -1, errno.raw_os_error()),
            Outcome::Gone => (2, 0, 0),
        };
        let mut end = 0;
        for argument in arguments {
            end = put_argument(&mut self.arguments, end, argument);
        }
        self.length = end as u16;
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self.state {
            0 => Outcome::Returned(self.result),
            1 => Outcome::Failed(Errno::from_raw_os_error(self.errno)),
            _ => Outcome::Gone,
        }
    }

    pub(super) fn shown(&self) -> Vec<Shown> {
        let mut rest = &self.arguments[..usize::from(self.length).min(ROOM)];
        let mut shown = Vec::new();
        while let Some((argument, behind)) = take_argument(rest) {
            shown.push(argument);
            rest = behind;
        }
        shown
    }
}

/// Kinds on the record; 16 and up: flags, with the family's number.
const FD: u8 = 1;
const TEXTS: u8 = 2;
const CUT: u8 = 3;
const NUMBER: u8 = 4;
const MODE: u8 = 5;
const WORD: u8 = 6;
const FLAGS: u8 = 16;

fn put_argument(room: &mut [u8; ROOM], at: usize, argument: &Arg<'_>) -> usize {
    let (kind, number, text) = match *argument {
        Arg::Fd(fd) => (FD, i64::from(fd.as_raw_fd()), &b""[..]),
        Arg::File(fd, what) => (FD, i64::from(fd.as_raw_fd()), what),
        Arg::Text(text) => (if text.len() > TEXT { CUT } else { TEXTS }, 0, text),
        Arg::Number(number) => (NUMBER, number, &b""[..]),
        Arg::Mode(mode) => (MODE, i64::from(mode), &b""[..]),
        Arg::Bits(family, bits) => (FLAGS + family as u8, bits as i64, &b""[..]),
        Arg::Word(word) => (WORD, 0, word.as_bytes()),
    };
    let text = &text[..text.len().min(TEXT)];
    if at + 11 + text.len() > ROOM {
        return at;
    }
    room[at] = kind;
    room[at + 1..at + 9].copy_from_slice(&number.to_ne_bytes());
    room[at + 9..at + 11].copy_from_slice(&(text.len() as u16).to_ne_bytes());
    room[at + 11..at + 11 + text.len()].copy_from_slice(text);
    at + 11 + text.len()
}

fn take_argument(bytes: &[u8]) -> Option<(Shown, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (number, rest) = rest.split_at_checked(8)?;
    let number = i64::from_ne_bytes(number.try_into().ok()?);
    let (length, rest) = rest.split_at_checked(2)?;
    let (text, rest) = rest.split_at_checked(u16::from_ne_bytes(length.try_into().ok()?).into())?;
    let words = || String::from_utf8_lossy(text).into_owned();
    let shown = match *kind {
        FD => Shown::Fd(number, words()),
        TEXTS => Shown::Text(text.to_vec(), false),
        CUT => Shown::Text(text.to_vec(), true),
        NUMBER => Shown::Number(number),
        MODE => Shown::Mode(number as u32),
        WORD => Shown::Word(words()),
        kind => Shown::Bits(family(kind)?, number as u64),
    };
    Some((shown, rest))
}

fn family(kind: u8) -> Option<Bits> {
    const ALL: [Bits; 8] = [
        Bits::Namespaces,
        Bits::MountAttributes,
        Bits::OpenTree,
        Bits::Propagation,
        Bits::Capabilities,
        Bits::Seccomp,
        Bits::Clone,
        Bits::Hex,
    ];
    ALL.into_iter().find(|bits| FLAGS + *bits as u8 == kind)
}

impl Default for Raw {
    fn default() -> Self {
        Raw {
            kind: 0,
            who: 0,
            lane: 0,
            state: 0,
            index: 0,
            at: 0,
            call: 0,
            length: 0,
            errno: 0,
            result: 0,
            arguments: [0; ROOM],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn arguments_come_back_as_they_were() {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        let number = i64::from(file.as_raw_fd());
        let mut raw = Raw::default();
        let long = [b'x'; 2 * TEXT];
        raw.put(
            Call::Mkdirat,
            &[
                Arg::File(file.as_fd(), b"/dev"),
                Arg::Text(b"pts"),
                Arg::Mode(0o755),
                Arg::Number(-1),
                Arg::Bits(Bits::Namespaces, 0x2000_0000),
                Arg::Word("PR_SET_KEEPCAPS"),
                Arg::Text(&long),
            ],
            Outcome::Failed(Errno::EXIST),
        );
        assert_eq!(raw.outcome(), Outcome::Failed(Errno::EXIST));
        assert_eq!(
            raw.shown(),
            [
                Shown::Fd(number, "/dev".into()),
                Shown::Text(b"pts".to_vec(), false),
                Shown::Mode(0o755),
                Shown::Number(-1),
                Shown::Bits(Bits::Namespaces, 0x2000_0000),
                Shown::Word("PR_SET_KEEPCAPS".into()),
                Shown::Text(long[..TEXT].to_vec(), true),
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_never_overflows() {
        let mut raw = Raw::default();
        let long = [b'x'; 2 * TEXT];
        raw.put(Call::Execve, &[Arg::Text(&long); 9], Outcome::Gone);
        assert_eq!(raw.shown().len(), ROOM / (TEXT + 11));
        assert_eq!((size_of::<Raw>(), raw.outcome()), (1016, Outcome::Gone));
    }
}
