//! The documents match the code: paths, commands, routes. (For the table of settings: src/config/tests/documents.rs.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sample_app::routes;

use crate::support::{Program, TestApp};

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The texts between single backticks.
fn code(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n')).collect()
}

/// Whether it is written as a path in the repository: an existing folder, or a file with a known extension.
fn is_path(code: &str) -> bool {
    let endings =
        [".rs", ".md", ".toml", ".sh", ".html", ".txt", ".css", ".js", ".sql", ".sample", ".png", ".py"];
    let folders =
        ["src/", "tests/", "scripts/", "templates/", "static/", "migrations/", "docs/", "deploy/", "nginx/"];
    let odd =
        code.contains(|c: char| c.is_whitespace() || "<>*{}$=:(".contains(c)) || code.starts_with(['/', '-']);
    !odd && (folders.iter().any(|folder| code.starts_with(folder))
        || endings.iter().any(|end| code.ends_with(end)))
}

/// Paths are relative to the root or to src/ (`web/middleware/run_detached.rs`).
fn is_there(path: &str) -> bool {
    root().join(path).exists() || root().join("src").join(path).exists()
}

#[test]
fn every_path_in_the_documents_is_there() {
    for name in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "docs/asvs.md", "docs/capacity.md"] {
        let text = read(name);
        let paths: Vec<_> = code(&text).into_iter().filter(|code| is_path(code)).collect();
        let lost: Vec<_> = paths.iter().filter(|path| !is_there(path)).collect();
        assert!(lost.is_empty(), "{name}: {lost:?}");
        if name == "ARCHITECTURE.md" {
            assert!(paths.len() > 20, "the document was understood: {paths:?}");
        }
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let text = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"].map(read).concat();
    let targets: Vec<_> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(targets.len() >= 3, "{targets:?}");
    for target in targets.into_iter().filter(|target| !target.starts_with("https://")) {
        assert!(root().join(target.split('#').next().unwrap()).exists(), "{target}");
    }
}

/// The map is complete: it names every source module and every top-level folder.
#[test]
fn the_architecture_names_every_module_and_folder() {
    let text = read("ARCHITECTURE.md");
    assert!(text.lines().count() <= 160, "{} lines", text.lines().count());
    let places = std::fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap());
    for place in places {
        let name = place.file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let named =
            [format!("src/{module}.rs"), format!("src/{module}/")].iter().any(|path| text.contains(path));
        assert!(named || ["lib", "main"].contains(&module), "src/{name}");
    }
    for folder in ["templates/", "static/", "migrations/", "tests/app/", "scripts/", "deploy/", "benches/"] {
        assert!(text.contains(&format!("`{folder}")), "{folder}");
    }
}

/// The rooms that may be imported by each room, from the table in ARCHITECTURE.md.
fn allowed_imports(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let table = text.split("| room | what | imports |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let room = cells[1].trim_matches('`').trim_start_matches("src/").trim_end_matches(['/']);
        let imports = cells[cells.len() - 2].split(", ").filter(|name| !name.is_empty());
        (room.trim_end_matches(".rs").to_owned(), imports.map(str::to_owned).collect())
    })
    .collect()
}

/// Every `crate::ROOM` in the code of a file, without its comments and unit tests.
fn imports(path: &Path) -> BTreeSet<String> {
    let source = std::fs::read_to_string(path).unwrap();
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = lines.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    paths
        .map(|path| path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned())
        .collect()
}

#[test]
fn rooms_import_only_what_the_architecture_allows() {
    let base = ["config", "error", "http", "tls", "clock", "client_gone", "cpu_pool", "thread_local_pool"];
    let allowed = allowed_imports(&read("ARCHITECTURE.md"));
    assert!(allowed.len() > 10 && allowed["controllers"].contains("models"), "{allowed:?}");
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&root().join("src")) {
        let place = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap();
        let room = place.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&room.as_str()) || place.contains("/tests") {
            continue;
        }
        for import in imports(&path).into_iter().filter(|import| *import != room) {
            let is_base = base.contains(&import.as_str());
            let may = match base.contains(&room.as_str()) {
                true => is_base,
                false => is_base || allowed.get(&room).is_some_and(|rooms| rooms.contains(&import)),
            };
            assert!(may, "src/{place} imports crate::{import}: ARCHITECTURE.md does not allow it");
            if !is_base {
                seen.entry(room.clone()).or_default().insert(import);
            }
        }
    }
    let unused: Vec<_> = allowed
        .iter()
        .flat_map(|(room, imports)| imports.iter().map(move |import| (room, import)))
        .filter(|(room, import)| !seen.get(*room).is_some_and(|seen| seen.contains(*import)))
        .collect();
    assert!(unused.is_empty(), "ARCHITECTURE.md allows what nobody needs: {unused:?}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[actix_web::test]
async fn every_command_in_the_documents_exists() {
    let program = Program::development().await;
    let help = program.succeed(&["--help"]);
    let text = read("README.md");
    let words =
        |line: &str| line.split([' ', '`', ',', ')', '|', '&']).map(str::to_owned).collect::<Vec<_>>();
    let mut commands = BTreeSet::new();
    for line in text.lines() {
        for call in ["cargo run -- ", "sample-app "] {
            for rest in line.split(call).skip(1) {
                let command = words(rest).swap_remove(0);
                let is_word = command.starts_with(|c: char| c.is_ascii_lowercase())
                    && command.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                if is_word && (line.contains(['$', '`']) || line.starts_with("    ")) {
                    commands.insert(command);
                }
            }
        }
    }
    for command in &commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in\n{help}");
    }
    assert!(commands.contains("seed") && commands.contains("smtp-password"), "{commands:?}");
    assert!(
        text.contains("    cargo run\n") && text.contains("    scripts/test\n"),
        "the newcomer's two commands"
    );
    for script in text.split("scripts/").skip(1) {
        let name: String = script.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let mode = std::fs::metadata(root().join("scripts").join(&name))
            .map(|script| std::os::unix::fs::PermissionsExt::mode(&script.permissions()));
        assert!(mode.is_ok_and(|mode| mode & 0o111 != 0), "scripts/{name} is no program");
    }
}

/// The tables of docs/capacity.md are calculated, from inputs of which some stand in the document itself.
#[test]
fn the_tables_of_capacity_are_what_its_calculation_prints() {
    let done = Command::new("python3").arg(root().join("benches/capacity.py")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let printed = String::from_utf8(done.stdout).unwrap();
    assert!(printed.contains("| 100,000,000 |"), "{printed}");
    let text = read("docs/capacity.md");
    let (_, rest) = text.split_once("<!-- printed by benches/capacity.py -->\n").unwrap();
    let (shown, _) = rest.split_once("<!-- end of what it prints -->\n").unwrap();
    assert!(shown == printed, "run: python3 benches/capacity.py --write\n{printed}");
}

/// The application also serves the documents as pages, with the same contents as in the repository.
#[actix_web::test]
async fn the_documents_are_served_as_they_are() {
    let app = TestApp::start().await;
    for name in DOCUMENTS {
        let path = format!("/{name}");
        assert!(routes::TABLE.contains(&("GET", path.as_str())), "{path}");
        let page = app.browser().get(&path).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/plain; charset=utf-8"), "{name}");
        assert_eq!(page.text(), read(name), "{name}");
        assert!(page.text().len() > 500, "{name} says something");
    }
    assert!(read("CHANGELOG.md").contains(&format!("## {}", env!("CARGO_PKG_VERSION"))));
    assert!(read("LICENSE").contains("MIT"));
}
