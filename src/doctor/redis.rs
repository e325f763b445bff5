//! The check of sessions and cache: Redis or process memory.

use std::time::Instant;

use url::Url;

use super::network::Server;
use super::{Check, Failed, Problem, milliseconds};
use crate::config::{Config, Redis as Setting};
use crate::error::{Error, Result};
use crate::models::values::token::random_hex;
use crate::services::redis::{PREFIX, Redis};
use crate::tls;

const SETTING: &str = "REDIS_URL (or REDIS_HOST, AWS_INTRO_SAMPLE_REDIS_ADDRESS)";

pub(super) async fn run(config: &Config) -> Check {
    let address = config.redis.to_string();
    if config.redis == Setting::Memory {
        let mut check = Check::begin("sessions", "in the process", &[]);
        let look = async {
            Ok(((), "in the process: not shared with another instance, gone with this one".to_owned()))
        };
        let done = check.step("place", look).await;
        return check.end(done);
    }
    let has_tls = address.starts_with("rediss:");
    let steps = ["name", "port", "TLS", "sign-in", "round trip"];
    let steps: Vec<_> = steps.into_iter().filter(|step| has_tls || *step != "TLS").collect();
    let mut check = Check::begin("sessions", &address, &steps);
    let done = on_server(&mut check, config, &address, has_tls).await;
    check.end(done)
}

async fn on_server(check: &mut Check, config: &Config, address: &str, has_tls: bool) -> Result<(), Failed> {
    let url = Url::parse(address).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']);
    let server = Server {
        host,
        port: url.as_ref().and_then(Url::port).unwrap_or(6379),
        what: "the ElastiCache cluster",
        unreachable_advice: None,
        setting: SETTING,
        ca_advice: "set REDIS_CA_FILE to the PEM file of the authority that signed it; ElastiCache needs none, because \
            every system knows Amazon's, so remove the setting there",
        no_tls_advice: "encryption in transit is off at this server: set redis:// instead of rediss://, or better, \
            switch it on there",
    };
    let stream = server.reach(check).await?;
    if has_tls {
        server.begin_tls(check, stream, tls::roots(config.redis_ca_file.as_deref())).await?;
    }
    let sign_in = async {
        let start = Instant::now();
        let signed_in = async {
            let Some(redis) = Redis::from_config(config)? else {
                return Err(Error::internal("there is no Redis"));
            };
            redis.ping().await.map(|()| redis)
        };
        let redis = signed_in.await.map_err(|error| refused(&error, has_tls))?;
        Ok((redis, format!("commands are taken ({})", milliseconds(start))))
    };
    let redis = check.step("sign-in", sign_in).await?;
    let trip = async {
        let start = Instant::now();
        set_get_delete(&redis).await.map_err(|error| refused(&error, has_tls))?;
        Ok(((), format!("SET, GET and DEL of a key ({})", milliseconds(start))))
    };
    check.step("round trip", trip).await
}

async fn set_get_delete(redis: &Redis) -> Result<()> {
    let (key, value) = (format!("{PREFIX}doctor:{}", random_hex::<8>()?), random_hex::<8>()?);
    let mut commands = redis::pipe();
    // The key expires after 10 s, should the connection break before DEL.
    commands.set_ex(&key, &value, 10).ignore().get(&key).del(&key);
    match redis.run::<(Option<String>, i64)>(&commands).await? {
        (Some(read), 1) if read == value => Ok(()),
        _ => Err(Error::unavailable("what was written is not what was read")),
    }
}

fn refused(error: &Error, has_tls: bool) -> Problem {
    let text = without_pipeline(&error.text());
    let told = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let advice = if told(&["NOAUTH"]) {
        "the server asks for a password: set rediss://:TOKEN@HOST, or rediss://USER:PASSWORD@HOST, in REDIS_URL"
    } else if told(&["WRONGPASS", "AuthenticationFailed", "uthentication failed", "invalid password"]) {
        "check user and password (the AUTH token) in REDIS_URL against ElastiCache: a user of a user group signs in by \
         user name, and its id has to be the same as its name; special characters have to be percent-encoded"
    } else if told(&["NOPERM", "permission"]) {
        "the user lacks rights: its access string in ElastiCache has to be on ~sample_app:* +@all, or wider"
    } else if told(&["READONLY", "ReadOnly"]) {
        "this is a replica: set the primary end point instead of the reader's"
    } else if told(&["Moved", "MOVED", "CrossSlot", "CROSSSLOT", "ClusterDown", "CLUSTERDOWN"]) {
        "cluster mode is on there: set REDIS_CLUSTER=true and the configuration end point"
    } else if told(&["cluster support disabled"]) {
        "cluster mode is off there: remove REDIS_CLUSTER"
    } else if told(&["OOM"]) {
        "its memory is full: take a larger node, or set maxmemory-policy to volatile-lru in the parameter group"
    } else if !has_tls && told(&["onnection", "timed out"]) {
        "if encryption in transit is on (serverless always has it), the address has to begin with rediss:// instead of \
         redis://; otherwise look how the server is doing"
    } else {
        "the way there was all right just now: look at the server's own log"
    };
    Problem::new(text, advice)
}

/// The first error of a pipeline, whose text is `Pipeline failure: [(Index 0, error: ..), ..]`.
fn without_pipeline(text: &str) -> String {
    let first = text.split_once("error: ").filter(|(before, _)| before.starts_with("Pipeline"));
    first.map_or(text, |(_, rest)| rest.split(")").next().unwrap_or(rest)).to_owned()
}
