//! What the targets that play a database have in common: packets of its protocol, and a client that finds all of them already there.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;

use super::mutation::mutate;
use crate::{Failure, Result};

/// Byte sequences with a meaning in the protocol: lengths of all sizes, and the first bytes of packets.
const MEANINGFUL: [&[u8]; 12] = [
    b"\0",
    b"\xff\x15\x04#28000no",
    b"\xfe",
    b"\xfe\0\0\x02\0",
    b"\xfb",
    b"\xfc\xff\xff",
    b"\xfd\xff\xff\xff",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xfe\0\0\0\0\x01\0\0\0",
    b"\x01\x04",
    b"\x01\x03",
    b"\xff\xff\xff",
];

/// The packets of a server, each with its number.
#[derive(Default)]
pub(super) struct Conversation {
    packets: Vec<(u8, Vec<u8>)>,
    next: u8,
}

impl Conversation {
    /// The first packet of the connection has the number 0, and the first packet of an answer 1.
    pub(super) fn begin(&mut self, number: u8) {
        self.next = number;
    }

    pub(super) fn send(&mut self, body: impl Into<Vec<u8>>) {
        self.packets.push((self.next, body.into()));
        self.next = self.next.wrapping_add(1);
    }

    /// The client has sent a packet in between.
    pub(super) fn heard(&mut self) {
        self.next = self.next.wrapping_add(1);
    }

    /// Changes some packets: their bodies, their order, or how many there are.
    pub(super) fn mutate(&mut self, random: &mut Rng) {
        for _ in 0..random.usize(1..4) {
            let Some(at) = random.choice(0..self.packets.len()) else { return };
            match random.u8(..10) {
                0 => drop(self.packets.remove(at)),
                1 => self.packets.insert(at, self.packets[at].clone()),
                2 => {
                    let other = random.usize(..self.packets.len());
                    self.packets.swap(at, other);
                }
                3 => self.packets[at].0 = random.u8(..),
                4 => {
                    let body = &mut self.packets[at].1;
                    let from = random.usize(..=body.len());
                    body.splice(from..from, MEANINGFUL[random.usize(..MEANINGFUL.len())].iter().copied());
                }
                5 => self.packets[at].1 = MEANINGFUL[random.usize(..MEANINGFUL.len())].to_vec(),
                _ => {
                    let other = self.packets[random.usize(..self.packets.len())].1.clone();
                    mutate(random, &mut self.packets[at].1, &other);
                }
            }
        }
    }

    /// The bytes on the connection. A body of 16 MiB or more is cut, as the protocol wants it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, body) in &self.packets {
            let mut number = *number;
            let mut rest = &body[..];
            loop {
                let (part, behind) = rest.split_at(rest.len().min(0xff_ffff));
                bytes.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
                bytes.push(number);
                bytes.extend_from_slice(part);
                number = number.wrapping_add(1);
                rest = behind;
                if part.len() < 0xff_ffff {
                    break;
                }
            }
        }
        bytes
    }
}

/// Bytes behind their length.
pub(super) fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let mut all = match length {
        0..=0xfa => vec![length as u8],
        0xfb..=0xffff => [&[0xfc][..], &(length as u16).to_le_bytes()].concat(),
        0x1_0000..=0xff_ffff => [&[0xfd][..], &(length as u32).to_le_bytes()[..3]].concat(),
        _ => [&[0xfe][..], &(length as u64).to_le_bytes()].concat(),
    };
    all.extend_from_slice(bytes);
    all
}

/// The result of a future that has nothing to wait for, because all that a server sends is there.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Failure::err("it waits, although everything is there"),
    }
}
