//! The check of the read replica: the steps of the database check, and whether the writer's commits arrive.

use std::time::{Duration, Instant};

use super::database::{server, sign_in};
use super::{Check, Failed, Problem, STEP_TIMEOUT, StepResult, milliseconds};
use crate::config::{Config, MySql};
use crate::db::{Db, Reader};

const HOST: &str = "DATABASE_READER_URL (or MYSQL_DATABASE_READER_HOST, RDS_READER_HOSTNAME)";
/// How long the reader may take to reach the writer's position. Less than the step's time-out.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(4);
/// Time-out of one wait statement. Less than 1 s, the time-out of a statement on a reader.
const WAIT_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) async fn run(config: &Config, mysql: &MySql) -> Check {
    let server = server(mysql, HOST);
    let address = format!("mysql://{}/{}", server.authority(), mysql.database);
    let steps = ["name", "port", "greeting", "TLS", "sign-in", "replication"];
    let mut check = Check::begin("reader", &address, &steps);
    let done = async {
        sign_in(&mut check, mysql, &server).await?;
        check
            .step_within(STEP_TIMEOUT, "replication", super::NO_RESPONSE_ADVICE, replication(config, mysql))
            .await
    };
    let done: Result<(), Failed> = done.await;
    check.end(done)
}

async fn replication(config: &Config, mysql: &MySql) -> StepResult<()> {
    let problem = |error: crate::error::Error| {
        Problem::new(error.text(), "repair the writer first, whose check is above")
    };
    let writer = Db::open(&config.database).map_err(problem)?;
    let reader = Reader::open(mysql, writer).map_err(problem)?;
    let position = reader.position().await.map_err(problem)?;
    if reader.is_the_writer().await.map_err(problem)? {
        return match reader.is_aurora() {
            true => Ok(((), "the cluster has no reader now: this is the writer".to_owned())),
            false => Err(Problem::new(
                "this is the writer itself, which gains nothing",
                "set the end point of a replica, or remove the setting",
            )),
        };
    }
    let Some(position) = position else {
        return match reader.is_aurora() {
            true => Ok((
                (),
                "by the cluster's storage; after a write its author reads from the writer for 2 s".to_owned(),
            )),
            false => Err(Problem::new(
                "the writer has no GTIDs, so nobody knows how far the reader is behind",
                "switch on automated backups, and for MySQL gtid-mode=ON and enforce_gtid_consistency=ON in the parameter group \
                 of both",
            )),
        };
    };
    let start = Instant::now();
    while start.elapsed() < CATCH_UP_TIMEOUT {
        let reached = reader.catch_up(Some(&position), WAIT_TIMEOUT).await;
        let problem =
            |error: crate::error::Error| Problem::new(error.text(), "look at the log of the reader");
        if reached.map_err(problem)? {
            return Ok(((), format!("it has what the writer has committed ({})", milliseconds(start))));
        }
    }
    Err(Problem::new(
        format!("after {} s it does not have what the writer had committed", CATCH_UP_TIMEOUT.as_secs()),
        "look whether it is a replica of this writer, whether its replication runs (SHOW REPLICA STATUS, on MariaDB SHOW \
         SLAVE STATUS), and how far it is behind (ReplicaLag in CloudWatch); meanwhile the writer serves its reads",
    ))
}
