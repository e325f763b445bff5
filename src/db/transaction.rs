//! Transactions, and when one runs again.

use super::{Conn, Db};
use crate::error::Result;

impl Db {
    /// Runs `work` in one transaction and rolls back if it fails. After a lock conflict, or on a connection whose
    /// server takes no writes, all of `work` runs again (error/failure.rs), so `work` must have no effects outside the
    /// database.
    pub async fn transaction<T>(&self, work: impl AsyncFn(&mut Conn) -> Result<T>) -> Result<T> {
        let mut attempts = 0;
        loop {
            let mut conn = self.conn().await?;
            let done = match conn.begin().await {
                Ok(()) => work(&mut conn).await,
                Err(error) => Err(error),
            };
            let done = match done {
                Ok(value) => conn.commit().await.map(|()| value),
                Err(error) => {
                    // A connection that cannot roll back is closed on drop, and the server then rolls back.
                    let _ = conn.rollback().await;
                    Err(error)
                }
            };
            attempts += 1;
            match done {
                Err(error) if error.failure().is_tried_again_after(attempts) => {
                    tokio::time::sleep(error.failure().backoff(attempts)).await;
                }
                done => return done,
            }
        }
    }
}
