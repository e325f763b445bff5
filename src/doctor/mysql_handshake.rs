//! The MySQL handshake up to the start of TLS, because sqlx does not expose the server's certificate. (dev.mysql.com,
//! "Protocol::HandshakeV10" and "Protocol::SSLRequest")

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_PACKET: usize = 4096;
const PROTOCOL_41: u32 = 0x0200;
const SSL: u32 = 0x0800;
const SECURE_CONNECTION: u32 = 0x8000;

/// A server's first packet.
pub(super) enum Greeting {
    /// A handshake packet.
    Hello { version: String, offers_tls: bool },
    /// Connection refused, for example because of too many connections or a blocked host.
    Error(String),
}

pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Greeting> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    if length == 0 || length > MAX_PACKET || head[3] != 0 {
        return Err(not_mysql());
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    parse(&packet).ok_or_else(not_mysql)
}

/// Sends an SSLRequest packet; the TLS handshake follows.
pub(super) async fn ask_for_tls(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = vec![32, 0, 0, 1];
    request.extend((PROTOCOL_41 | SSL | SECURE_CONNECTION).to_le_bytes());
    request.extend((1_u32 << 24).to_le_bytes()); // maximum packet size
    request.push(45); // utf8mb4
    request.resize(4 + 32, 0);
    stream.write_all(&request).await
}

fn parse(packet: &[u8]) -> Option<Greeting> {
    match packet.split_first()? {
        (0xff, rest) => {
            let (number, text) = rest.split_first_chunk()?;
            let text = String::from_utf8_lossy(text);
            // Before capabilities are negotiated, the SQL state (#08004) is optional.
            let text = text.strip_prefix('#').and_then(|text| text.get(5..)).unwrap_or(&text);
            Some(Greeting::Error(format!("{} ({})", text, u16::from_le_bytes(*number))))
        }
        (10, rest) => {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (version, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
            // Thread id (4 bytes), salt (8 bytes), a zero byte; then the capability flags.
            let able = u16::from_le_bytes(*rest.get(13..)?.first_chunk()?);
            Some(Greeting::Hello {
                version: String::from_utf8_lossy(version).into_owned(),
                offers_tls: u32::from(able) & SSL != 0,
            })
        }
        _ => None,
    }
}

fn not_mysql() -> io::Error {
    io::Error::other("what answers here does not greet as MySQL does")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_say() {
        let mut packet = b"\x0a8.0.35\0\x01\0\0\0saltsalt\0".to_vec();
        packet.extend([0xff, 0xff]);
        let Some(Greeting::Hello { version, offers_tls }) = parse(&packet) else { panic!("no greeting") };
        assert_eq!((version.as_str(), offers_tls), ("8.0.35", true));
        let last = packet.len() - 1;
        packet[last] = 0xf7;
        assert!(matches!(parse(&packet), Some(Greeting::Hello { offers_tls: false, .. })));
        for length in 0..packet.len() {
            assert!(parse(&packet[..length]).is_none(), "{length} bytes");
        }
        for text in ["\u{6a}\u{4}Host is not allowed", "\u{10}\u{4}#08004Host is not allowed"] {
            let packet = [b"\xff", text.as_bytes()].concat();
            let Some(Greeting::Error(said)) = parse(&packet) else { panic!("no error") };
            assert!(said.starts_with("Host is not allowed (1"), "{said}");
        }
        assert!(parse(b"SSH-2.0-OpenSSH").is_none());
    }
}
