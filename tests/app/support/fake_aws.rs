//! An AWS end point that answers what a test says, for what MiniStack does not do: refuse, fail, keep silent, and count.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request: its headers in lower case, and its body.
#[derive(Clone, Debug)]
pub struct Call {
    pub head: String,
    pub body: String,
}

pub struct FakeAws {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl FakeAws {
    /// Answers each call, given its number from 1, with a status and a JSON text.
    pub fn start(answer: impl Fn(usize, &Call) -> (u16, String) + Send + Sync + 'static) -> FakeAws {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (kept, answer) = (calls.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let call = read(&stream);
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(call.clone());
                        kept.len()
                    };
                    let (status, text) = answer(number, &call);
                    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", text.len());
                    let _ = stream.write_all(format!("{head}{text}").as_bytes());
                });
            }
        });
        FakeAws { address, calls }
    }

    /// Refuses every call with this code.
    pub fn refusing(status: u16, code: &'static str) -> FakeAws {
        FakeAws::start(move |_, _| {
            (status, format!(r#"{{"__type":"com.amazonaws#{code}","Message":"test"}}"#))
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Call {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    Call { head, body: String::from_utf8(body).unwrap() }
}
