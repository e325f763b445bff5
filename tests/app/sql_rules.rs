//! Rules for SQL in the sources: where it may stand, what it may contain, and that model_queries.rs or queue_queries.rs
//! calls every function that contains SQL. This checks functions, not branches: if a function has two statements, a
//! reviewer must see that both are covered.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The macros that run SQL (src/db/query.rs).
const MACROS: [&str; 6] =
    ["defer!(", "execute!(", "fetch_all!(", "fetch_one!(", "fetch_optional!(", "with_backend!("];

/// Whether the text contains this word, and not as the end of another (`with_backend!(` in `json!(`).
fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

pub fn source(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let deeper = folders.iter().flat_map(|path| source(path.to_str().unwrap()));
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).chain(deeper).collect()
}

/// `Type::function` or `module::function` of every public function that contains SQL or is followed by a private helper
/// that does: in this project helpers come after their callers.
fn functions_with_sql(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let (mut owner, mut function, mut found) = (module.clone(), None, BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            owner = rest.trim_end_matches(" {").to_owned();
        } else if line == "}" {
            owner = module.clone();
        } else if let Some((_, rest)) = line.split_once("pub async fn ") {
            function = Some(rest.split(['(', '<']).next().unwrap().to_owned());
        }
        if MACROS.iter().any(|name| names(line, name)) {
            let function =
                function.clone().unwrap_or_else(|| panic!("SQL before any function: {}", path.display()));
            found.insert(format!("{owner}::{function}"));
        }
    }
    found
}

#[test]
fn every_function_with_sql_is_walked_through() {
    let walk = [include_str!("model_queries.rs"), include_str!("queue_queries.rs")].concat();
    let (models, jobs, mail) = (source("src/models"), source("src/jobs"), source("src/mail"));
    let functions: BTreeSet<_> = models
        .iter()
        .chain(&jobs)
        .chain(&mail)
        .chain([&PathBuf::from("src/seeds.rs")])
        .flat_map(|path| functions_with_sql(path))
        .collect();
    assert!(functions.len() > 25, "the sources were not understood: {functions:?}");
    // A method is called on a value: `token.consume(`.
    let is_walked = |name: &String| {
        let method = format!(".{}(", name.split("::").nth(1).unwrap());
        walk.contains(&format!("{name}(")) || walk.contains(&method)
    };
    let forgotten: Vec<_> = functions.iter().filter(|name| !is_walked(name)).collect();
    assert!(forgotten.is_empty(), "no test here runs the SQL of {forgotten:?}");
}

/// MySQL and MariaDB may run such a statement as a scan that locks the whole table.
#[test]
fn no_statement_finds_its_rows_by_a_subquery() {
    for path in source("src") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("IN (SELECT"), "{}", path.display());
    }
}

/// Whether this file may contain SQL: db/, and what uses its macros.
fn may_have_sql(path: &Path) -> bool {
    path.to_str().unwrap().contains("/src/db") || uses_macros(path)
}

/// Whether this file may contain SQL that goes through the macros of db/.
pub fn uses_macros(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    path.contains("/src/models/")
        || path.contains("/src/jobs/")
        || ["outbox", "request", "suppression"].iter().any(|of| path.ends_with(&format!("/src/mail/{of}.rs")))
        || path.ends_with("/src/seeds.rs")
}

#[test]
fn sql_is_only_where_it_belongs() {
    for path in source("src").into_iter().filter(|path| !may_have_sql(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let strange = MACROS.iter().chain(&["sqlx::query", "SELECT ", "INSERT INTO", "DELETE FROM"]);
        let found: Vec<_> = strange.filter(|word| names(&text, word)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}
