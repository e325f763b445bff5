//! A bad network: stands between the application and a service, can freeze as a stopped machine does, and lead to
//! another server from some moment on, as an end point does after a fail-over.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// See the module.
pub struct Proxy {
    pub address: SocketAddr,
    frozen: watch::Sender<bool>,
    target: Arc<Mutex<String>>,
}

impl Proxy {
    /// Forwards to this address, on a runtime of its own.
    pub fn to(target: String) -> Proxy {
        let (frozen, state) = watch::channel(false);
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
                    tokio::spawn(join(near, to, state.clone()));
                }
            });
        });
        Proxy { address: told.recv().unwrap(), frozen, target }
    }

    /// New connections lead there; those that stand stay where they are.
    pub fn lead_to(&self, target: String) {
        *self.target.lock().unwrap() = target;
    }

    /// From now on connections are taken, and nothing is forwarded, in either direction.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Goes on where it stopped.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

async fn join(near: TcpStream, target: String, mut state: watch::Receiver<bool>) {
    if state.wait_for(|frozen| !frozen).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = forward(near_in, far_out, state.clone()) => {}
        () = forward(far_in, near_out, state) => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
