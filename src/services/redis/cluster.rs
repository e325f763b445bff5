//! Connections to a Redis cluster (ElastiCache: cluster mode enabled). deadpool-redis has a manager for them too, but it
//! takes neither time-outs nor an authority.

use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{ConnectionInfo, RedisError, RedisResult, TlsCertificates};

use crate::error::{Error, Result};

/// Makes connections; each leads to all nodes.
#[derive(Clone)]
pub(super) struct Clusters(ClusterClient);

impl Clusters {
    pub(super) fn new(
        node: ConnectionInfo,
        authority: Option<TlsCertificates>,
        connect: Duration,
        answer: Duration,
    ) -> Result<Clusters> {
        let mut builder = ClusterClientBuilder::new([node])
            .connection_timeout(connect)
            .response_timeout(answer)
            // For a slot that moves; what takes longer is the breaker's business.
            .retries(2);
        if let Some(authority) = authority {
            builder = builder.certs(authority);
        }
        Ok(Clusters(builder.build().map_err(Error::internal)?))
    }
}

impl Manager for Clusters {
    type Type = ClusterConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<ClusterConnection> {
        self.0.get_async_connection().await
    }

    async fn recycle(&self, connection: &mut ClusterConnection, _: &Metrics) -> RecycleResult<RedisError> {
        Ok(redis::cmd("PING").query_async(connection).await?)
    }
}
