//! People: sign-up, list, profile, settings, and the admin's delete.

use actix_web::HttpResponse;
use askama::Template;

use super::most_followed::{self, Leader};
use crate::error::{Error, Result};
use crate::mails;
use crate::models::email::Email;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::micropost::Micropost;
use crate::models::name::Name;
use crate::models::outbox;
use crate::models::page::{Page, PageNumber};
use crate::models::password::NewPassword;
use crate::models::person::Person;
use crate::models::relationship;
use crate::models::user::{SignedUp, User};
use crate::models::validation::Errors;
use crate::services::bookmarks;
use crate::services::limits::{LOG_IN, MAIL, SIGN_UP};
use crate::views::Layout;
use crate::web::draft::Draft;
use crate::web::flash::Kind;
use crate::web::form::Form;
use crate::web::params::Id;
use crate::web::roles::{Admin, SignedIn};
use crate::web::sign_in::{audit, audit_admin};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "users/index.html")]
struct Index {
    layout: Layout,
    users: Page<Person>,
    most_followed: Vec<Leader>,
}

/// GET /users
pub async fn index(me: SignedIn, page: PageNumber) -> Result<HttpResponse> {
    let load = async |from| Person::page(&mut me.app.db.conn().await?, from).await;
    let users = bookmarks::page(&me.app.cache, "users", page, load).await?.or_not_found()?;
    let layout = me.layout("All users");
    let most_followed = most_followed::list(&me.app, &layout).await?;
    me.page(&Index { layout, users, most_followed })
}

#[derive(Template)]
#[template(path = "users/show.html")]
struct Show {
    layout: Layout,
    user: User,
    microposts: Page<Micropost>,
    /// Id of the visitor's follow of this person.
    follow: Option<i64>,
    /// What the visitor was about to post before logging in: one's own profile is where a log-in leads.
    draft: Option<Draft>,
    errors: Errors,
}

/// GET /users/{id}
pub async fn show(visitor: Visitor, id: Id, page: PageNumber) -> Result<HttpResponse> {
    let mut db = visitor.app.db.conn().await?;
    let user = User::find_activated(&mut db, id.0).await?;
    let (list, load) = (format!("posts:{}", user.id), async |from| Micropost::by(&mut db, &user, from).await);
    let microposts = bookmarks::page(&visitor.app.cache, &list, page, load).await?.or_not_found()?;
    let follow = match &visitor.me {
        Some(me) => relationship::find(&mut db, me.id, user.id).await?,
        None => None,
    };
    let draft =
        visitor.draft().filter(|_| visitor.me.as_ref().is_some_and(|me| me.is(user.id))).map(Draft::with_key);
    let (layout, errors) = (visitor.layout(&user.name), Errors::default());
    visitor.page(&Show { layout, user, microposts, follow, draft, errors })
}

/// The form for a new account, and the settings.
#[derive(Template)]
#[template(path = "users/new.html")]
struct New {
    layout: Layout,
    errors: Errors,
    name: String,
    email: String,
}

/// GET /signup
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    let layout = visitor.layout("Sign up");
    visitor.page(&New { layout, errors: Errors::default(), name: String::new(), email: String::new() })
}

/// POST /users. Answers alike whether or not the address has an account (ASVS 6.3.8): only its owner learns, by mail.
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    let (name, email) = (form.get("user[name]"), form.get("user[email]"));
    let mut errors = Errors::default();
    let checked = (
        errors.check("name", Name::parse(name)),
        errors.check("email", Email::parse(email)),
        NewPassword::parse(form.get("user[password]"), form.get("user[password_confirmation]"), &mut errors),
    );
    let (Some(name), Some(email), Some(password)) = checked else {
        let (name, email) = (name.to_owned(), email.to_owned());
        return visitor.form_again(&New { layout: visitor.layout("Sign up"), errors, name, email });
    };
    visitor.count_client(&SIGN_UP).await?;
    visitor.count(&MAIL, email.as_str()).await?;
    let app = &visitor.app;
    let (digest, now) = (app.passwords.hash(&password).await?, app.clock.now());
    app.db
        .transaction(async |db| {
            let mail = match User::sign_up(db, &name, &email, &digest, now).await? {
                SignedUp::Waiting(id) => {
                    let token = MailToken::issue(db, id, Purpose::Activation, email.as_str(), now).await?;
                    mails::activation(&app.config, email.as_str(), name.as_str(), &token)?
                }
                SignedUp::Taken => match User::find_by_email(db, &email).await? {
                    Some(owner) => mails::address_taken(&app.config, &owner)?,
                    None => return Ok(()),
                },
                SignedUp::Racing => return Ok(()),
            };
            outbox::push(db, &mail, now).await
        })
        .await?;
    app.mail_wakeup.wake();
    visitor.go_saying("/", Kind::Info, "Please check your email to activate your account.")
}

#[derive(Template)]
#[template(path = "users/edit.html")]
struct Edit {
    layout: Layout,
    errors: Errors,
    name: String,
    email: String,
}

/// GET /users/{id}/edit
pub async fn edit(me: SignedIn, id: Id) -> Result<HttpResponse> {
    only_oneself(&me, id)?;
    let (name, email) = (me.me.name.clone(), me.me.email.clone());
    me.page(&Edit { layout: me.layout("Edit user"), errors: Errors::default(), name, email })
}

/// PATCH /users/{id}. An empty password means "unchanged"; a new password or address asks for the current password.
pub async fn update(me: SignedIn, id: Id, form: Form) -> Result<HttpResponse> {
    only_oneself(&me, id)?;
    let (app, user) = (&me.app, &me.me);
    let mut errors = Errors::default();
    let name = errors.check("name", Name::parse(form.get("user[name]")));
    let email = errors.check("email", Email::parse(form.get("user[email]")));
    let (typed, confirmation) = (form.get("user[password]"), form.get("user[password_confirmation]"));
    let wants_password = !typed.is_empty() || !confirmation.is_empty();
    let password = if wants_password { NewPassword::parse(typed, confirmation, &mut errors) } else { None };
    let new_email = email.filter(|email| email.as_str() != user.email);
    if wants_password || new_email.is_some() {
        me.count(&LOG_IN, &user.email).await?;
        let current = form.get("user[current_password]");
        if !app.passwords.matches(current, Some(&user.password_digest)).await? {
            audit("password_refused", Some(user.id));
            errors.add("current_password", "is needed to change the password or the address");
        }
    }
    let (Some(name), true) = (name, errors.is_empty()) else {
        let (name, email) = (form.get("user[name]").to_owned(), form.get("user[email]").to_owned());
        return me.form_again(&Edit { layout: me.layout("Edit user"), errors, name, email });
    };
    if let Some(email) = &new_email {
        me.count(&MAIL, email.as_str()).await?;
    }
    let digest = match password {
        Some(password) => Some(app.passwords.hash(&password).await?),
        None => None,
    };
    let now = app.clock.now();
    let user = app
        .db
        .transaction(async |db| {
            User::lock_current(db, user).await?;
            User::rename(db, user.id, &name, now).await?;
            if let Some(digest) = &digest {
                User::change_password(db, user.id, digest, now).await?;
            }
            if let Some(email) = &new_email {
                ask_new_address(&me, db, email).await?;
            }
            User::find(db, user.id).await?.ok_or(Error::NotFound)
        })
        .await?;
    if user.name != me.me.name {
        most_followed::renamed(app).await;
    }
    if digest.is_some() {
        audit("password_changed", Some(user.id));
        me.log_in_again(&user).await?;
    }
    app.mail_wakeup.wake();
    let saved = match new_email {
        Some(_) => {
            "Profile updated. Your new address counts once you follow the link in the mail sent there."
        }
        None => "Profile updated",
    };
    me.go_saying(&format!("/users/{}", user.id), Kind::Success, saved)
}

/// A new address counts once its own link was followed; the old one is told (ASVS 6.3.7). Who has the address already
/// learns of it, and the one who asks does not.
async fn ask_new_address(me: &SignedIn, db: &mut crate::db::Conn, email: &Email) -> Result<()> {
    let (app, user, now) = (&me.app, &me.me, me.app.clock.now());
    // Either way: an earlier link that went on working would tell that this address is taken.
    MailToken::revoke(db, user.id, Purpose::EmailChange).await?;
    let owner = User::find_by_email(db, email).await?.filter(|owner| owner.activated_at.is_some());
    let mail = match owner {
        Some(owner) => mails::address_taken(&app.config, &owner)?,
        None => {
            let token = MailToken::issue(db, user.id, Purpose::EmailChange, email.as_str(), now).await?;
            mails::email_change(&app.config, user, email.as_str(), &token)?
        }
    };
    outbox::push(db, &mail, now).await?;
    outbox::push(db, &mails::email_is_changing(&app.config, user, email.as_str())?, now).await
}

#[derive(Template)]
#[template(path = "users/delete.html")]
struct Delete {
    layout: Layout,
    user: User,
}

/// GET /users/{id}/delete: asks first, where no JavaScript does.
pub async fn delete(admin: Admin, id: Id) -> Result<HttpResponse> {
    let user = User::find(&mut admin.app.db.conn().await?, id.0).await?.ok_or(Error::NotFound)?;
    admin.page(&Delete { layout: admin.layout("Delete user"), user })
}

/// DELETE /users/{id}
pub async fn destroy(admin: Admin, id: Id) -> Result<HttpResponse> {
    let app = &admin.app;
    let user = User::find(&mut app.db.conn().await?, id.0).await?.ok_or(Error::NotFound)?;
    let now = app.clock.now();
    if !app.db.transaction(async |db| User::delete(db, id.0, now).await).await? {
        audit_admin("user_not_deleted", id.0, admin.me.id);
        return admin.go_saying("/users", Kind::Danger, "The last admin cannot be deleted");
    }
    app.picture_deletion_wakeup.wake();
    most_followed::deleted(app, id.0).await;
    audit_admin("user_deleted", id.0, admin.me.id);
    admin.go_saying("/users", Kind::Success, &format!("User deleted: {}", user.name))
}

/// Somebody else's settings: home, as in the original.
fn only_oneself(me: &SignedIn, id: Id) -> Result<()> {
    if me.me.is(id.0) { Ok(()) } else { Err(Error::NotAllowed) }
}
