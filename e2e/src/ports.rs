//! Free ports on loopback, so that fleets run side by side.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

/// As many different free ports as asked for.
///
/// All are held until the last is chosen, then let go together. Another process may take one before it is used:
/// the caller sees "address already in use" in a log, and asks again.
///
/// # Errors
/// The machine has no free port left.
pub fn free<const N: usize>() -> anyhow::Result<[u16; N]> {
    let listeners = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<Vec<_>, _>>()
        .context("no free port on 127.0.0.1: close something that listens")?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().context("reading a socket's address")?.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    #[test]
    fn ports_of_one_request_all_differ() {
        let ports = super::free::<16>().unwrap();
        assert_eq!(BTreeSet::from(ports).len(), 16);
        assert!(ports.iter().all(|port| *port > 0));
    }
}
