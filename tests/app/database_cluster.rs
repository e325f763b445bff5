//! Clusters in which every node takes writes (docs/clusters.md): Galera in the round on MariaDB, Group Replication in the
//! one on MySQL. Two instances of the application write to different nodes. `scripts/soak` sets TEST_CLUSTER_ROUNDS.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use sample_app::models::user::User;
use tokio::join;

use crate::migrations::open;
use crate::support::people::Person;
use crate::support::wait::until;
use crate::support::{
    Browser, DatabaseCluster, Ledger, Proxy, Server, TestApp, TestDatabase, database, env_number, redis,
};

/// Two instances, each with an end point of its own that leads to a node.
struct Instances {
    cluster: DatabaseCluster,
    end_points: [Proxy; 2],
    apps: [TestApp; 2],
    people: Vec<Person>,
    /// As the administrator of the first node sees it.
    database: TestDatabase,
    _redis: Server,
}

const SCHEMA: &str = "app";

impl Instances {
    async fn start(cluster: DatabaseCluster) -> Instances {
        let redis = redis::start();
        let end_points = [0, 1].map(|node| Proxy::to(cluster.nodes[node].address()));
        let [one, two] = end_points
            .each_ref()
            .map(|end_point| DatabaseCluster::url(&end_point.address.to_string(), SCHEMA));
        let settings = |url| {
            [
                ("DATABASE_URL", url),
                ("REDIS_URL", redis::url(&redis)),
                ("LIMITS", "off".to_owned()),
                ("SECRET_KEY_BASE", "0123456789abcdef".repeat(4)),
            ]
        };
        let start = async |url| {
            let settings = settings(url);
            let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
            TestApp::start_unmigrated(&settings).await
        };
        let apps = [start(one).await, start(two).await];
        let people = apps[0].db_people(4).await;
        let database = TestDatabase::on_own_server(&format!("{}/{SCHEMA}", cluster.nodes[0].url));
        Instances { cluster, end_points, apps, people, database, _redis: redis }
    }

    /// The same person's browsers, one on each instance.
    async fn browsers(&self, person: &Person) -> [Browser; 2] {
        let here = self.apps[0].logged_in(person).await;
        let mut there = here.clone();
        there.move_to(self.apps[1].address);
        [here, there]
    }
}

#[actix_web::test]
async fn two_instances_write_to_two_nodes_of_a_cluster() {
    let Some(cluster) = DatabaseCluster::start().await else { return };
    let rounds = env_number("TEST_CLUSTER_ROUNDS").unwrap_or(1);
    migrations_at_once_on_two_nodes(&cluster, rounds).await;
    let instances = Instances::start(cluster).await;
    everybody_reads_what_they_wrote_on_the_other_node(&instances, 25 * rounds).await;
    conflicts_are_invisible_and_counts_exact(&instances, 10 * rounds).await;
    two_admins_at_once_leave_one(&instances, 5 * rounds).await;
    a_killed_node_loses_nothing(&instances).await;
    a_node_without_quorum_is_down(&instances).await;
}

/// GET_LOCK holds on one node only.
async fn migrations_at_once_on_two_nodes(cluster: &DatabaseCluster, rounds: usize) {
    for round in 0..rounds {
        let schema = if round == 0 { SCHEMA.to_owned() } else { format!("{SCHEMA}_{round}") };
        cluster.nodes[0].db_execute(&format!("CREATE DATABASE {schema}")).await;
        // Group Replication has committed it then, and applies it on the other nodes a moment later.
        let exists =
            format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{schema}'");
        cluster.nodes[1].db_until(&exists, 1).await;
        let [one, two] =
            [0, 1].map(|node| open(&DatabaseCluster::url(&cluster.nodes[node].address(), &schema)));
        let migrated = join!(one.migrate(), two.migrate());
        assert!(migrated.0.is_ok() && migrated.1.is_ok(), "{migrated:?}");
        for db in [one, two] {
            assert_eq!(db.pending_migrations().await.unwrap(), 0);
            assert!(db.cluster().await.unwrap().is_some_and(|cluster| cluster.reads_are_current));
        }
        let done = format!("SELECT COUNT(*) FROM {schema}._sqlx_migrations WHERE success");
        assert_eq!(cluster.nodes[2].db_number(&done).await, database::migrations() as i64);
    }
}

async fn everybody_reads_what_they_wrote_on_the_other_node(instances: &Instances, rounds: usize) {
    let [mut here, mut there] = instances.browsers(&instances.people[0]).await;
    let profile = format!("/users/{}", instances.people[0].id);
    for n in 0..rounds {
        let text = format!("post {n}");
        here.post("/microposts", &[("micropost[content]", &text)]).await.assert_redirect("/");
        assert!(there.get("/").await.text().contains(&text), "{text} is missing");
        let name = format!("Name {n}");
        let renamed = here.patch(&profile, &rename(&instances.people[0], &name)).await;
        assert_eq!(renamed.status, 303);
        assert!(there.get(&profile).await.text().contains(&name), "{name} is missing");
    }
}

/// The same rows change on both nodes at once: posts of one author, who is renamed, followed and unfollowed meanwhile.
async fn conflicts_are_invisible_and_counts_exact(instances: &Instances, rounds: usize) {
    let (star, fan) = (&instances.people[0], &instances.people[1]);
    let [star_here, star_there] = instances.browsers(star).await;
    let [fan_here, fan_there] = instances.browsers(fan).await;
    let profile = format!("/users/{}", star.id);
    let (id, conflicts) = (star.id.to_string(), conflicts(instances).await);
    for n in 0..rounds {
        let work = [&star_here, &star_there].map(|browser| {
            let (mut browser, profile) = (browser.clone(), &profile);
            async move {
                let post =
                    browser.post("/microposts", &[("micropost[content]", &format!("again {n}"))]).await;
                let name = browser.patch(profile, &rename(star, &format!("Star {n}"))).await;
                [post.status, name.status]
            }
        });
        let follows = [&fan_here, &fan_there].map(|browser| {
            let (mut browser, id) = (browser.clone(), &id);
            async move {
                let followed = browser.post("/relationships", &[("followed_id", id)]).await.status;
                let unfollow = browser.get(&format!("/users/{id}")).await;
                let again = unfollow.attrs("form[action^='/relationships/']", "action");
                // The other instance may have unfollowed already.
                let ended = match again.first() {
                    Some(path) => browser.delete(path).await.status,
                    None => 303,
                };
                assert!([303, 404].contains(&ended), "unfollow: {ended}");
                [followed, unfollow.status]
            }
        });
        let (worked, followed) = join!(join_all(work), join_all(follows));
        assert_eq!(worked, [[303, 303]; 2]);
        assert_eq!(followed, [[303, 200]; 2]);
    }
    instances.database.db_assert_counts().await;
    let conflicts = self::conflicts(instances).await - conflicts;
    println!("{conflicts} conflicts between the nodes in {rounds} rounds, none seen by a visitor");
}

/// Certification failures so far, on both nodes.
async fn conflicts(instances: &Instances) -> i64 {
    let sql = match instances.cluster.is_galera {
        true => {
            "SELECT CAST(SUM(variable_value) AS SIGNED) FROM information_schema.global_status \
             WHERE variable_name IN ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')"
        }
        false => {
            "SELECT CAST(MAX(count_conflicts_detected) AS SIGNED) \
             FROM performance_schema.replication_group_member_stats"
        }
    };
    instances.cluster.nodes[0].db_number(sql).await + instances.cluster.nodes[1].db_number(sql).await
}

/// Row locks hold on one node only.
async fn two_admins_at_once_leave_one(instances: &Instances, rounds: usize) {
    let (one, two) = (&instances.people[2], &instances.people[3]);
    let grant = async |app: usize, person: &Person, admin| {
        let app = &instances.apps[app].app;
        app.db.transaction(async |db| User::set_admin(db, person.id, admin, app.clock.now()).await).await
    };
    for _ in 0..rounds {
        assert!(grant(0, one, true).await.unwrap() && grant(0, two, true).await.unwrap());
        let revoked = join!(grant(0, one, false), grant(1, two, false));
        let admins = instances.database.db_number("SELECT COUNT(*) FROM users WHERE admin").await;
        assert_eq!(admins, 1, "{revoked:?}");
    }
}

/// The second instance's node is killed; its end point leads to the third node then.
async fn a_killed_node_loses_nothing(instances: &Instances) {
    let ledger = Arc::new(Ledger::default());
    let mut visitors = Vec::new();
    for (app, people) in instances.apps.iter().zip(instances.people.chunks(2)) {
        let emails: Vec<_> = people.iter().map(|person| person.email.clone()).collect();
        visitors.push(ledger.visit(&app.browser(), &emails).await);
    }
    ledger.posts.more(40).await;
    instances.cluster.nodes[1].signal("KILL");
    instances.end_points[1].lead_to(instances.cluster.nodes[2].address());
    let start = Instant::now();
    ledger.posts.more(40).await;
    println!("40 posts after the kill took {:?}", start.elapsed());
    println!("{}", ledger.close(visitors, &instances.database).await);
    for app in &instances.apps {
        app.pool_is_whole().await;
        assert!(is_up(app).await);
    }
}

/// It answers a ping, but neither reads nor writes a table.
async fn a_node_without_quorum_is_down(instances: &Instances) {
    let app = &instances.apps[0];
    let mut browser = app.logged_in(&instances.people[0]).await;
    instances.cluster.nodes[2].signal("KILL");
    until("the survivor is down", async || !is_up(app).await).await;
    let profile = format!("/users/{}", instances.people[1].id);
    until("reads are refused", async || app.browser().get(&profile).await.status == 503).await;
    let refused = browser.post("/microposts", &[("micropost[content]", "to nobody")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert!(
        app.browser().get("/readyz").await.text().contains(r#""ready":true"#),
        "for pages without a database"
    );

    instances.cluster.bootstrap(0).await;
    until("the survivor is up", async || is_up(app).await).await;
    let posted = browser.post("/microposts", &[("micropost[content]", "to everybody")]).await;
    assert_eq!(posted.status, 303);
    let mut reader = app.browser();
    let page = reader.get(&format!("/users/{}", instances.people[0].id)).await.text();
    assert!(page.contains("to everybody") && !page.contains("to nobody"));
    app.pool_is_whole().await;
}

fn rename<'a>(person: &'a Person, name: &'a str) -> [(&'a str, &'a str); 2] {
    [("user[name]", name), ("user[email]", &person.email)]
}

async fn is_up(app: &TestApp) -> bool {
    app.browser().get("/readyz").await.text().contains(r#""database":"up""#)
}
