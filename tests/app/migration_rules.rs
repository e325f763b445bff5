//! What a migration may do, so that the previous version keeps running (ARCHITECTURE.md, "Where to add what").

use std::path::Path;

/// Why a migration would break the version that runs while it is applied; empty if it only adds. Unknown statements
/// count as harmful.
fn what_breaks(sql: &str) -> Vec<String> {
    let code: String = sql.lines().map(|line| line.split("--").next().unwrap().to_owned() + " ").collect();
    let statements: Vec<String> =
        code.split(';').map(|sql| sql.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let is_new =
        |table: &str| statements.iter().any(|sql| sql.starts_with(&format!("CREATE TABLE {table} (")));
    let harmless = |statement: &String| {
        let words = statement.to_ascii_uppercase();
        let starts = |with: &str| words.starts_with(with);
        let adds_a_column = || {
            // A single column that an INSERT may omit and that is not unique.
            let outside = outside_parentheses(&words);
            starts("ALTER TABLE ")
                && outside.contains(" ADD COLUMN ")
                && !outside.contains(',')
                && !outside.contains(" UNIQUE")
                && !outside.contains(" REFERENCES ")
                && (!outside.contains(" NOT NULL") || outside.contains(" DEFAULT "))
        };
        words.is_empty()
            || ["CREATE TABLE ", "CREATE INDEX ", "INSERT INTO ", "UPDATE "].iter().any(|with| starts(with))
            || adds_a_column()
            || starts("CREATE UNIQUE INDEX ")
                && statement.split_whitespace().skip_while(|word| *word != "ON").nth(1).is_some_and(is_new)
    };
    statements.iter().filter(|statement| !harmless(statement)).cloned().collect()
}

fn outside_parentheses(words: &str) -> String {
    let mut depth = 0;
    words
        .chars()
        .filter(|char| {
            depth += i32::from(*char == '(') - i32::from(*char == ')');
            depth == 0 && *char != ')'
        })
        .collect()
}

/// Migrations that remove what the last version before them no longer used, each with that version.
const CONTRACTS: &[(&str, &str)] = &[];

/// Two versions run on one schema during every deploy. One version adds what it needs, and a later one removes what
/// nobody uses any more ("expand, then contract").
#[test]
fn a_migration_that_would_break_the_running_version_is_refused() {
    for harmful in [
        "DROP TABLE users",
        "ALTER TABLE users DROP COLUMN name",
        "ALTER TABLE users RENAME COLUMN name TO full_name",
        "ALTER TABLE users RENAME TO people",
        "ALTER TABLE users MODIFY name VARCHAR(10)",
        "ALTER TABLE users ADD COLUMN nickname VARCHAR(50) NOT NULL",
        "ALTER TABLE users ADD COLUMN nickname VARCHAR(50) UNIQUE",
        "ALTER TABLE users ADD COLUMN boss BIGINT REFERENCES users (id)",
        "ALTER TABLE users ADD COLUMN a DECIMAL(1, 2), DROP COLUMN name",
        "ALTER TABLE users ADD CONSTRAINT c CHECK (name <> '')",
        "CREATE UNIQUE INDEX u ON users (name)",
        "CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET NEW.name = ''",
        "DELETE FROM users",
        "-- adds a column\nCREATE TABLE a (b INT);\nALTER TABLE users\n  DROP COLUMN name;",
    ] {
        assert_eq!(what_breaks(harmful).len(), 1, "{harmful}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut seen = 0;
    for kind in ["mysql", "sqlite"] {
        for entry in folder.join(kind).read_dir().unwrap() {
            let path = entry.unwrap().path();
            seen += 1;
            if CONTRACTS.iter().any(|(file, _)| path.ends_with(file)) {
                continue;
            }
            let harm = what_breaks(&std::fs::read_to_string(&path).unwrap());
            assert!(
                harm.is_empty(),
                "{} would break the version that runs meanwhile: {harm:#?}",
                path.display()
            );
        }
    }
    assert_eq!(seen, 2 * crate::support::database::migrations());
}
