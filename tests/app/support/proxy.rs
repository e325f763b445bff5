//! A faulty network: a TCP proxy between the application and a service. It can freeze as a stopped machine does, be
//! slow, and switch to another server as an end point does at a fail-over.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    pub address: SocketAddr,
    frozen: watch::Sender<bool>,
    delay: watch::Sender<Duration>,
    target: Arc<Mutex<String>>,
}

impl Proxy {
    /// Forwards to this address, on its own runtime.
    pub fn to(target: String) -> Proxy {
        let (frozen, state) = watch::channel(false);
        let (delay, delays) = watch::channel(Duration::ZERO);
        let (tell, told) = std::sync::mpsc::channel();
        let target = Arc::new(Mutex::new(target));
        let leads_to = target.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    let to = leads_to.lock().unwrap().clone();
                    tokio::spawn(join(near, to, state.clone(), delays.clone()));
                }
            });
        });
        Proxy { address: told.recv().unwrap(), frozen, delay, target }
    }

    /// Directs new connections to another server; existing ones stay.
    pub fn lead_to(&self, target: String) {
        *self.target.lock().unwrap() = target;
    }

    /// Delays each response by this time, on each connection by itself.
    pub fn slow_down(&self, by: Duration) {
        self.delay.send_replace(by);
    }

    /// Accepts connections but forwards nothing in either direction.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Continues to forward.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

async fn join(
    near: TcpStream,
    target: String,
    mut state: watch::Receiver<bool>,
    delay: watch::Receiver<Duration>,
) {
    if state.wait_for(|frozen| !frozen).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = forward(near_in, far_out, state.clone(), None) => {}
        () = forward(far_in, near_out, state, Some(delay)) => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<bool>,
    delay: Option<watch::Receiver<Duration>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let by = delay.as_ref().map_or(Duration::ZERO, |delay| *delay.borrow());
        if !by.is_zero() {
            tokio::time::sleep(by).await;
        }
        if state.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
