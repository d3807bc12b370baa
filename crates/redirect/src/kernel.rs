//! Sends a batch to the kernel and reads its answers.
//!
//! The kernel works a batch off inside the call that sends it, and by the time that returns its answers wait in the
//! socket. So they are read without ever waiting: an init container that hangs would keep its pod from starting.

use std::io;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::error::{RedirectError, Step};
use super::message::messages;
use super::ruleset::Batch;
use super::uapi::NLMSG_ERROR;

/// Room for one datagram of answers: an answer carries a copy of the message that was refused, and those of ours with
/// many ports are the longest.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Sends a batch, which the kernel applies as a whole or not at all.
pub(super) fn commit(batch: &Batch) -> Result<(), RedirectError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))
        .map_err(RedirectError::of_socket)?;
    let sent = retry_on_intr(|| send(&socket, batch.bytes(), SendFlags::empty())).map_err(io::Error::from)?;
    if sent != batch.bytes().len() {
        return Err(io::Error::from(io::ErrorKind::WriteZero).into());
    }
    verdict(batch.steps(), &receive_answers(&socket)?)
}

/// The kernel's answer to the message of that sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    sequence: u32,
    refused: Option<Errno>,
}

fn receive_answers(socket: &OwnedFd) -> Result<Vec<Answer>, RedirectError> {
    let mut answers = Vec::new();
    let mut buffer = vec![0; RECEIVE_BYTES];
    loop {
        match retry_on_intr(|| recv(socket, &mut buffer[..], RecvFlags::empty())) {
            Ok((received, _)) => answers.extend(parse_answers(buffer.get(..received).unwrap_or_default())),
            Err(Errno::AGAIN) => return Ok(answers),
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
}

/// Returns the answers in one datagram. Messages of other kinds are ignored.
fn parse_answers(datagram: &[u8]) -> impl Iterator<Item = Answer> {
    messages(datagram).filter(|message| message.kind == NLMSG_ERROR).filter_map(|message| {
        // The body is 0 or a negated error number, and then a copy of the request.
        let code = i32::from_ne_bytes(*message.body.first_chunk()?);
        let refused = match code.saturating_neg() {
            0 => None,
            // MAX_ERRNO of linux/err.h.
            errno @ 1..=4095 => Some(Errno::from_raw_os_error(errno)),
            _ => Some(Errno::PROTO),
        };
        Some(Answer { sequence: message.sequence, refused })
    })
}

/// Checks that the kernel has acknowledged every step and refused none.
///
/// The error is the first refusal, because later steps fail for lack of a refused one. Kernels before 6.10 do not
/// acknowledge the two messages around the batch.
fn verdict(steps: &[Step], answers: &[Answer]) -> Result<(), RedirectError> {
    let answer_to = |sequence: usize| answers.iter().filter(move |answer| answer.sequence as usize == sequence);
    for (sequence, step) in steps.iter().enumerate() {
        if let Some(errno) = answer_to(sequence).find_map(|answer| answer.refused) {
            return Err(RedirectError::of_answer(*step, errno));
        }
    }
    for (sequence, step) in steps.iter().enumerate() {
        if !matches!(step, Step::Begin | Step::Commit) && answer_to(sequence).next().is_none() {
            return Err(RedirectError::Unanswered(*step));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[Step::Begin, Step::CreateTable, Step::CreateNatChain, Step::Commit];

    /// Returns an answer as the kernel sends it, with the header of the request.
    fn answer(sequence: u32, code: i32) -> Vec<u8> {
        let header = |length: u32| [length, u32::from(NLMSG_ERROR), sequence, 0].map(u32::to_ne_bytes).concat();
        [header(36), code.to_ne_bytes().to_vec(), header(16)].concat()
    }

    fn verdict_on(answers: &[(u32, i32)]) -> Result<(), String> {
        let datagram: Vec<u8> = answers.iter().flat_map(|(sequence, code)| answer(*sequence, *code)).collect();
        let answers: Vec<Answer> = parse_answers(&datagram).collect();
        verdict(STEPS, &answers).map_err(|error| error.to_string())
    }

    const DONE: i32 = 0;
    const NOT_PERMITTED: i32 = -Errno::PERM.raw_os_error();
    const NO_MEMORY: i32 = -Errno::NOMEM.raw_os_error();
    const ABSENT: i32 = -Errno::NOENT.raw_os_error();

    #[test]
    fn the_batch_succeeds_if_every_step_is_acknowledged() {
        assert_eq!(verdict_on(&[(1, DONE), (2, DONE)]), Ok(()));
        assert_eq!(
            verdict_on(&[(0, DONE), (1, DONE), (2, DONE), (3, DONE)]),
            Ok(()),
            "newer kernels acknowledge all messages"
        );
    }

    #[test]
    fn the_first_refusal_of_the_kernel_is_the_error() {
        assert!(verdict_on(&[(2, ABSENT), (1, NO_MEMORY)]).unwrap_err().contains("create the table"));
        assert!(verdict_on(&[(0, NOT_PERMITTED)]).unwrap_err().contains("NET_ADMIN"));
        assert!(verdict_on(&[(1, DONE), (2, DONE), (3, NO_MEMORY)]).unwrap_err().contains("commit"));
    }

    #[test]
    fn a_missing_acknowledgement_is_an_error() {
        assert!(verdict_on(&[]).unwrap_err().contains("create the table"));
        assert!(verdict_on(&[(1, DONE)]).unwrap_err().contains("create the nat chain"));
    }

    #[test]
    fn an_invalid_acknowledgement_is_an_error() {
        for nonsense in [1, i32::MAX, i32::MIN, -4096] {
            assert!(verdict_on(&[(1, nonsense), (2, DONE)]).unwrap_err().contains("refused to create the table"));
        }
    }
}
