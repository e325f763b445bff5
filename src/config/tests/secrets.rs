//! Secrets do not leak, and malformed values are reported by name.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::variables::as_text;

#[test]
fn every_name_is_read_and_damage_is_reported_by_name_without_the_value() {
    for name in known_names() {
        for damaged in ["hunter2\n", " hunter2", "hunter2\u{FFFD}"] {
            let errors = errors_alone(&[
                (name, damaged),
                ("APP_ENV", if name == "APP_ENV" { damaged } else { "production" }),
            ]);
            let told = names(&errors).into_iter().filter(|told| *told == name).count();
            assert_eq!(told, 1, "{name} is read, and damaged once: {errors:?}");
            assert!(!errors.concat().contains("hunter2"), "{errors:?}");
        }
    }
}

#[test]
fn nothing_shows_a_secret() -> Tested {
    // Neither errors nor warnings show a variable's value; further below, the resulting config does not show it either.
    let forms =
        ["hunter2", "mysql://u:hunter2@h", "redis://hunter2@h", "smtps://u:hunter2@h/x", "tls://u:hunter2@h"];
    for name in known_names() {
        for form in forms {
            let shown = match load(&[(name, form)]) {
                Ok(config) => config.warnings.concat(),
                Err(errors) => format!("{errors} {errors:?}"),
            };
            assert!(!shown.contains("hunter2"), "{name}: {shown}");
        }
    }
    let urls = [
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("REDIS_URL", "redis://u:hunter2@h"),
        ("SMTP_URL", "smtps://u:hunter2@h"),
    ];
    for config in [load(&urls)?, Config::load(&vars(&[BOOK]))?, load(RDS)?] {
        let shown = format!("{config:?} {config:#?} {}", config.redis);
        assert!(shown.contains("[secret]") && !shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
    }
    Ok(())
}

#[test]
fn values_that_are_not_utf8_are_reported_if_they_are_ours() -> Tested {
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    let environment = |name: &str| {
        as_text(
            [(name.into(), bytes(b"\xff")), ("SECRET_KEY_BASE".into(), bytes(KEY.as_bytes()))].into_iter(),
        )
    };
    Config::load(&environment("LS_COLORS"))?;
    let errors = Config::load(&environment("LOG")).map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(names(&errors), ["LOG"]);
    Ok(())
}

#[test]
fn development_makes_its_secret_once() -> Tested {
    let root = tempfile::tempdir()?;
    let data_dir = root.path().join("new/var");
    let set = vars(&[&[("DATA_DIR", &data_dir.to_string_lossy())]]);
    let refused = [set.clone(), vars(&[&[("AVATARS", "none")]])].into_iter().flatten().collect();
    assert!(Config::load(&refused).is_err());
    assert!(!data_dir.exists(), "nothing is written for settings that are refused");

    let made: BTreeSet<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..16).map(|_| scope.spawn(|| Config::load(&set))).collect();
        let configs = starts.into_iter().filter_map(|start| start.join().ok()?.ok());
        configs.map(|config| config.secret_key_base.expose().to_owned()).collect()
    });
    assert_eq!(made.iter().map(String::len).collect::<Vec<_>>(), [128], "16 starts at once have one secret");
    assert!(made.contains(Config::load(&set)?.secret_key_base.expose()), "and so has the next");
    let files: Vec<_> = fs::read_dir(&data_dir)?.collect::<Result<_, _>>()?;
    assert_eq!(files.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["secret_key_base"]);
    assert_eq!(fs::metadata(data_dir.join("secret_key_base"))?.permissions().mode() & 0o777, 0o600);

    fs::write(data_dir.join("secret_key_base"), "short")?;
    let errors = Config::load(&set).map_or_else(|errors| errors.0, |_| Vec::new());
    assert_eq!(names(&errors), ["SECRET_KEY_BASE"], "a damaged file is not used");
    assert_ne!(Secret::random()?, Secret::random()?);
    Ok(())
}
