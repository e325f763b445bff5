//! The password of the database changes while people visit: the secret that holds it is read again when a sign-in is
//! refused, and nobody notices. `scripts/soak` sets TEST_ROTATIONS.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::database_server::is_mariadb;
use crate::support::database_sessions::Session;
use crate::support::ministack::MiniStack;
use crate::support::program::Serving;
use crate::support::wait::until;
use crate::support::{Browser, Program, env_number};

/// As many as the connections that two workers may have.
const VISITORS: usize = 8;

/// A secret is read at most this often (db/sign_in.rs).
const READ_INTERVAL: Duration = Duration::from_secs(5);

/// The program, signed in as a user whose name and password a secret holds, in the form of those that RDS manages.
struct Rotating {
    aws: MiniStack,
    program: Program,
    serving: Serving,
    user: String,
    secret: String,
    /// Host, port and schema, where the secret holds the whole URL.
    url: Option<String>,
}

/// In the form of the secrets that RDS manages, or as a URL.
fn secret_text(user: &str, password: &str, url: Option<&str>) -> String {
    match url {
        Some(place) => format!("mysql://{user}:{password}@{place}"),
        None => json!({ "username": user, "password": password }).to_string(),
    }
}

impl Rotating {
    /// With the account in members of the secret, or with the whole URL in it.
    async fn start(in_url: bool) -> Option<Rotating> {
        let program = Program::development().await;
        if !program.database.is_mysql_or_says("a file has no password") {
            return None;
        }
        let aws = MiniStack::start();
        let (address, user) = program.database.url.split('@').nth(1).unwrap().split_once('/').unwrap();
        let (host, port) = address.split_once(':').unwrap();
        let (host, port, user) = (host.to_owned(), port.to_owned(), user.to_owned());
        let create = format!("CREATE USER {user} IDENTIFIED BY 'first'; GRANT ALL ON {user}.* TO {user}");
        program.database.db_execute(&create).await;
        let url = in_url.then(|| format!("{host}:{port}/{user}"));
        let text = secret_text(&user, "first", url.as_deref());
        let secret = aws.create_secret("rds!db-1", &text).await;
        // The accounts of MySQL need TLS; without, connections are made in a fraction of the time.
        let tls = if is_mariadb(&program.database).await { "disabled" } else { "preferred" };
        let program = program.with_aws_at(&aws.url()).set("LIMITS", "off").set("DATABASE_URL", "");
        let program = program.set("DATABASE_SSL_MODE", tls);
        let program = match in_url {
            true => program.set("DATABASE_URL", &secret),
            false => program
                .set("RDS_HOSTNAME", &host)
                .set("RDS_PORT", &port)
                .set("RDS_DB_NAME", &user)
                .set("RDS_USERNAME", &format!("{secret}:username::"))
                .set("RDS_PASSWORD", &format!("{secret}:password::")),
        };
        program.succeed(&["seed"]);
        let serving = program.serve();
        Some(Rotating { aws, program, serving, user, secret, url })
    }

    async fn change_in_database(&self, password: &str) {
        let change = format!("ALTER USER {} IDENTIFIED BY '{password}'", self.user);
        self.program.database.db_execute(&change).await;
    }

    async fn change_in_secret(&self, password: &str, stage: &str) {
        let text = secret_text(&self.user, password, self.url.as_deref());
        self.aws.put_secret(&self.secret, &text, stage).await;
    }

    /// The open connections of the program, and none of the test's own.
    async fn connections(&self) -> Vec<Session> {
        let mut open = self.program.database.db_sessions().await;
        open.retain(|session| session.user == self.user);
        open
    }

    /// The id of the last connection that signed in, of those that are open.
    async fn newest_connection(&self) -> i64 {
        self.connections().await.iter().map(|session| session.id).max().unwrap_or(0)
    }

    /// Waits until a connection has signed in after this one.
    async fn signs_in_again(&self, visitors: &[Browser], newest: i64) {
        until("the new password is used", async || {
            visit(visitors, 3).await;
            self.newest_connection().await > newest
        })
        .await;
    }

    /// Ends all connections of the program, which notices that only of those that have been idle for a second.
    async fn cut_idle_connections(&self) {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        self.program.database.db_kill(&self.connections().await).await;
    }

    fn visitors(&mut self, number: usize) -> Vec<Browser> {
        (0..number).map(|_| self.serving.browser()).collect()
    }
}

/// Pages for all of these visitors at once, this often; each must be right.
async fn visit(visitors: &[Browser], pages: usize) {
    join_all(visitors.iter().map(async |browser| {
        let mut browser = browser.clone();
        for page in 0..pages {
            // Pages that need the database: others redirect who is not logged in.
            let path = ["/users/1", "/users/2", "/users/3?page=2"][page % 3];
            let answer = browser.get(path).await;
            if answer.status != 200 {
                let why = browser.get("/stack").await.all(".board-services p.error");
                panic!("{path}: {}, {why:?}", answer.status);
            }
        }
    }))
    .await;
}

#[actix_web::test]
async fn nobody_notices_a_rotation() {
    let Some(mut app) = Rotating::start(false).await else { return };
    let rounds = env_number("TEST_ROTATIONS").unwrap_or(2);
    let (few, many) = (app.visitors(2), app.visitors(VISITORS));
    let served = AtomicUsize::new(0);
    for round in 1..=rounds {
        if round > 1 {
            tokio::time::sleep(READ_INTERVAL).await;
        }
        app.cut_idle_connections().await;
        visit(&few, 1).await;
        let (newest, ended) = (app.newest_connection().await, AtomicBool::new(false));
        let load = async {
            while !ended.load(Ordering::SeqCst) {
                visit(&few, 3).await;
                served.fetch_add(6, Ordering::SeqCst);
            }
        };
        let rotation = async {
            // The steps of AWS. Between them, more visitors come than there are connections.
            let password = format!("round-{round}");
            app.change_in_secret(&password, "AWSPENDING").await;
            app.change_in_database(&password).await;
            visit(&many, 6).await;
            app.change_in_secret(&password, "AWSCURRENT").await;
            visit(&many, 3).await;
            ended.store(true, Ordering::SeqCst);
        };
        tokio::join!(load, rotation);
        app.signs_in_again(&many, newest).await;
    }
    println!("{rounds} rotations, {} pages beside them", served.load(Ordering::SeqCst));
}

#[actix_web::test]
async fn the_first_page_after_a_rotation_is_right() {
    for in_url in [false, true] {
        let Some(mut app) = Rotating::start(in_url).await else { return };
        let visitors = app.visitors(VISITORS);
        visit(&visitors, 1).await;
        app.change_in_database("second").await;
        app.change_in_secret("second", "AWSCURRENT").await;
        app.cut_idle_connections().await;
        visit(&visitors, 3).await;
    }
}

/// For a while, the database takes a password that the secret does not hold yet.
#[actix_web::test]
async fn while_sign_ins_are_refused_open_connections_serve_everybody() {
    let Some(mut app) = Rotating::start(false).await else { return };
    let visitors = app.visitors(VISITORS);
    // One after the other, so that each worker has a connection, and no worker all that it may have.
    for visitor in &visitors {
        visit(std::slice::from_ref(visitor), 1).await;
    }
    app.change_in_database("second").await;
    let newest = app.newest_connection().await;
    visit(&visitors, 6).await;
    assert_eq!(app.newest_connection().await, newest, "a sign-in succeeded with the old password");
    app.change_in_secret("second", "AWSCURRENT").await;
    app.signs_in_again(&visitors, newest).await;
}
