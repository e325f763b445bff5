//! `.env.sample`, README and `--help` agree with the table of settings.

use std::fs;
use std::path::Path;

use super::*;

fn document(name: &str) -> std::io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

#[test]
fn every_name_that_the_source_asks_for_is_in_the_table() {
    let sources = [
        include_str!("../../config.rs"),
        include_str!("../database.rs"),
        include_str!("../database/iam.rs"),
        include_str!("../database/read_replica.rs"),
        include_str!("../database/tls.rs"),
        include_str!("../listen.rs"),
        include_str!("../mail.rs"),
        include_str!("../rate_limits.rs"),
        include_str!("../services.rs"),
        include_str!("../ses_password.rs"),
    ];
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name = |text: &str| {
        text.len() > 2
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && !text.ends_with('_')
            && text.chars().all(upper)
    };
    let quoted = sources.iter().flat_map(|source| source.split('"'));
    let asked: BTreeSet<&str> = quoted.filter(|text| is_name(text)).collect();
    // Variables of systemd and of the AWS SDK.
    let others = BTreeSet::from(["AWS_REGION", "LISTEN_FDS", "LISTEN_PID"]);
    assert_eq!(&asked - &others, known_names());
}

/// The lines `#NAME=value` of a text. Fails on other lines, except blank ones and comments.
fn commented_out(text: &str) -> Vec<(&str, &str)> {
    let line = |line: &str| line.is_empty() || line.starts_with('#');
    assert_eq!(text.lines().find(|text| !line(text)), None, "a line that sets something or says nothing");
    let settings = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.is_empty() && !line.starts_with(' '));
    let settings: Vec<_> =
        settings.map(|line| line.split_once('=').unwrap_or((line, "' no value '"))).collect();
    for (name, value) in &settings {
        assert!(
            !value.contains(|c: char| c.is_whitespace() || "'\"\\$`;&|<>()*~".contains(c)),
            "{name}: not for shells"
        );
    }
    settings
}

#[test]
fn the_env_sample_lists_every_setting_with_the_default_it_has() -> Tested {
    let sample = document(".env.sample")?;
    let (settings, _) = sample.split_once("\n# === ").ok_or("no ready blocks")?;
    let listed = commented_out(settings);
    let expected: BTreeSet<_> = SETTINGS.iter().map(|setting| (setting.name, setting.default)).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(listed.len(), SETTINGS.len(), "each once");

    let uncommented = Config::load(&vars(&[&listed, &[("SECRET_KEY_BASE", KEY)]]))?;
    assert_eq!(
        format!("{uncommented:?}"),
        format!("{:?}", load(&[])?),
        "the defaults named are the defaults used"
    );
    Ok(())
}

#[test]
fn the_ready_blocks_of_the_env_sample_start_in_production() -> Tested {
    let sample = document(".env.sample")?;
    let blocks: Vec<_> = sample.split("\n# === ").skip(1).map(|block| block.split_once('\n')).collect();
    assert_eq!(blocks.len(), 3);
    let mut shown = BTreeSet::new();
    for (title, block) in blocks.into_iter().flatten() {
        let block = commented_out(block);
        let config = Config::load(&vars(&[&block, &[("SECRET_KEY_BASE", KEY)]]))?;
        assert_eq!(config.env, AppEnv::Production, "{title}");
        let http = config.app_url.origin().starts_with("http:");
        assert_eq!(names(&config.warnings), if http { vec!["APP_URL"] } else { vec![] }, "{title}");
        shown.extend(block.into_iter().map(|(name, _)| name.to_owned()));
    }
    let tutorials = [BOOK, BEANSTALK, RDS].concat();
    let hidden: Vec<_> =
        tutorials.iter().filter(|(name, _)| *name != "PORT" && !shown.contains(*name)).collect();
    assert!(hidden.is_empty(), "names of the tutorials that no block shows: {hidden:?}");
    Ok(())
}

#[test]
fn the_readme_has_the_table_of_settings() -> Tested {
    let readme = document("README.md")?;
    let table =
        readme.split_once("<!-- settings -->\n").and_then(|(_, rest)| rest.split_once("<!-- /settings -->"));
    let (table, _) = table.ok_or("no markers")?;
    assert_eq!(table.trim(), markdown_table().trim(), "paste what this test calls right");
    Ok(())
}

#[test]
fn the_help_names_everything_in_100_columns() {
    let help = help();
    assert_eq!(help.lines().find(|line| line.len() > 100), None);
    let words: BTreeSet<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    assert_eq!(known_names().into_iter().find(|name| !words.contains(name)), None);
    assert!(help.contains("\n  LISTEN=127.0.0.1:3000\n"));
}
