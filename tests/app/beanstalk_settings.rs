//! The option settings in .ebextensions: only options and values that AWS documents, and only environment properties
//! that the application reads.

use std::fs;

use sample_app::config::SETTINGS;
use sample_app::routes;
use serde_json::Value;

use crate::support::beanstalk::{source, yaml};

/// From the developer guide, "General options for all environments": the namespaces in use, their options and allowed
/// values.
const OPTIONS: &[(&str, &[(&str, &str)])] = &[
    ("aws:autoscaling:launchconfiguration", &[("DisableIMDSv1", "true|false")]),
    (
        "aws:autoscaling:updatepolicy:rollingupdate",
        &[("RollingUpdateEnabled", "true|false"), ("RollingUpdateType", "Health|Time|Immutable")],
    ),
    ("aws:elasticbeanstalk:application", &[("Application Healthcheck URL", "PATH")]),
    (
        "aws:elasticbeanstalk:cloudwatch:logs",
        &[
            ("StreamLogs", "true|false"),
            ("DeleteOnTerminate", "true|false"),
            ("RetentionInDays", "1|3|5|7|14|30|60|90|120|150|180|365|400|545|731|1827|3653"),
        ],
    ),
    (
        "aws:elasticbeanstalk:cloudwatch:logs:health",
        &[
            ("HealthStreamingEnabled", "true|false"),
            ("DeleteOnTerminate", "true|false"),
            ("RetentionInDays", "1|3|5|7|14|30|60|90|120|150|180|365|400|545|731|1827|3653"),
        ],
    ),
    (
        "aws:elasticbeanstalk:command",
        &[
            ("DeploymentPolicy", "AllAtOnce|Rolling|RollingWithAdditionalBatch|Immutable|TrafficSplitting"),
            ("Timeout", "1..3600"),
        ],
    ),
    (
        "aws:elasticbeanstalk:environment",
        &[
            ("EnvironmentType", "SingleInstance|LoadBalanced"),
            ("LoadBalancerType", "classic|application|network"),
        ],
    ),
    (
        "aws:elasticbeanstalk:environment:process:default",
        &[
            ("DeregistrationDelay", "0..3600"),
            ("HealthCheckInterval", "5..300"),
            ("HealthCheckPath", "PATH"),
            ("MatcherHTTPCode", "200..499"),
        ],
    ),
    (
        "aws:elasticbeanstalk:healthreporting:system",
        &[("SystemType", "basic|enhanced"), ("ConfigDocument", "JSON")],
    ),
    (
        "aws:elbv2:listener:443",
        &[("Protocol", "HTTP|HTTPS"), ("SSLCertificateArns", "ARN"), ("SSLPolicy", "ANY")],
    ),
    ("aws:elbv2:loadbalancer", &[("IdleTimeout", "1..3600")]),
];
const PROPERTIES: &str = "aws:elasticbeanstalk:application:environment";
const SECRETS: &str = "aws:elasticbeanstalk:application:environmentsecrets";

fn fits(value: &Value, form: &str) -> bool {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match form {
        "ANY" => !text.is_empty(),
        "ARN" => text.starts_with("arn:aws:"),
        "JSON" => value.is_object(),
        "PATH" => routes::TABLE.contains(&("GET", text.as_str())),
        _ => match form.split_once("..") {
            Some((least, most)) => {
                let number: u32 = text.parse().unwrap_or(u32::MAX);
                (least.parse().unwrap()..=most.parse().unwrap()).contains(&number)
            }
            None => form.split('|').any(|allowed| allowed == text),
        },
    }
}

fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == name || setting.also.split(", ").any(|also| also == name))
}

fn check_options(file: &str, document: &Value) {
    for (namespace, options) in document["option_settings"].as_object().into_iter().flatten() {
        for (name, value) in options.as_object().unwrap() {
            match namespace.as_str() {
                PROPERTIES => assert!(is_setting(name), "{file}: {name} is no setting"),
                SECRETS => {
                    assert!(is_setting(name), "{file}: {name} is no setting");
                    assert!(fits(value, "ARN"), "{file}: {name}");
                }
                _ => {
                    let known = OPTIONS.iter().find(|(known, _)| known == namespace);
                    let (_, known) = known.unwrap_or_else(|| panic!("{file}: {namespace}"));
                    let form = known.iter().find(|(known, _)| known == name);
                    let (_, form) = form.unwrap_or_else(|| panic!("{file}: {namespace} has no {name}"));
                    assert!(fits(value, form), "{file}: {name} is {form}, not {value}");
                }
            }
        }
    }
}

/// cfn-lint does not check these files, and a mistake would show only when an environment fails to start.
#[test]
fn every_option_is_one_of_elastic_beanstalk() {
    let mut sections = Vec::new();
    for entry in fs::read_dir(source().join(".ebextensions")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let document = yaml(&text);
        sections.extend(document.as_object().unwrap().keys().cloned());
        check_options(file, &document);
        // As the reader fills it in: uncomments lines `# NAME: value` and commented namespaces.
        let filled: Vec<_> =
            text.lines().map(|line| uncomment(line).unwrap_or_else(|| line.to_owned())).collect();
        check_options(file, &yaml(&filled.join("\n")));
    }
    sections.sort();
    assert_eq!(sections, ["Resources", "container_commands", "files", "option_settings", "option_settings"]);
}

/// A line to be uncommented: `    # APP_URL: ...`, `  # aws:...:`, `  #   SECRET_KEY_BASE: ...`.
fn uncomment(line: &str) -> Option<String> {
    let (indent, rest) = line.split_once("# ")?;
    let name = rest.trim_start().split(": ").next()?.trim_end_matches(':');
    let waits = name.starts_with("aws:") || name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    (indent.trim().is_empty() && waits).then(|| format!("{indent}{rest}"))
}

#[test]
fn what_waits_in_comments_is_read() {
    let text = fs::read_to_string(source().join(".ebextensions/01-environment.config")).unwrap();
    let filled: Vec<_> =
        text.lines().map(|line| uncomment(line).unwrap_or_else(|| line.to_owned())).collect();
    let options = &yaml(&filled.join("\n"))["option_settings"];
    for name in [
        "APP_URL",
        "MYSQL_DATABASE_HOST",
        "MYSQL_DATABASE_USER",
        "MYSQL_DATABASE_DB",
        "REDIS_HOST",
        "LOGSTASH_HOST",
    ] {
        assert!(options[PROPERTIES][name].is_string(), "{name}");
    }
    for name in ["SECRET_KEY_BASE", "MYSQL_DATABASE_PASSWORD"] {
        assert!(options[SECRETS][name].is_string(), "{name}");
    }
    let delay = options["aws:elasticbeanstalk:environment:process:default"]["DeregistrationDelay"].as_u64();
    assert!(delay.unwrap() >= 30 + 10, "the drain, and a health check");
}
