//! The least HTTP/1.1 that a client and a pod can speak, so that the machine's time goes into what is measured.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const REQUEST: &[u8] = b"GET /bench HTTP/1.1\r\nhost: bench\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n";
const BODY: &[u8] = b"hello\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A client's connection, one request at a time.
pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Opens one.
    pub(super) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1024) })
    }

    /// Sends a request, and reads its whole answer.
    pub(super) async fn request(&mut self) -> Result<()> {
        self.stream.write_all(REQUEST).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the connection ended in the middle of an answer");
            }
            let head = self.read.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD);
            if head.is_some_and(|head| self.read.len() == head + END_OF_HEAD.len() + BODY.len()) {
                break;
            }
        }
        if !self.read.starts_with(b"HTTP/1.1 200 ") || !self.read.ends_with(BODY) {
            bail!("answered with {}", String::from_utf8_lossy(&self.read));
        }
        Ok(())
    }
}

/// Answers every request, until it is dropped.
pub(super) async fn answer(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            // The end of a connection is no failure.
            let _ = answer_all(stream).await;
        });
    }
}

async fn answer_all(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(1024);
    while stream.read_buf(&mut read).await? > 0 {
        if read.ends_with(END_OF_HEAD) {
            read.clear();
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}
