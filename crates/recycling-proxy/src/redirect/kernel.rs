//! Hands a batch to the kernel and reads its verdict.
//!
//! The kernel works a batch off inside the call that sends it, and by the time that returns its answers wait in the
//! socket. So they are read without ever waiting: an init container that hangs would keep its pod from starting.

use std::io;

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::utils::parse_i32;
use rustix::fd::OwnedFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::error::{RedirectError, Step};
use super::ruleset::Batch;

/// The type of a message that answers one of ours, with an error or with "done" (`NLMSG_ERROR`).
const ANSWER: u16 = 2;
/// Bytes of an answer before the kernel's copy of what it answers: the header and the error number.
const ANSWER_LEN: usize = Nlmsghdr::len() + 4;
/// Room for one datagram of answers: an answer carries a copy of the message that was refused, and those of ours with
/// many ports are the longest.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Has the kernel do everything in the batch, or nothing.
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

/// The answers in one datagram; a message of another kind is none of ours.
fn parse_answers(mut datagram: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(header) = datagram.get(..Nlmsghdr::len()).and_then(Nlmsghdr::new_from_slice) {
        let code = datagram.get(Nlmsghdr::len()..ANSWER_LEN).and_then(parse_i32);
        if let (ANSWER, Some(code)) = (header.r#type, code) {
            let refused = (code != 0).then(|| Errno::from_raw_os_error(code.saturating_neg()));
            answers.push(Answer { sequence: header.seq, refused });
        }
        // Messages begin at multiples of four; one that claims to be shorter than its header would never end.
        let whole = (header.len as usize).max(Nlmsghdr::len()).saturating_add(3) & !3;
        datagram = datagram.get(whole..).unwrap_or_default();
    }
    answers
}

/// The batch is done when the kernel has acknowledged every step and refused none.
///
/// The first refusal is the cause: the rest of a batch fails for want of what was refused. Kernels before 6.10 do not
/// acknowledge the two messages that frame the batch.
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

    const STEPS: &[Step] = &[Step::Begin, Step::CreateTable, Step::CreateChain, Step::Commit];

    fn answer(sequence: u32, code: i32) -> Vec<u8> {
        let header = Nlmsghdr { len: 36, r#type: ANSWER, flags: 0, seq: sequence, pid: 0 };
        let copy = Nlmsghdr { len: 20, r#type: 0, flags: 0, seq: sequence, pid: 0 };
        [header.as_slice(), &code.to_ne_bytes(), copy.as_slice()].concat()
    }

    fn said(answers: &[(u32, i32)]) -> Result<(), String> {
        let datagram: Vec<u8> = answers.iter().flat_map(|(sequence, code)| answer(*sequence, *code)).collect();
        verdict(STEPS, &parse_answers(&datagram)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_step_acknowledged_is_success() {
        assert_eq!(said(&[(1, 0), (2, 0)]), Ok(()));
        assert_eq!(said(&[(0, 0), (1, 0), (2, 0), (3, 0)]), Ok(()), "Linux 6.10 acknowledges the frame too");
    }

    #[test]
    fn the_first_refusal_is_the_cause() {
        let no_memory = Errno::NOMEM.raw_os_error();
        let absent = Errno::NOENT.raw_os_error();
        assert!(said(&[(2, -absent), (1, -no_memory)]).unwrap_err().contains("create the table"));
        assert!(said(&[(0, -Errno::PERM.raw_os_error())]).unwrap_err().contains("NET_ADMIN"));
        assert!(said(&[(1, 0), (2, 0), (3, -no_memory)]).unwrap_err().contains("commit"));
    }

    #[test]
    fn silence_is_no_success() {
        assert!(said(&[]).unwrap_err().contains("create the table"));
        assert!(said(&[(1, 0)]).unwrap_err().contains("create the nat chain"));
    }

    #[test]
    fn answers_cut_at_every_byte_end_without_a_wrong_one() {
        let whole = [answer(1, 0), answer(2, -Errno::PERM.raw_os_error())].concat();
        let all = parse_answers(&whole);
        assert_eq!(all.len(), 2);
        for cut in 0..whole.len() {
            let some = parse_answers(&whole[..cut]);
            assert_eq!(some, all[..some.len()], "cut at {cut}");
        }
    }

    #[test]
    fn lengths_that_lie_end() {
        for lie in [0, 3, 15, 17, u32::MAX] {
            let mut message = answer(1, 0);
            message[..4].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(parse_answers(&message).first(), Some(&Answer { sequence: 1, refused: None }), "{lie}");
        }
    }
}
