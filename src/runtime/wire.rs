//! What the new process and its parent say to each other: 16 bytes a message, over a socket pair.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 2 | kind: 1 failed, 2 ready, 3 terminal, 4 go, 5 born, 6 hooks, 7 file, 8 hook failed, 9 filter, 10 map mount |
//! | 2 | 2 | failed: the call's number |
//! | 4 | 4 | failed: the step's index in its lane; hook failed: which hook of the lane `init`; filter: a descriptor; map mount: the step |
//! | 8 | 4 | failed: errno; born: the process's id; hook failed: how it ended (`HookEnd::number`) |
//! | 12 | 4 | failed: 1 for the lane `between`, 0 for `init` |
//!
//! A descriptor comes beside (SCM_RIGHTS): with terminal its master, with born the pidfd, with file one that the process
//! asked for, with hook failed what the hook has written, with map mount the mount.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::sys::{self, Call, Failure};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The step with this index failed; the sender is about to exit.
    Failed {
        /// The step is one of `Plan::between`, else of `Plan::init`.
        between: bool,
        /// Index in that lane. In `Plan::between` the index behind the last is the clone.
        step: u32,
        /// What failed.
        failure: Failure,
    },
    /// All is ready up to `AwaitStart`.
    Ready,
    /// The master of the container's terminal travels beside this message.
    Terminal,
    /// Go on.
    Go,
    /// The process in between has made the container's own; its pidfd travels beside this message.
    Born {
        /// Its id, in our PID namespace.
        pid: i32,
    },
    /// The files are in place: the hooks can run.
    Hooks,
    /// A descriptor for the process.
    File,
    /// A hook that the process ran itself has failed; the sender is about to exit.
    HookFailed {
        /// Which one, counted among the hooks of `Plan::init`.
        hook: u32,
        /// How it ended.
        end: HookEnd,
    },
    /// A system call filter is about to be loaded, and the descriptor for its notifications gets this number in the
    /// sender: behind the filter it may be too late to say so.
    Filter {
        /// The descriptor.
        number: i32,
    },
    /// The mount that travels beside this message is to get the id maps of a step, before it is mounted.
    MapMount {
        /// Index of the step in `Plan::init`.
        step: u32,
    },
}

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEnd {
    /// With this exit status, or 128 + the signal that ended it.
    Status(u8),
    /// It was killed after its timeout.
    TimedOut,
}

impl HookEnd {
    fn number(self) -> u32 {
        match self {
            HookEnd::Status(status) => status.into(),
            HookEnd::TimedOut => 256,
        }
    }

    fn from_number(number: u32) -> HookEnd {
        u8::try_from(number).map_or(HookEnd::TimedOut, HookEnd::Status)
    }
}

impl Message {
    fn encode(self) -> [u8; 16] {
        let (kind, call, step, number, lane) = match self {
            Message::Failed { between, step, failure } => {
                (1_u16, failure.call as u16, step, failure.errno.raw_os_error() as u32, u32::from(between))
            }
            Message::Ready => (2, 0, 0, 0, 0),
            Message::Terminal => (3, 0, 0, 0, 0),
            Message::Go => (4, 0, 0, 0, 0),
            Message::Born { pid } => (5, 0, 0, pid as u32, 0),
            Message::Hooks => (6, 0, 0, 0, 0),
            Message::File => (7, 0, 0, 0, 0),
            Message::HookFailed { hook, end } => (8, 0, hook, end.number(), 0),
            Message::Filter { number } => (9, 0, number as u32, 0, 0),
            Message::MapMount { step } => (10, 0, step, 0, 0),
        };
        let mut bytes = [0; 16];
        bytes[0..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[2..4].copy_from_slice(&call.to_ne_bytes());
        bytes[4..8].copy_from_slice(&step.to_ne_bytes());
        bytes[8..12].copy_from_slice(&number.to_ne_bytes());
        bytes[12..16].copy_from_slice(&lane.to_ne_bytes());
        bytes
    }

    /// `None` for bytes that no sender of ours makes.
    fn decode(bytes: &[u8; 16]) -> Option<Message> {
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        match half(0) {
            1 => {
                let errno = Errno::from_raw_os_error(word(8) as i32);
                let failure = Call::from_number(half(2))?.failed(errno);
                Some(Message::Failed { between: word(12) == 1, step: word(4), failure })
            }
            2 => Some(Message::Ready),
            3 => Some(Message::Terminal),
            4 => Some(Message::Go),
            5 => Some(Message::Born { pid: word(8) as i32 }),
            6 => Some(Message::Hooks),
            7 => Some(Message::File),
            10 => Some(Message::MapMount { step: word(4) }),
            9 => Some(Message::Filter { number: word(4) as i32 }),
            8 => Some(Message::HookFailed { hook: word(4), end: HookEnd::from_number(word(8)) }),
            _ => None,
        }
    }

    /// Sends the message, and a descriptor with it.
    pub(super) fn send(self, socket: BorrowedFd<'_>, descriptor: Option<BorrowedFd<'_>>) -> Result<(), Failure> {
        sys::send_message(socket, &self.encode(), descriptor)
    }

    /// Receives one message; `None` where the other side is gone, or says what no side of ours says.
    pub(super) fn receive(socket: BorrowedFd<'_>) -> Result<Option<(Message, Option<OwnedFd>)>, Failure> {
        let mut bytes = [0; 16];
        let (length, descriptor) = match sys::receive_message(socket, &mut bytes) {
            // It died with a message of ours unread (unix(7)): gone is gone.
            Err(Failure { errno: Errno::CONNRESET, .. }) => return Ok(None),
            received => received?,
        };
        Ok(Some(length).filter(|length| *length == bytes.len()).and(Message::decode(&bytes)).map(|it| (it, descriptor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let failed = |between| Message::Failed { between, step: 14, failure: Call::Fsmount.failed(Errno::PERM) };
        let hook = |end| Message::HookFailed { hook: 3, end };
        for message in [
            failed(false),
            failed(true),
            Message::Ready,
            Message::Terminal,
            Message::Go,
            Message::Born { pid: 4_194_304 },
            Message::Hooks,
            Message::File,
            hook(HookEnd::Status(3)),
            hook(HookEnd::TimedOut),
            Message::Filter { number: 7 },
            Message::MapMount { step: 12 },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[0xff; 16]), None);
    }
}
