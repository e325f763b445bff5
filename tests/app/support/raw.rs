//! A client that sends arbitrary bytes, for requests that an HTTP client would not send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::PATIENCE;

/// Everything received until the server closed the connection or stopped sending.
#[derive(Debug)]
pub struct Exchange {
    pub bytes: Vec<u8>,
    pub closed: bool,
}

/// Sends the bytes and reads to the end of the connection.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Exchange {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close the connection before it has read everything.
    let _ = timeout(PATIENCE, stream.write_all(bytes)).await.unwrap();
    read_to_end(stream).await
}

pub async fn read_to_end(mut stream: TcpStream) -> Exchange {
    let mut bytes = Vec::new();
    let reading = timeout(PATIENCE, async {
        let mut buffer = [0; 8192];
        // A reset counts as a close.
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..read]);
        }
    });
    let closed = reading.await.is_ok();
    Exchange { bytes, closed }
}

impl Exchange {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The status of every response.
    pub fn statuses(&self) -> Vec<u16> {
        self.text()
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|answer| answer[..3].parse().expect("a status of three digits"))
            .collect()
    }

    /// Head and body of the only response.
    pub fn answer(&self) -> (String, String) {
        assert_eq!(self.statuses().len(), 1, "{}", self.text());
        let text = self.text();
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        (head.to_ascii_lowercase(), body.to_owned())
    }
}
