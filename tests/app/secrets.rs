//! Settings whose values stand in Secrets Manager and Parameter Store.

use std::sync::{Condvar, Mutex};
use std::time::Instant;

use serde_json::json;

use crate::support::fake_aws::FakeAws;
use crate::support::ministack::MiniStack;
use crate::support::wait::PATIENCE;
use crate::support::{Program, doctor::doctor};

const KEY: &str = "canary-fedcba98-fedcba98-fedcba98-fedcba98-fedcba98-fedcba98-fedcba98";

fn arn(service_and_region: &str, rest: &str) -> String {
    format!("arn:aws:{service_and_region}:000000000000:{rest}")
}

fn secret(rest: &str) -> String {
    arn("secretsmanager:eu-central-1", &format!("secret:{rest}"))
}

#[actix_web::test]
async fn every_command_reads_settings_that_are_arns() {
    let aws = MiniStack::start();
    let program = Program::production().await;
    let url = aws.create_secret("app/database", &program.database.url).await;
    let members = json!({ "key": KEY, "rate": 7, "limits": "on" }).to_string();
    let other = aws.create_secret("app/other", &members).await;
    aws.put_secret(&other, "{}", "AWSPENDING").await;
    let log = aws.create_parameter("/app/log", "info,sample_app=debug").await;
    let program = program
        .with_aws_at(&aws.url())
        .set("DATABASE_URL", &url)
        .set("SECRET_KEY_BASE", &format!("{other}:key:AWSCURRENT:"))
        .set("SMTP_RATE", &format!("{other}:rate::"))
        .set("LIMITS", &format!("{other}:limits"))
        .set("LOG", &log);
    program.succeed(&["migrate"]);
    program.succeed(&["seed", "--force"]);
    let said = doctor(&program);
    let places = [
        format!("settings from AWS DATABASE_URL: {url} "),
        format!("LIMITS: {other}:limits "),
        format!("LOG: {log} "),
        format!("SECRET_KEY_BASE: {other}:key:AWSCURRENT: "),
        format!("SMTP_RATE: {other}:rate:: "),
    ];
    said.assert_well(&places.each_ref().map(String::as_str));
    let mut serving = program.serve();
    assert_eq!(serving.browser().get("/users/1").await.status, 200);
    serving.stop();

    // The end point of one service goes before the one for all.
    let program = program
        .set("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &aws.url())
        .set("AWS_ENDPOINT_URL_SSM", &aws.url());
    program.succeed(&["migrate"]);
}

#[actix_web::test]
async fn what_cannot_be_read_is_an_error_of_its_setting_beside_all_others() {
    let aws = MiniStack::start();
    let text = aws.create_secret("app/text", "canary-text").await;
    let json =
        aws.create_secret("app/json", r#"{"list": ["canary-member"], "empty": "", "end": "canary\n"}"#).await;
    let program = Program::development()
        .await
        .with_aws_at(&aws.url())
        .set("SECRET_KEY_BASE", &text)
        .set("SMTP_URL", &secret("app/nothing"))
        .set("REDIS_URL", &arn("secretsmanager:us-east-1", "secret:app/text"))
        .set("IMAGES_URL", &format!("{text}::AWSPREVIOUS:"))
        .set("AVATARS", &arn("ssm:eu-central-1", "parameter/app/nothing"))
        .set("LOGSTASH_URL", &format!("{text}:key::"))
        .set("MAIL_FROM", &format!("{json}:key::"))
        .set("LOG", &format!("{json}:list::"))
        .set("LIMITS", &format!("{json}:empty::"))
        .set("SMTP_CA_FILE", &format!("{json}:end::"))
        .set("APP_URL", "arn:aws:secretsmanager:eu-central-1:1234:secret:app/text")
        .set("SMTP_RATE", "0");
    let said = program.fail(&["migrate"]);
    for line in [
        "SECRET_KEY_BASE: is shorter than 64 characters; ",
        "SMTP_URL: is the ARN of a secret that is not there (ResourceNotFoundException: ",
        "REDIS_URL: is the ARN of a secret that is not there (ResourceNotFoundException: ",
        "IMAGES_URL: is the ARN of a secret that is not there (ResourceNotFoundException: ",
        "AVATARS: is the ARN of a secret that is not there (ParameterNotFound: ",
        "LOGSTASH_URL: asks for the key key of a secret that is no JSON object; ",
        "MAIL_FROM: asks for the key key of a secret that has no such key; ",
        "LOG: asks for the key list of a secret, which is neither text nor a number",
        "LIMITS: is the ARN of a secret that holds no text; ",
        "SMTP_CA_FILE: has a blank at an end or a control character",
        "APP_URL: is not of the form arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
        "SMTP_RATE: is not a number from 1 to 65535",
    ] {
        assert!(said.contains(&format!("\n  {line}")), "{line} in {said}");
    }
    assert_eq!(said.lines().count(), 13, "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[actix_web::test]
async fn refusals_of_aws_say_what_to_do() {
    for (status, code, words) in [
        (
            400,
            "AccessDeniedException",
            "may not read (AccessDeniedException); allow secretsmanager:GetSecretValue",
        ),
        (400, "UnrecognizedClientException", "does not take the credentials of this program"),
        (403, "InvalidSignatureException", "look at the clock of this machine"),
        (400, "InvalidRequestException", "cannot be read (InvalidRequestException: test); "),
        (500, "InternalServiceError", "cannot be read (InternalServiceError: test); "),
        (400, "ThrottlingException", "cannot be read (ThrottlingException: test); "),
    ] {
        let aws = FakeAws::refusing(status, code);
        let program = Program::development().await.with_aws_at(&aws.url()).set("SMTP_URL", &secret("app"));
        let said = program.fail(&["migrate"]);
        assert!(said.contains("SMTP_URL: is the ARN of a secret") && said.contains(words), "{code}: {said}");
        let passes = status == 500 || code == "ThrottlingException";
        assert_eq!(aws.calls().len(), if passes { 3 } else { 1 }, "{code}");
    }
    // Nobody listens; the second time, nobody answers.
    for address in [
        "127.0.0.1:9".to_owned(),
        FakeAws::start(|_, _| {
            std::thread::sleep(PATIENCE);
            (200, String::new())
        })
        .address
        .to_string(),
    ] {
        let program =
            Program::development().await.with_aws_at(&format!("http://{address}")).set("LOG", &secret("app"));
        let start = Instant::now();
        let said = program.fail(&["migrate"]);
        assert!(said.contains("LOG: is the ARN of a secret that cannot be read ("), "{said}");
        assert!(said.contains("look at the region in the ARN, and at the way there"), "{said}");
        assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    }
    let program = Program::development().await.with_aws_at("http://127.0.0.1:9").set("LOG", &secret("app"));
    let said = program.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", "ministack").fail(&["migrate"]);
    assert!(said.contains("or AWS_ENDPOINT_URL is no URL; set https://HOST[:PORT]"), "{said}");
}

#[actix_web::test]
async fn without_credentials_each_setting_that_needs_them_says_so() {
    let aws = FakeAws::refusing(500, "Unused");
    let program = Program::development()
        .await
        .set("AWS_ENDPOINT_URL", &aws.url())
        .set("AWS_EC2_METADATA_DISABLED", "true")
        .set("SMTP_URL", &secret("app"))
        .set("LOG", &arn("ssm:eu-central-1", "parameter/app"));
    let said = program.fail(&["migrate"]);
    for name in ["SMTP_URL", "LOG"] {
        let line = format!("{name}: is the ARN of a secret that cannot be read: no credentials of AWS (");
        assert!(said.contains(&line) && said.contains("; give the instance a role, or set "), "{said}");
    }
    assert_eq!(aws.calls().len(), 0);
    // Without references, nobody is asked.
    program.set("SMTP_URL", "").set("LOG", "").succeed(&["migrate"]);
}

/// Answers come only once all calls are there.
#[actix_web::test]
async fn each_secret_is_read_once_and_all_at_the_same_time() {
    let (arrived, all) = (Mutex::new(0), Condvar::new());
    let aws = FakeAws::start(move |_, call| {
        let mut arrived = arrived.lock().unwrap();
        *arrived += 1;
        all.notify_all();
        let (arrived, _) = all.wait_timeout_while(arrived, PATIENCE, |arrived| *arrived < 3).unwrap();
        assert!(*arrived == 3);
        if call.head.contains("x-amz-target: amazonssm.getparameter") {
            return (200, json!({ "Parameter": { "Value": "info" } }).to_string());
        }
        let members = json!({ "key": KEY, "rate": "5", "limits": "on" }).to_string();
        (200, json!({ "SecretString": members }).to_string())
    });
    let program = Program::development()
        .await
        .with_aws_at(&aws.url())
        .set("AWS_SESSION_TOKEN", "session")
        .set("SECRET_KEY_BASE", &secret("one:key::"))
        .set("LIMITS", &secret("one:limits::"))
        .set("SMTP_RATE", &secret("two:rate::1b"))
        .set("LOG", &arn("ssm:eu-west-1", "parameter/log"));
    program.succeed(&["migrate"]);
    let calls = aws.calls();
    assert_eq!(calls.len(), 3, "{calls:?}");
    let bodies: Vec<serde_json::Value> =
        calls.iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect();
    for expected in [
        json!({ "SecretId": secret("one") }),
        json!({ "SecretId": secret("two"), "VersionId": "1b" }),
        json!({ "Name": arn("ssm:eu-west-1", "parameter/log"), "WithDecryption": true }),
    ] {
        assert!(bodies.contains(&expected), "{expected} in {bodies:?}");
    }
    for call in &calls {
        let region =
            if call.body.contains("Decryption") { "eu-west-1/ssm" } else { "eu-central-1/secretsmanager" };
        assert!(
            call.head.contains("authorization: aws4-hmac-sha256 credential=canary-access-key/"),
            "{call:?}"
        );
        assert!(call.head.contains(&format!("/{region}/aws4_request")), "{call:?}");
        assert!(call.head.contains("x-amz-security-token: session"), "{call:?}");
    }
}
