//! What the new process and its parent say to each other: 16 bytes a message, over a socket pair.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 2 | kind: 1 failed, 2 ready, 3 terminal (with its master as SCM_RIGHTS), 4 go, 5 filter |
//! | 2 | 2 | failed: the call's number |
//! | 4 | 4 | failed: the step's index in `Plan::init`; filter: the descriptor's number |
//! | 8 | 4 | failed: errno |
//! | 12 | 4 | 0 |

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::sys::{self, Call, Failure};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The step with this index failed; the sender is about to exit.
    Failed {
        /// Index in `Plan::init`.
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
    /// A system call filter is about to be loaded, and the descriptor for its notifications gets this number in the
    /// sender: behind the filter it may be too late to say so.
    Filter {
        /// The descriptor.
        number: i32,
    },
}

impl Message {
    fn encode(self) -> [u8; 16] {
        let (kind, call, step, errno) = match self {
            Message::Failed { step, failure } => (1_u16, failure.call as u16, step, failure.errno.raw_os_error()),
            Message::Ready => (2, 0, 0, 0),
            Message::Terminal => (3, 0, 0, 0),
            Message::Go => (4, 0, 0, 0),
            Message::Filter { number } => (5, 0, number as u32, 0),
        };
        let mut bytes = [0; 16];
        bytes[0..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[2..4].copy_from_slice(&call.to_ne_bytes());
        bytes[4..8].copy_from_slice(&step.to_ne_bytes());
        bytes[8..12].copy_from_slice(&errno.to_ne_bytes());
        bytes
    }

    /// `None` for bytes that no sender of ours makes.
    fn decode(bytes: &[u8; 16]) -> Option<Message> {
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        match half(0) {
            1 => {
                let errno = Errno::from_raw_os_error(word(8) as i32);
                Some(Message::Failed { step: word(4), failure: Call::from_number(half(2))?.failed(errno) })
            }
            2 => Some(Message::Ready),
            3 => Some(Message::Terminal),
            4 => Some(Message::Go),
            5 => Some(Message::Filter { number: word(4) as i32 }),
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
        let failed = Message::Failed { step: 14, failure: Call::Fsmount.failed(Errno::PERM) };
        let filter = Message::Filter { number: 7 };
        for message in [failed, Message::Ready, Message::Terminal, Message::Go, filter] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[0xff; 16]), None);
    }
}
