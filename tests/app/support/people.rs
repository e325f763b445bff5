//! Test users. Accounts are created in the database, which is fast; log-in goes through the form.

use sample_app::models::user::{SignedUp, User};
use sample_app::models::values::email::Email;
use sample_app::models::values::name::Name;

use super::{Browser, Page, TestApp};

/// The password of all test users.
pub const PASSWORD: &str = "correct horse battery";

#[derive(Clone)]
pub struct Person {
    pub id: i64,
    pub name: String,
    pub email: String,
}

impl TestApp {
    /// A user with an activated account: "michael" is michael@example.com.
    pub async fn db_person(&self, name: &str) -> Person {
        let person = self.db_unactivated(name).await;
        let mut db = self.app.db.conn().await.unwrap();
        User::activate(&mut db, person.id, self.app.clock.now()).await.unwrap();
        person
    }

    /// A user whose account is not activated yet.
    pub async fn db_unactivated(&self, name: &str) -> Person {
        let address = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let (parsed_name, email) = (Name::parse(name).unwrap(), Email::parse(&address).unwrap());
        let now = self.app.clock.now();
        let digest = &self.app.passwords.hash_unchecked(PASSWORD).await.unwrap();
        let signed_up = self
            .app
            .db
            .transaction(async |db| User::sign_up(db, &parsed_name, &email, digest, now).await)
            .await
            .unwrap();
        let SignedUp::Waiting(id) = signed_up else { panic!("{name} is there twice") };
        Person { id, name: name.to_owned(), email: address }
    }

    /// An admin.
    pub async fn db_admin(&self, name: &str) -> Person {
        let person = self.db_person(name).await;
        self.app
            .db
            .transaction(async |db| User::set_admin(db, person.id, true, self.app.clock.now()).await)
            .await
            .unwrap();
        person
    }

    /// Waits until no data of a deleted user is left.
    pub async fn is_removed(&self, person: &Person) {
        let there = format!("SELECT COUNT(*) FROM users WHERE id = {}", person.id);
        self.database.db_until(&there, 0).await;
    }

    /// A browser in which this user is logged in.
    pub async fn logged_in(&self, person: &Person) -> Browser {
        let mut browser = self.browser();
        let page = browser.log_in(&person.email, PASSWORD).await;
        assert_eq!((page.status, page.path.as_str()), (200, format!("/users/{}", person.id).as_str()));
        browser
    }
}

impl Browser {
    /// Fills in the log-in form.
    pub async fn log_in(&mut self, email: &str, password: &str) -> Page {
        let form = self.get("/login").await.form("Log in");
        self.submit(form.set("session[email]", email).set("session[password]", password)).await
    }

    /// The same, with "remember me" checked.
    pub async fn log_in_remembered(&mut self, email: &str, password: &str) -> Page {
        let form = self.get("/login").await.form("Log in").set("session[remember_me]", "1");
        self.submit(form.set("session[email]", email).set("session[password]", password)).await
    }

    /// Fills in the sign-up form, with `password` as the confirmation too.
    pub async fn sign_up(&mut self, name: &str, email: &str, password: &str) -> Page {
        let form = self.get("/signup").await.form("Create my account");
        let form = form.set("user[name]", name).set("user[email]", email);
        self.submit(form.set("user[password]", password).set("user[password_confirmation]", password)).await
    }

    /// Fills in the form for a forgotten password.
    pub async fn ask_reset(&mut self, email: &str) -> Page {
        let form = self.get("/password_resets/new").await.form("Submit");
        self.submit(form.set("password_reset[email]", email)).await
    }

    /// The session cookie.
    pub fn session(&self) -> Option<&str> {
        self.cookies.get("session").map(String::as_str)
    }

    /// Drops the cookies that a browser drops on close.
    pub fn close(&mut self) {
        self.cookies.remove("session");
    }

    pub async fn is_logged_in(&mut self) -> bool {
        let page = self.get("/help").await;
        assert_eq!(page.status, 200);
        !page.has("a[href='/login']")
    }
}
