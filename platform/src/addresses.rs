//! Where a process listens, and how others learn it when the ports are any free ones.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};

use crate::PlatformError;

/// Flags of every process that listens.
#[derive(Debug, Clone, clap::Args)]
pub struct ListenArgs {
    /// Address to listen on
    #[arg(long, env = "PARALLAX_BIND", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "IP")]
    pub bind: IpAddr,
    /// Port of /metrics; 0 = any free one
    #[arg(long, env = "METRICS_PORT", default_value_t = 9090, value_name = "PORT")]
    pub metrics_port: u16,
    /// File to write the addresses to that the process listens on, as JSON
    #[arg(long, env = "PARALLAX_ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A listener on a port that a flag has set; `flag` names the flag and its environment variable, as in
/// `--port (PORT)`.
///
/// # Errors
/// When the port is in use, or the address isn't this machine's.
pub fn listen(bind: IpAddr, port: u16, flag: &'static str) -> Result<TcpListener, PlatformError> {
    Port::take(bind, port, flag)?.listen()
}

/// A port that is taken, so that one in use is known at once, and at which nobody is let in yet.
#[derive(Debug)]
pub struct Port {
    socket: TcpSocket,
    bind: IpAddr,
    port: u16,
    flag: &'static str,
}

impl Port {
    /// Takes a port that a flag has set; see [`listen`].
    ///
    /// # Errors
    /// When the port is in use, or the address isn't this machine's.
    pub fn take(bind: IpAddr, port: u16, flag: &'static str) -> Result<Self, PlatformError> {
        let taken = || {
            let socket = if bind.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(bind, port))?;
            Ok(socket)
        };
        match taken() {
            Ok(socket) => Ok(Self { socket, bind, port, flag }),
            Err(source) => Err(unusable(bind, port, flag, source)),
        }
    }

    /// Where it is, with the number that was free.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Lets others in.
    ///
    /// # Errors
    /// When somebody else, who had taken it too, listens there already.
    pub fn listen(self) -> Result<TcpListener, PlatformError> {
        let Self { socket, bind, port, flag } = self;
        socket.listen(BACKLOG).map_err(|source| unusable(bind, port, flag, source))
    }
}

fn unusable(bind: IpAddr, port: u16, flag: &'static str, source: std::io::Error) -> PlatformError {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => PlatformError::PortInUse { bind, port, flag },
        _ => PlatformError::Listen { bind, port, flag, source },
    }
}

/// Where a process listens; what it hasn't got is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Addresses {
    /// Sessions of members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SocketAddr>,
    /// The hub's HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// `/metrics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
}

impl Addresses {
    /// Logs the addresses, and writes them as JSON to `file`, whole or not at all.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn publish(&self, file: Option<&Path>) -> Result<(), PlatformError> {
        let Self { session, http, metrics } = self;
        for (what, address) in [("session", session), ("http", http), ("metrics", metrics)] {
            if let Some(address) = address {
                tracing::info!(%address, "listening for {what}");
            }
        }
        let Some(path) = file else { return Ok(()) };
        self.write(path).map_err(|source| PlatformError::AddressesFile { path: path.to_owned(), source })
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        let written = fs::File::create(&beside)
            .and_then(|mut file| file.write_all(&json))
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn the_addresses_file_holds_what_there_is_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("addresses.json");
        fs::write(&path, "old").unwrap();
        let metrics = Some(SocketAddr::from(([127, 0, 0, 1], 9090)));
        Addresses { metrics, ..Addresses::default() }.publish(Some(&path)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"metrics\":\"127.0.0.1:9090\"}\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unwritable_addresses_file_is_one_line_with_its_flag() {
        let error = Addresses::default().publish(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("--addresses-file"), "{error}");
    }

    #[tokio::test]
    async fn a_port_in_use_is_one_line_that_names_port_and_flag() {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let taken = listen(localhost, 0, "--port (PORT)").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(localhost, port, "--port (PORT)").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port (PORT)"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[tokio::test]
    async fn nobody_is_let_in_at_a_port_that_is_only_taken() {
        let port = Port::take(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, "--port (PORT)").unwrap();
        let address = port.address().unwrap();
        assert_ne!(address.port(), 0);
        assert!(TcpStream::connect(address).await.is_err());
        let _listener = port.listen().unwrap();
        TcpStream::connect(address).await.unwrap();
    }
}
