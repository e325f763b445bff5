//! Pools of Redis connections: one pool per thread, to a server or to a cluster.

use std::fmt::Display;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Hook, HookError, Metrics, Timeouts};
use deadpool_redis::Manager;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, TlsCertificates, Value,
};

use super::cluster::Clusters;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::thread_local_pool::{ThreadLocalPool, describe};

/// Timeout for connecting, including the DNS lookup and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout for a reply; normally one takes 0.5 ms. Visitors may have to wait for this timeout once. If it were shorter,
/// a brief load peak would open the breaker.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Connections are replaced at this age, to follow an endpoint that moves (failover, resized node).
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 60);

pub(super) enum Pool {
    Single(ThreadLocalPool<Manager>),
    Cluster(ThreadLocalPool<Clusters>),
}

/// A multiplexed connection.
#[derive(Clone)]
pub(super) enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Pool {
    /// Does not connect yet.
    pub(super) fn from_config(config: &Config, url: &str) -> Result<Pool> {
        let root_cert = match &config.redis_ca_file {
            Some(file) => {
                // For the clearer error message if this is not a PEM file.
                crate::tls::certificates(file).map_err(|error| error.about("REDIS_CA_FILE"))?;
                Some(std::fs::read(file).map_err(Error::internal)?)
            }
            None => None,
        };
        let authority =
            root_cert.map(|root_cert| TlsCertificates { client_tls: None, root_cert: Some(root_cert) });
        let server = url.into_connection_info().map_err(Error::internal)?;
        if config.redis_cluster {
            let clusters = Clusters::new(server, authority, CONNECT_TIMEOUT, RESPONSE_TIMEOUT)?;
            Ok(Pool::Cluster(ThreadLocalPool::new(move || build(clusters.clone()))?))
        } else {
            let server = match authority {
                Some(authority) => {
                    let client = Client::build_with_tls(server, authority).map_err(Error::internal)?;
                    client.get_connection_info().clone()
                }
                None => server,
            };
            let limits = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(Some(RESPONSE_TIMEOUT));
            Ok(Pool::Single(ThreadLocalPool::new(move || {
                let manager = Manager::new_with_config(server.clone(), limits.clone());
                build(manager.map_err(Error::internal)?)
            })?))
        }
    }

    /// A connection that has just answered a PING, or a new one.
    pub(super) async fn checked(&self) -> RedisResult<Link> {
        match self {
            Pool::Single(pools) => checked(pools).await.map(Link::Single),
            Pool::Cluster(pools) => checked(pools).await.map(Link::Cluster),
        }
    }

    /// Forgets all connections.
    pub(super) fn clear(&self) {
        match self {
            Pool::Single(pools) => pools.iter().for_each(|pool| drop(pool.retain(|_, _| false))),
            Pool::Cluster(pools) => pools.iter().for_each(|pool| drop(pool.retain(|_, _| false))),
        }
    }
}

async fn checked<M>(pools: &ThreadLocalPool<M>) -> RedisResult<M::Type>
where
    M: deadpool::managed::Manager<Error = RedisError>,
    M::Type: Clone,
{
    let failed = |error: &dyn Display| RedisError::from((ErrorKind::Io, "no connection", error.to_string()));
    let pool = pools.local().map_err(|error| failed(&error))?;
    let connection = pool.get().await.map_err(|error| failed(&describe(&error)))?;
    Ok((*connection).clone())
}

fn build<M>(manager: M) -> Result<deadpool::managed::Pool<M>>
where
    M: deadpool::managed::Manager<Error = RedisError> + 'static,
{
    let old = Hook::sync_fn(|_: &mut M::Type, metrics: &Metrics| match metrics.age() > MAX_LIFETIME {
        true => Err(HookError::message("old enough to be replaced")),
        false => Ok(()),
    });
    deadpool::managed::Pool::<M>::builder(manager)
        // Requests share one connection; the second one replaces it while it is being checked.
        .max_size(2)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(CONNECT_TIMEOUT),
            create: Some(CONNECT_TIMEOUT),
            recycle: Some(RESPONSE_TIMEOUT),
        })
        .pre_recycle(old)
        .build()
        .map_err(Error::internal)
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Link::Single(connection) => connection.req_packed_command(cmd),
            Link::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Link::Single(connection) => connection.req_packed_commands(cmd, offset, count),
            Link::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Link::Single(connection) => connection.get_db(),
            Link::Cluster(connection) => connection.get_db(),
        }
    }
}
