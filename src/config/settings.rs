//! The table of settings: every variable that is read, its default and its meaning. Tests keep `--help`, `.env.sample`
//! and the README in line with it. `Config::load` (config.rs) reads and validates them.

use std::fmt::Write as _;

/// The documentation of one setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Main variable.
    pub name: &'static str,
    /// Other variables that set it, separated by `, `.
    pub also: &'static str,
    /// Default in development; empty if there is none.
    pub default: &'static str,
    /// Meaning, accepted forms, and whether production requires it.
    pub about: &'static str,
}

/// Every setting, in the order of [`super::Config`].
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "APP_ENV",
        also: "",
        default: "development",
        about: "development, or production, which does not start before everything it needs has been set.",
    },
    Setting {
        name: "LISTEN",
        also: "PORT",
        default: "127.0.0.1:3000",
        about: "Where to answer: HOST:PORT, [::1]:PORT or unix:PATH. PORT alone means 127.0.0.1:PORT. A socket handed \
                over by systemd wins over both.",
    },
    Setting {
        name: "APP_URL",
        also: "AWS_INTRO_SAMPLE_HOST",
        default: "http://localhost:3000",
        about: "The public address, in links and for cookies; by default it has the port of LISTEN. \
                AWS_INTRO_SAMPLE_HOST is a host name and means https://. Needed in production.",
    },
    Setting {
        name: "SECRET_KEY_BASE",
        also: "",
        default: "",
        about: "At least 64 characters that sign cookies; `sample-app secret` makes them. Development makes its own \
                once and keeps it in DATA_DIR. Needed in production, the same on every instance.",
    },
    Setting {
        name: "DATA_DIR",
        also: "",
        default: "var",
        about: "The folder of all that is embedded: database, images, mails, secret.",
    },
    Setting {
        name: "DATABASE_URL",
        also: "MYSQL_DATABASE_HOST, MYSQL_DATABASE_USER, MYSQL_DATABASE_PASSWORD, MYSQL_DATABASE_DB, RDS_HOSTNAME, \
               RDS_PORT, RDS_DB_NAME, RDS_USERNAME, RDS_PASSWORD, AWS_INTRO_SAMPLE_DATABASE_PASSWORD, \
               AWS_INTRO_SAMPLE_DATABASE_HOST, AWS_INTRO_SAMPLE_DATABASE_USERNAME, AWS_INTRO_SAMPLE_DATABASE_NAME",
        default: "sqlite:var/sample_app.db",
        about: "mysql://USER:PASSWORD@HOST[:3306]/DATABASE or sqlite:PATH. Of the families of other names one is \
                enough; every host may bring its :PORT. AWS_INTRO_SAMPLE_DATABASE_PASSWORD alone means user and \
                database sample_app on host db.home. Needed in production.",
    },
    Setting {
        name: "DATABASE_SSL_MODE",
        also: "",
        default: "preferred",
        about: "disabled, preferred, required, verify_ca or verify_identity, as MySQL means them. By default \
                verify_identity for hosts under .rds.amazonaws.com and .rds.amazonaws.com.cn, else preferred.",
    },
    Setting {
        name: "DATABASE_CA_FILE",
        also: "",
        default: "",
        about: "PEM file of the authorities that sign the database's certificate, else the system's are asked. RDS \
                needs https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
    },
    Setting {
        name: "DATABASE_READER_URL",
        also: "MYSQL_DATABASE_READER_HOST, RDS_READER_HOSTNAME",
        default: "",
        about: "A read replica, mysql://USER:PASSWORD@HOST[:3306]/DATABASE, for pages that may be a moment old. The other names \
                are HOST[:PORT] alone; everything else is as for the writer.",
    },
    Setting {
        name: "DATABASE_PROXY",
        also: "",
        default: "false",
        about: "true where a proxy shares server connections between clients: RDS Proxy, MySQL Router. Statements then \
                go as text with their values, and pin no session.",
    },
    Setting {
        name: "DATABASE_IAM_AUTH",
        also: "",
        default: "false",
        about: "true to sign in to RDS by tokens of IAM that are renewed by themselves, instead of a password. Needs the end \
                point itself as host, verify_identity, and a role that may rds-db:connect.",
    },
    Setting {
        name: "REDIS_URL",
        also: "REDIS_HOST, REDIS_PORT, AWS_INTRO_SAMPLE_REDIS_ADDRESS",
        default: "memory:",
        about: "Sessions and cache: redis[s]://[[USER]:PASSWORD@]HOST[:6379][/NUMBER], or memory: for one process \
                alone. Needed in production.",
    },
    Setting {
        name: "REDIS_CA_FILE",
        also: "",
        default: "",
        about: "PEM file of the authorities that sign the certificate of Redis, else the system's are asked; ElastiCache needs \
                none.",
    },
    Setting {
        name: "REDIS_CLUSTER",
        also: "",
        default: "false",
        about: "true where Redis is a cluster: ElastiCache with cluster mode enabled, and serverless.",
    },
    Setting {
        name: "IMAGES_URL",
        also: "AWS_INTRO_SAMPLE_S3_BUCKET, AWS_INTRO_SAMPLE_S3_REGION",
        default: "file:var/images",
        about: "Pictures of microposts: s3://BUCKET or file:PATH. Needed in production.",
    },
    Setting {
        name: "IMAGES_PUBLIC_URL",
        also: "",
        default: "",
        about: "https://HOST from which browsers fetch pictures, a CloudFront distribution in front of the bucket say; by \
                default the application hands them out.",
    },
    Setting {
        name: "AWS_ENDPOINT_URL_S3",
        also: "",
        default: "",
        about: "The address of a store that is compatible with S3, https://HOST[:PORT]; by default that of AWS. The SDK's own \
                settings (AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and the like) count as everywhere.",
    },
    Setting {
        name: "SMTP_URL",
        also: "AWS_INTRO_SAMPLE_SMTP_ADDRESS, AWS_INTRO_SAMPLE_SMTP_DOMAIN, AWS_INTRO_SAMPLE_SMTP_USERNAME, \
               AWS_INTRO_SAMPLE_SMTP_PASSWORD",
        default: "file:var/mail",
        about: "Outgoing mail: smtps://USER:PASSWORD@HOST[:465], smtp://USER:PASSWORD@HOST[:587] for STARTTLS, or \
                file:PATH. AWS_INTRO_SAMPLE_SMTP_ADDRESS means port 465 and may bring another. Needed in production.",
    },
    Setting {
        name: "SES_SECRET_ACCESS_KEY",
        also: "",
        default: "",
        about: "The secret access key of an IAM user, instead of an SMTP password of SES, which is derived from it at start. \
                The user name is the id of the key: smtps://ACCESS_KEY_ID@email-smtp.REGION.amazonaws.com. For another host \
                set AWS_REGION.",
    },
    Setting {
        name: "SMTP_CA_FILE",
        also: "",
        default: "",
        about: "PEM file of the authorities that sign the mail server's certificate, else the system's are asked; SES needs none.",
    },
    Setting {
        name: "SMTP_RATE",
        also: "",
        default: "10",
        about: "Mails a second at most, from each instance. SES allows 1 in its sandbox, and says how many outside it.",
    },
    Setting {
        name: "SES_CONFIGURATION_SET",
        also: "",
        default: "",
        about: "The configuration set of SES that every mail names, so that bounces and complaints come to /webhooks/ses.",
    },
    Setting {
        name: "SES_TOPIC_ARN",
        also: "",
        default: "",
        about: "The topic of SNS in which SES tells of bounces and complaints: subscribe https://HOST/webhooks/ses to it, \
                which answers nobody while this is absent. Addresses that bounce for good get no more mail.",
    },
    Setting {
        name: "AWS_ENDPOINT_URL_SNS",
        also: "",
        default: "",
        about: "The address of a service that is compatible with SNS, https://HOST[:PORT]; by default that of AWS in the \
                region of SES_TOPIC_ARN.",
    },
    Setting {
        name: "MAIL_FROM",
        also: "AWS_INTRO_SAMPLE_SMTP_DOMAIN",
        default: "no-reply@localhost",
        about: "The address that mail comes from; by default no-reply at AWS_INTRO_SAMPLE_SMTP_DOMAIN, else at the \
                host of APP_URL, or at localhost where that is an IP address.",
    },
    Setting {
        name: "LOGSTASH_URL",
        also: "LOGSTASH_HOST",
        default: "",
        about: "Where log lines are shipped besides stdout: tcp://HOST[:5044] or tls://HOST[:5044]. Nothing is shipped \
                when it is absent.",
    },
    Setting {
        name: "LOGSTASH_CA_FILE",
        also: "",
        default: "",
        about: "PEM file of the authorities that sign the certificate of Logstash, else the system's are asked.",
    },
    Setting {
        name: "LOGSTASH_SPOOL_MB",
        also: "",
        default: "256",
        about: "Log lines that wait on disk while Logstash is away, in MB at most; the oldest go first.",
    },
    Setting {
        name: "METRICS_LISTEN",
        also: "",
        default: "",
        about: "Where to give figures to Prometheus, at /metrics: HOST:PORT, an address that visitors cannot reach. Nowhere \
                when it is absent.",
    },
    Setting {
        name: "SHUTDOWN_DELAY",
        also: "",
        default: "0",
        about: "Seconds, 0 to 60, for which a process that is told to end goes on serving while /readyz says 503, so that \
                load balancers notice; a second signal ends the wait. 5 by default in production.",
    },
    Setting {
        name: "TRUSTED_PROXIES",
        also: "",
        default: "0",
        about: "How many proxies stand in front, 0 to 10, to find the visitor's address: 1 behind our nginx, with a load \
                balancer or without; 2 behind a load balancer and an nginx that appends, as on Elastic Beanstalk.",
    },
    Setting {
        name: "LIMITS",
        also: "",
        default: "on",
        about: "on, or off in development: whether who logs in, signs up, posts or has mails sent too often is turned away \
                for a while.",
    },
    Setting {
        name: "LIMIT_LOG_INS",
        also: "",
        default: "25",
        about: "Log-ins in 5 minutes, from one client and to one account.",
    },
    Setting {
        name: "LIMIT_SIGN_UPS",
        also: "",
        default: "10",
        about: "Sign-ups in an hour from one client, an IPv4 address or an IPv6 /64; raise it for a class behind one \
                address.",
    },
    Setting {
        name: "LIMIT_MAILS_TO",
        also: "",
        default: "5",
        about: "Mails in 30 minutes to one address that anybody can cause: activation, password reset, change of \
                address.",
    },
    Setting {
        name: "LIMIT_MAILS_BY",
        also: "",
        default: "20",
        about: "The same mails in an hour, caused by one client or one account; raise it with LIMIT_SIGN_UPS.",
    },
    Setting { name: "LIMIT_POSTS", also: "", default: "30", about: "Posts in a minute by one author." },
    Setting {
        name: "AVATARS",
        also: "",
        default: "drawn",
        about: "drawn by the application, or gravatar, which tells gravatar.com who visits.",
    },
    Setting {
        name: "WALKTHROUGH_URL",
        also: "",
        default: "",
        about: "https://HOST[/PATH] of the site that scripts/walkthrough makes, which the welcome page and /stack link to; by \
                default they link to its text in this program.",
    },
    Setting {
        name: "LOG",
        also: "",
        default: "info",
        about: "What is logged: error, warn, info, debug, trace, or a filter such as info,sample_app=debug.",
    },
];

/// Prefixes of variables that can only be meant for this program, so that an unknown one is probably a typo.
const PREFIXES: [&str; 7] =
    ["AWS_INTRO_SAMPLE_", "MYSQL_DATABASE_", "RDS_", "LOGSTASH_", "REDIS_", "SMTP_", "IMAGES_"];

/// Minimum length, in bytes, of a name that few variables of other programs resemble by chance.
const MIN_FUZZY_NAME_LENGTH: usize = 12;

/// The settings part of `--help`, 100 columns wide.
pub fn help() -> String {
    let mut help = String::from("Settings are environment variables; an empty one counts as absent:\n");
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "" } else { "=" };
        let _ = writeln!(help, "\n  {}{default}{}", setting.name, setting.default);
        wrap(&mut help, setting.about);
        if !setting.also.is_empty() {
            wrap(&mut help, &format!("Also from {}.", setting.also));
        }
    }
    help
}

/// The table of settings for the README, as Markdown.
pub fn markdown_table() -> String {
    let code = |name: &str| {
        if name.is_empty() { String::new() } else { format!("`{name}`") }
    };
    let mut table = String::from("| Setting | Also from | Default | What it says |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let also: Vec<String> = setting.also.split(", ").map(code).collect();
        let (name, default) = (code(setting.name), code(setting.default));
        let _ = writeln!(table, "| {name} | {} | {default} | {} |", also.join(", "), setting.about);
    }
    table
}

/// All variables of a setting, the main one first. For a name that is no setting, only that name.
pub(super) fn names_of(name: &'static str) -> Vec<&'static str> {
    let also = SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.also);
    std::iter::once(name).chain(also.split(", ").filter(|name| !name.is_empty())).collect()
}

/// `Some` for an unknown name that has a setting's prefix or resembles a setting; contains the [`nearest`] setting.
pub(super) fn unknown_setting(name: &str) -> Option<Option<&'static str>> {
    if is_known(name) {
        return None;
    }
    let nearest = nearest(name);
    let has_prefix = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    (has_prefix || nearest.is_some()).then_some(nearest)
}

/// Whether a variable belongs to a setting.
pub(super) fn is_known(name: &str) -> bool {
    known_names().any(|known| known == name)
}

/// The setting that an unknown name was probably meant to be: one with the same prefix and an edit distance of at most
/// 3, or one of which it is a shorter or longer form; with another prefix, a long name and a distance of at most 2.
fn nearest(unknown: &str) -> Option<&'static str> {
    let prefix = PREFIXES.iter().find(|prefix| unknown.starts_with(**prefix));
    let distance = |known: &str| match prefix.is_some_and(|prefix| known.starts_with(prefix)) {
        true if known.starts_with(unknown) || unknown.starts_with(known) => Some(1),
        true => Some(strsim::levenshtein(unknown, known)).filter(|distance| *distance <= 3),
        false if known.len() < MIN_FUZZY_NAME_LENGTH || known.len().abs_diff(unknown.len()) > 2 => None,
        false => Some(strsim::levenshtein(unknown, known)).filter(|distance| *distance <= 2),
    };
    let resembling = known_names().filter_map(|known| Some((distance(known)?, known)));
    resembling.min().map(|(_, known)| known)
}

/// All variables of all settings. A variable that belongs to two settings appears twice.
pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().flat_map(|setting| names_of(setting.name))
}

/// Appends `text` in lines of at most 100 columns, including an indent of six.
fn wrap(out: &mut String, text: &str) {
    let options = textwrap::Options::new(100).initial_indent("      ").subsequent_indent("      ");
    out.push_str(&textwrap::fill(text, options.break_words(false)));
    out.push('\n');
}
