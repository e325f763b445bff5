//! The route table filled with real ids, for tests that go through all routes.

use sample_app::routes::TABLE;

use super::TestApp;
use super::people::Person;

/// A user who owns one of everything that a path can name.
pub struct Owner {
    pub person: Person,
    pub micropost: i64,
    pub relationship: i64,
}

/// Key of the picture of every [`Owner`]'s post.
pub const PICTURE: &str = "0123456789abcdef0123456789abcdef.png";

impl TestApp {
    /// A user with a post with a picture, who follows another user.
    pub async fn db_owner(&self, name: &str) -> Owner {
        let (person, followed) =
            (self.db_person(name).await, self.db_person(&format!("{name}s friend")).await);
        let id = person.id;
        let at = "'2026-01-02 03:04:05'";
        for statement in [
            format!(
                "INSERT INTO microposts (user_id, content, picture, created_at) VALUES ({id}, 'Text', '{PICTURE}', {at})"
            ),
            format!("UPDATE users SET microposts_count = 1, following_count = 1 WHERE id = {id}"),
            format!(
                "INSERT INTO relationships (follower_id, followed_id, created_at) VALUES ({id}, {}, {at})",
                followed.id
            ),
        ] {
            self.database.db_execute(&statement).await;
        }
        let images = self.folder.path().join("images");
        std::fs::create_dir_all(&images).unwrap();
        std::fs::write(images.join(PICTURE), b"\x89PNG").unwrap();
        let newest = |table: &str, column: &str| format!("SELECT MAX(id) FROM {table} WHERE {column} = {id}");
        Owner {
            micropost: self.database.db_number(&newest("microposts", "user_id")).await,
            relationship: self.database.db_number(&newest("relationships", "follower_id")).await,
            person,
        }
    }
}

/// The route's path with the owner's ids and an invalid token.
pub fn filled(path: &str, owner: &Owner) -> String {
    let id = match path {
        _ if path.starts_with("/microposts") => owner.micropost,
        _ if path.starts_with("/relationships") => owner.relationship,
        _ => owner.person.id,
    };
    path.replace("{id}", &id.to_string())
        .replace("{token}", &"0".repeat(64))
        .replace("{key}", PICTURE)
        .replace("{name:.*}", "app.css")
        .replace("{chapter:.*}", "ko/05-database.md")
        .replace("{name}", "0123456789abcdef")
}

/// Valid form fields for a route; `unique` gives a new user name at sign-up.
pub fn form_for(verb: &str, path: &str, owner: &Owner, unique: &str) -> Vec<(&'static str, String)> {
    let (email, id) = (owner.person.email.clone(), owner.person.id.to_string());
    let password = super::people::PASSWORD;
    let form: Vec<(&'static str, &str)> = match (verb, path) {
        ("POST", "/login") => vec![("session[email]", &email), ("session[password]", password)],
        ("POST", "/users") => vec![
            ("user[name]", "New"),
            ("user[email]", unique),
            ("user[password]", password),
            ("user[password_confirmation]", password),
        ],
        ("PATCH", "/users/{id}") => vec![("user[name]", "Renamed"), ("user[email]", &email)],
        ("POST", "/account_activations") => vec![("account_activation[email]", &email)],
        ("POST", "/password_resets") => vec![("password_reset[email]", &email)],
        ("PATCH", "/password_resets/{token}" | "/email_restores/{token}") => {
            vec![("email", &email), ("user[password]", password), ("user[password_confirmation]", password)]
        }
        ("POST", "/microposts") => vec![("micropost[content]", "A post")],
        ("POST", "/relationships") => vec![("followed_id", &id)],
        ("PATCH", "/account_activations/{token}" | "/email_changes/{token}") => vec![("email", &email)],
        ("POST", "/email_changes") => vec![],
        ("DELETE", _) | ("PATCH", "/admin/outbox" | "/admin/outbox/{id}") | ("POST", "/webhooks/ses") => {
            vec![]
        }
        other => panic!("no form for {other:?}"),
    };
    form.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// All GET routes.
pub fn gets() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|(verb, _)| *verb == "GET").map(|(_, path)| *path)
}

/// All routes with other methods, which may change something.
pub fn unsafe_routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().filter(|(verb, _)| *verb != "GET").copied()
}
