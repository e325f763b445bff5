//! Lets code that handles a request notice that the client has disconnected.

use std::future::Future;

use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static CLIENT_GONE: CancellationToken;
}

/// Waits until the client of the current request has disconnected; never returns outside of a request.
pub async fn client_gone() {
    match CLIENT_GONE.try_with(CancellationToken::clone) {
        Ok(gone) => gone.cancelled().await,
        Err(_) => std::future::pending().await,
    }
}

/// Runs `work` for a request whose client has disconnected once `gone` is cancelled.
pub fn scope<T>(gone: CancellationToken, work: impl Future<Output = T>) -> impl Future<Output = T> {
    CLIENT_GONE.scope(gone, work)
}
