//! An application on its own port, with its own database and folders, all removed when the test ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use actix_web::web::Data;
use sample_app::app::App;
use sample_app::clock::Clock;
use sample_app::config::Config;
use sample_app::models::values::password::Passwords;
use sample_app::server::{self, Running};
use tempfile::TempDir;

use super::browser::Browser;
use super::database::TestDatabase;
use super::nginx::Nginx;
use super::wait::wait_for;

/// The public address of the applications under test. Test browsers map it to the real socket address.
pub const APP_URL: &str = "http://sample.test";

pub struct TestApp {
    pub app: Data<App>,
    pub address: SocketAddr,
    pub folder: TempDir,
    pub database: TestDatabase,
    /// The proxy in front, if any; then `address` is the proxy's.
    pub nginx: Option<Nginx>,
    running: Option<Running>,
}

impl TestApp {
    /// Starts with the settings of development.
    pub async fn start() -> TestApp {
        TestApp::start_with(&[]).await
    }

    /// Starts with these settings added.
    pub async fn start_with(settings: &[(&str, &str)]) -> TestApp {
        TestApp::start_changed(settings, |_| ()).await
    }

    /// Runs a test on an application with prepared statements, and on one with DATABASE_PROXY.
    pub async fn with_and_without_proxy(test: impl AsyncFn(TestApp)) {
        let app = TestApp::start().await;
        let is_mysql = app.database.is_mysql();
        test(app).await;
        if is_mysql {
            test(TestApp::start_with(&[("DATABASE_PROXY", "true")]).await).await;
        }
    }

    /// Starts with these settings added and with what a password costs in the program.
    pub async fn start_with_full_hashing(settings: &[(&str, &str)]) -> TestApp {
        TestApp::start_changed(settings, |app| app.passwords = Passwords::new().unwrap()).await
    }

    async fn start_changed(settings: &[(&str, &str)], change: impl FnOnce(&mut App)) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        let mut app = app_on(&folder, &database, settings);
        change(&mut app);
        app.db.migrate().await.unwrap();
        TestApp::serve(app, folder, database).await
    }

    /// Starts on a Unix socket behind nginx, as on EC2.
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

    /// Starts one directly and one behind nginx, for behavior that must be the same both ways.
    pub async fn start_both_ways() -> [TestApp; 2] {
        [TestApp::start().await, TestApp::start_behind_nginx().await]
    }

    /// Starts with a database that has no tables yet or, with another DATABASE_URL, does not exist.
    pub async fn start_unmigrated(settings: &[(&str, &str)]) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        TestApp::start_on(folder, database, settings).await
    }

    /// Starts on an existing folder and database.
    pub async fn start_on(folder: TempDir, database: TestDatabase, settings: &[(&str, &str)]) -> TestApp {
        let app = app_on(&folder, &database, settings);
        TestApp::serve(app, folder, database).await
    }

    async fn serve(app: App, folder: TempDir, database: TestDatabase) -> TestApp {
        let running = server::start(app).await.unwrap();
        TestApp {
            app: running.app.clone(),
            // Empty on a Unix socket.
            address: running.addresses.first().copied().unwrap_or(([127, 0, 0, 1], 0).into()),
            folder,
            database,
            nginx: None,
            running: Some(running),
        }
    }

    /// A new browser without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    /// Advances the application's clock, for sessions, links and posts, and wakes its workers.
    pub fn pass(&self, time: chrono::TimeDelta) {
        let app = &self.app;
        app.clock.advance(time);
        for wakeup in
            [&app.mail_wakeup, &app.mail_request_wakeup, &app.jobs_wakeup, &app.picture_deletion_wakeup]
        {
            wakeup.wake();
        }
    }

    /// Waits until no database connection is in use. Returns the maximum number of connections.
    pub async fn pool_is_whole(&self) -> usize {
        wait_for(async || match self.app.db.in_use() {
            (0, most) => Ok(most),
            (used, _) => Err(format!("{used} connections never came back")),
        })
        .await
    }

    /// Address of the Prometheus endpoint.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.running.as_ref()?.metrics_address
    }

    /// Shuts down the application and leaves nginx running.
    pub async fn leave_nginx(mut self) -> Nginx {
        let nginx = self.nginx.take().unwrap();
        self.stop().await;
        nginx
    }

    /// Shuts down as after SIGTERM.
    pub async fn stop(mut self) {
        self.running.take().unwrap().stop(std::future::ready(())).await;
    }
}

/// Builds the application without starting it or migrating its database.
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
    let mut app = App::new(config, Clock::default()).unwrap();
    // As in the tests of the Rails original, hashing has the least cost, so that a log-in takes no time.
    app.passwords = Passwords::with_cost(8, 1).unwrap();
    app
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.database.drop_soon();
    }
}
