//! Connections to a Redis cluster (ElastiCache with cluster mode enabled). The manager of deadpool-redis accepts
//! neither timeouts nor a CA certificate.

use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{ConnectionInfo, RedisError, RedisResult, TlsCertificates};

use crate::error::{Error, Result};

/// Opens connections. Each connection covers all nodes.
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
            // For a slot that moves. Longer outages are handled by the circuit breaker.
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
