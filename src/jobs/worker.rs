//! The worker that runs the jobs of the table `jobs`.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Wakeup;
use super::job::{Job, JobKind};
use super::{cleanup, timeline_repair, user_deletion};
use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;
use crate::models::timeline;

/// Polling interval for jobs that another instance added, or that have become due.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a job runs before other due jobs get their turn. Much shorter than the lease.
const MAX_RUN_TIME: Duration = Duration::from_secs(5);

pub struct Worker {
    pub db: Db,
    pub clock: Clock,
    pub wakeup: Wakeup,
    pub picture_deletion_wakeup: Wakeup,
}

impl Worker {
    /// Runs due jobs until `stop` turns true, then returns the current job to the queue.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let round = async || {
            while !*stop.borrow() {
                let now = self.clock.now();
                let Some(mut job) = Job::take(&mut self.db.conn().await?, now).await? else { break };
                if let Err(error) = self.work(&mut job, &stop).await {
                    let (kind, subject_id) = (job.kind, job.subject_id);
                    tracing::warn!(?kind, subject_id, %error, "a job failed; trying again later");
                    job.postpone(&mut self.db.conn().await?, self.clock.now()).await?;
                }
            }
            Ok(())
        };
        super::run("jobs", INTERVAL, &self.wakeup, stop.clone(), round).await;
    }

    /// Runs steps until the job is done, its time slice ends or the worker has to stop.
    async fn work(&self, job: &mut Job, stop: &watch::Receiver<bool>) -> Result<()> {
        let start = Instant::now();
        while !*stop.borrow() && start.elapsed() < MAX_RUN_TIME {
            if !self.step(job).await? {
                return Ok(());
            }
        }
        job.continue_at(&mut self.db.conn().await?, self.clock.now()).await
    }

    /// Runs one bounded step of the job. `false` if nothing is left for now.
    async fn step(&self, job: &mut Job) -> Result<bool> {
        let (db, now) = (&self.db, self.clock.now());
        match job.kind {
            Some(JobKind::UserDeletion) => {
                let more = user_deletion::step(db, job.subject_id, now).await?;
                if !more {
                    self.picture_deletion_wakeup.wake();
                }
                Ok(more)
            }
            Some(JobKind::FanoutOnRead) => {
                let next = timeline::fan_out_on_read(db, job.subject_id, job.position).await?;
                job.advance(&mut db.conn().await?, next).await
            }
            Some(JobKind::TimelineRepair) => {
                let next = timeline_repair::step(db, job.position).await?;
                job.advance(&mut db.conn().await?, next).await
            }
            Some(JobKind::Cleanup) => {
                let more = cleanup::step(db, now).await?;
                if !more {
                    job.continue_at(&mut db.conn().await?, now + cleanup::INTERVAL).await?;
                }
                Ok(more)
            }
            None => {
                job.postpone(&mut db.conn().await?, now).await?;
                Ok(false)
            }
        }
    }
}
