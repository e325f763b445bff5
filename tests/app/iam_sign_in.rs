//! DATABASE_IAM_AUTH on a real server: a MariaDB that takes a password in clear text over TLS, as RDS does, and lets PAM
//! look at the token.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::database_server::is_mariadb;
use crate::support::doctor::{doctor, other_authority};
use crate::support::server::tool;
use crate::support::{DatabaseServer, Program};

const REGION: &str = "eu-central-1";

/// The server, and the folder in which PAM keeps the tokens that it saw.
struct Iam {
    server: DatabaseServer,
    program: Program,
    folder: TempDir,
}

impl Iam {
    async fn start() -> Option<Iam> {
        let program = Program::development().await;
        let database = &program.database;
        if !database.is_mysql_or_says("nobody signs in to a file") {
            return None;
        }
        if !is_mariadb(database).await {
            eprintln!("nothing to test on this MySQL, which has no PAM");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(tool("mariadb/auth_pam_v1.so"), place.join("auth_pam_v1.so")).unwrap();
        fs::create_dir(place.join("pam.d")).unwrap();
        let approve = file(place, "approve", 0o755, &approve(place));
        let service = format!(
            "auth required pam_exec.so quiet expose_authtok {}\naccount required pam_permit.so\n",
            approve.display()
        );
        file(place, "pam.d/token", 0o644, &service);
        let plugins = format!("--plugin-dir={}", place.display());
        let options = [plugins.as_str(), "--plugin-load-add=auth_pam_v1.so", "--pam-use-cleartext-plugin=ON"];
        let Some(server) = DatabaseServer::start_with_pam(&place.join("pam.d"), &options) else {
            eprintln!("NOT TESTED: nobody may mount here, so PAM cannot be configured for one server alone");
            return None;
        };
        server
            .db_execute(
                "CREATE DATABASE app; CREATE USER iam_app@'%' IDENTIFIED VIA pam USING 'token' REQUIRE SSL; \
                 GRANT ALL ON app.* TO iam_app@'%'",
            )
            .await;
        let ca = server.ca_file().display().to_string();
        let program = program
            .set("DATABASE_URL", &format!("mysql://iam_app@{}/app", server.address()))
            .set("DATABASE_SSL_MODE", "verify_identity")
            .set("DATABASE_CA_FILE", &ca)
            .set("DATABASE_IAM_AUTH", "true")
            .set("AWS_REGION", REGION)
            .set("AWS_EC2_METADATA_DISABLED", "true")
            .set("AWS_ACCESS_KEY_ID", "canary-access-key")
            .set("AWS_SECRET_ACCESS_KEY", "canary-secret-access-key");
        Some(Iam { server, program, folder })
    }

    fn tokens(&self) -> Vec<String> {
        let tokens = fs::read_to_string(self.folder.path().join("tokens")).unwrap_or_default();
        tokens.lines().map(str::to_owned).collect()
    }
}

/// Keeps each token and takes those with this key's id, unless a file says to refuse the next one.
fn approve(folder: &Path) -> String {
    format!(
        "#!/bin/sh\ncd {} && IFS= read -r token; printf '%s\\n' \"$token\" >> tokens\n\
         if [ -e refuse ]; then rm refuse; exit 1; fi\n\
         case $token in *\"?Action=connect&DBUser=$PAM_USER&\"*Credential=canary-access-key*) exit 0;; esac; exit 1\n",
        folder.display()
    )
}

fn file(folder: &Path, name: &str, mode: u32, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[actix_web::test]
async fn a_token_signs_in_over_verified_tls() {
    let Some(iam) = Iam::start().await else { return };
    iam.program.succeed(&["seed"]);
    let tokens = iam.tokens();
    let token = tokens.last().unwrap();
    assert!(
        token.starts_with(&format!("{}/?Action=connect&DBUser=iam_app&", iam.server.address())),
        "{token}"
    );
    assert!(token.contains(&format!("%2F{REGION}%2Frds-db%2Faws4_request")), "{token}");
    assert!(token.contains("&X-Amz-Expires=900&"), "{token}");
    doctor(&iam.program).assert_well(&["iam_app is in"]);

    let mut serving = iam.program.serve();
    let mut browser = serving.browser();
    assert_eq!(browser.get("/users/1").await.status, 200);
    // After a refused sign-in there is another one at once.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    iam.server.db_execute("KILL USER iam_app").await;
    file(iam.folder.path(), "refuse", 0o666, "");
    let before = iam.tokens().len();
    // Each sign-in by PAM starts a shell, which may take longer than a visitor waits.
    browser.get_until("/users/1", |page| page.status == 200).await;
    assert!(!iam.folder.path().join("refuse").exists() && iam.tokens().len() > before);
}

#[actix_web::test]
async fn no_token_goes_to_a_server_that_is_not_verified() {
    let Some(iam) = Iam::start().await else { return };
    let (_folder, other) = other_authority();
    let program = iam.program.set("DATABASE_CA_FILE", &other);
    let said = program.fail(&["migrate"]);
    assert!(said.contains("certificate"), "{said}");
    let program = program.set("DATABASE_SSL_MODE", "preferred");
    let said = program.fail(&["migrate"]);
    assert!(said.contains("DATABASE_SSL_MODE: is not verify_identity, and DATABASE_IAM_AUTH=true"), "{said}");
    let read = fs::read_to_string(iam.folder.path().join("tokens"));
    assert!(read.is_err(), "{read:?}");
}

#[actix_web::test]
async fn a_refused_token_and_missing_credentials_are_told() {
    let Some(iam) = Iam::start().await else { return };
    let program = iam.program.set("AWS_ACCESS_KEY_ID", "canary-other-key");
    doctor(&program).assert_ill(
        "database",
        "sign-in",
        &["(1045)", "let the role of this program do rds-db:connect as iam_app"],
    );
    let program = program.set("AWS_ACCESS_KEY_ID", "");
    doctor(&program).assert_ill(
        "database",
        "sign-in",
        &["no credentials of AWS", "give the instance a role"],
    );
}
