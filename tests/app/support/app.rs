//! An application on a port of its own, with a database and folders of its own, gone when the test is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use actix_web::web::Data;
use sample_app::app::App;
use sample_app::clock::Clock;
use sample_app::config::Config;
use sample_app::server::{self, Running};
use tempfile::TempDir;

use super::browser::Browser;
use super::database::TestDatabase;
use super::nginx::Nginx;
use super::program::PATIENCE;

/// The public address of the applications under test; browsers here know where it really is.
pub const APP_URL: &str = "http://sample.test";

/// See the module.
pub struct TestApp {
    pub app: Data<App>,
    pub address: SocketAddr,
    pub folder: TempDir,
    pub database: TestDatabase,
    /// What stands in front, if anything does; then `address` is its.
    pub nginx: Option<Nginx>,
    running: Option<Running>,
}

impl TestApp {
    /// With the settings of development.
    pub async fn start() -> TestApp {
        TestApp::start_with(&[]).await
    }

    /// With other settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        let app = app_on(&folder, &database, settings);
        app.db.migrate().await.unwrap();
        TestApp::serve(app, folder, database).await
    }

    /// On a Unix socket behind nginx, as on EC2.
    pub async fn start_behind_nginx() -> TestApp {
        let sockets = tempfile::tempdir().unwrap();
        let socket = sockets.path().join("app.sock");
        let listen = format!("unix:{}", socket.display());
        let mut app = TestApp::start_with(&[("LISTEN", &listen), ("TRUSTED_PROXIES", "1")]).await;
        let nginx = Nginx::start(sockets);
        app.address = nginx.server.address;
        app.nginx = Some(nginx);
        app
    }

    /// One directly and one behind nginx, for what has to be the same both ways.
    pub async fn start_both_ways() -> [TestApp; 2] {
        [TestApp::start().await, TestApp::start_behind_nginx().await]
    }

    /// With a database that has no tables yet, or, by its DATABASE_URL, is not there at all.
    pub async fn start_unmigrated(settings: &[(&str, &str)]) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        TestApp::start_on(folder, database, settings).await
    }

    /// With a folder and a database that are there already.
    pub async fn start_on(folder: TempDir, database: TestDatabase, settings: &[(&str, &str)]) -> TestApp {
        let app = app_on(&folder, &database, settings);
        TestApp::serve(app, folder, database).await
    }

    async fn serve(app: App, folder: TempDir, database: TestDatabase) -> TestApp {
        let running = server::start(app).await.unwrap();
        TestApp {
            app: running.app.clone(),
            // None on a Unix socket.
            address: running.addresses.first().copied().unwrap_or(([127, 0, 0, 1], 0).into()),
            folder,
            database,
            nginx: None,
            running: Some(running),
        }
    }

    /// A browser that was never here.
    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// Lets time pass: for sessions, links, posts, and the worker that delivers mails.
    pub fn pass(&self, time: chrono::TimeDelta) {
        self.app.clock.advance(time);
    }

    /// Waits until the database has no connection in use; gives how many there can be.
    pub async fn pool_is_whole(&self) -> usize {
        let start = std::time::Instant::now();
        loop {
            match self.app.db.in_use() {
                (0, most) => return most,
                (used, _) => assert!(start.elapsed() < PATIENCE, "{used} connections never came back"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Where Prometheus asks.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.running.as_ref()?.metrics_address
    }

    /// Shuts down, and leaves what stands in front.
    pub async fn leave_nginx(mut self) -> Nginx {
        let nginx = self.nginx.take().unwrap();
        self.stop().await;
        nginx
    }

    /// Shuts down as SIGTERM does.
    pub async fn stop(mut self) {
        self.running.take().unwrap().stop(std::future::ready(())).await;
    }
}

/// Not started yet, and its database not migrated.
pub fn app_on(folder: &TempDir, database: &TestDatabase, settings: &[(&str, &str)]) -> App {
    let mut vars: BTreeMap<String, String> = [
        ("LISTEN", "127.0.0.1:0"),
        ("APP_URL", APP_URL),
        ("DATABASE_URL", database.url.as_str()),
        ("DATA_DIR", folder.path().to_str().unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    vars.extend(settings.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    let config = Config::load(&vars).unwrap_or_else(|errors| panic!("{errors}"));
    App::new(config, Clock::default()).unwrap()
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.database.drop_soon();
    }
}
