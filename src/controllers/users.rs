//! Users: sign-up, list, profile, settings, and deletion by an admin.

use actix_web::HttpResponse;
use askama::Template;

use super::email_changes;
use super::most_followed::{self, Leader};
use crate::error::{Error, Result};
use crate::mail::messages;
use crate::mail::outbox;
use crate::models::email_restore;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::micropost::Micropost;
use crate::models::person::Person;
use crate::models::relationship;
use crate::models::user::{SignedUp, User};
use crate::models::values::email::Email;
use crate::models::values::name::Name;
use crate::models::values::page::{Page, PageStart};
use crate::models::values::password::NewPassword;
use crate::models::values::validation::FieldErrors;
use crate::services::rate_limits::{LOG_IN, SIGN_UP};
use crate::views::Layout;
use crate::web::draft::Draft;
use crate::web::flash::FlashKind;
use crate::web::form::Form;
use crate::web::params::Id;
use crate::web::roles::{Admin, CurrentUser};
use crate::web::sign_in::{audit, audit_admin};
use crate::web::sign_up;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "users/index.html")]
struct Index {
    layout: Layout,
    users: Page<Person>,
    most_followed: Vec<Leader>,
}

/// GET /users
pub async fn index(current_user: CurrentUser, from: PageStart) -> Result<HttpResponse> {
    let layout = current_user.layout("All users");
    let (users, most_followed) = tokio::join!(
        current_user.with_read_conn(async |db| Person::page(db, from).await),
        most_followed::list(&current_user.app, &layout),
    );
    let (users, most_followed) = (users?.or_not_found()?, most_followed?);
    current_user.render(&Index { layout, users, most_followed })
}

#[derive(Template)]
#[template(path = "users/show.html")]
struct Show {
    layout: Layout,
    user: User,
    microposts: Page<Micropost>,
    /// Id of the row by which the visitor follows this user.
    follow: Option<i64>,
    /// The post that was refused before the visitor logged in. A log-in leads to this page.
    draft: Option<Draft>,
    errors: FieldErrors,
}

/// GET /users/{id}
pub async fn show(visitor: Visitor, id: Id, from: PageStart) -> Result<HttpResponse> {
    let follow = async {
        match &visitor.user {
            Some(follower) => {
                visitor.with_read_conn(async |db| relationship::find(db, follower.id, id.0).await).await
            }
            None => Ok(None),
        }
    };
    let (user, microposts, follow) = tokio::join!(
        visitor.with_read_conn(async |db| User::find_activated(db, id.0).await),
        visitor.with_read_conn(async |db| Micropost::written_by(db, id.0, from).await),
        follow,
    );
    let (user, follow) = (user?, follow?);
    let microposts = microposts?.or_not_found()?.map(|post| post.by(&user));
    let draft = visitor
        .draft()
        .filter(|_| visitor.user.as_ref().is_some_and(|author| author.is(user.id)))
        .map(Draft::with_key);
    let (layout, errors) = (visitor.layout(&user.name), FieldErrors::default());
    visitor.render(&Show { layout, user, microposts, follow, draft, errors })
}

#[derive(Template)]
#[template(path = "users/new.html")]
struct New {
    layout: Layout,
    errors: FieldErrors,
    name: String,
    email: String,
}

/// GET /signup
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    let layout = visitor.layout("Sign up");
    visitor.render(&New { layout, errors: FieldErrors::default(), name: String::new(), email: String::new() })
}

/// POST /users. The response is the same whether or not the address has an account (ASVS 6.3.8); only the owner of the
/// address is told, by mail.
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    let (name, email) = (form.get("user[name]"), form.get("user[email]"));
    let mut errors = FieldErrors::default();
    let checked = (
        errors.check("name", Name::parse(name)),
        errors.check("email", Email::parse(email)),
        NewPassword::parse(form.get("user[password]"), form.get("user[password_confirmation]"), &mut errors),
    );
    let (Some(name), Some(email), Some(password)) = checked else {
        let (name, email) = (name.to_owned(), email.to_owned());
        return visitor.render_invalid_form(&New { layout: visitor.layout("Sign up"), errors, name, email });
    };
    let counted = match visitor.count_client(&SIGN_UP).await {
        Ok(()) => visitor.count_mail(email.as_str()).await,
        refused => refused,
    };
    if let Err(error) = counted {
        let (name, email) = (form.get("user[name]").to_owned(), form.get("user[email]").to_owned());
        return visitor.render_rate_limited_form(error, "Sign up", |layout| New {
            layout,
            errors,
            name,
            email,
        });
    }
    let app = &visitor.app;
    let (digest, now) = (app.passwords.hash(&password).await?, app.clock.now());
    app.db
        .transaction(async |db| {
            let mail = match User::sign_up(db, &name, &email, &digest, now).await? {
                SignedUp::Waiting(id) => {
                    let token = MailToken::issue(db, id, Purpose::Activation, email.as_str(), now).await?;
                    messages::activation(&app.config, email.as_str(), &token)?
                }
                SignedUp::Taken => match User::find_by_email(db, &email).await? {
                    Some(owner) => messages::address_taken(&app.config, &owner)?,
                    None => return Ok(()),
                },
                SignedUp::Racing => return Ok(()),
            };
            outbox::push(db, &mail, now).await
        })
        .await?;
    app.mail_wakeup.wake();
    sign_up::remember(&visitor, email.as_str(), &digest);
    visitor.redirect_with_flash("/", FlashKind::Info, "Please check your email to activate your account.")
}

#[derive(Template)]
#[template(path = "users/edit.html")]
struct Edit {
    layout: Layout,
    errors: FieldErrors,
    name: String,
    email: String,
    /// The new address, until its link is followed.
    pending_email: Option<String>,
}

impl Edit {
    async fn load(current_user: &CurrentUser) -> Result<Edit> {
        let mut db = current_user.app.db.conn().await?;
        let pending_email =
            MailToken::pending_email(&mut db, current_user.id(), current_user.app.clock.now()).await?;
        let (name, email) = (current_user.user.name.clone(), current_user.user.email.clone());
        Ok(Edit {
            layout: current_user.layout("Edit user"),
            errors: FieldErrors::default(),
            name,
            email,
            pending_email,
        })
    }

    /// The page with the submitted name and address.
    async fn filled_in(current_user: &CurrentUser, form: &Form, errors: FieldErrors) -> Result<Edit> {
        let (name, email) = (form.get("user[name]").to_owned(), form.get("user[email]").to_owned());
        Ok(Edit { errors, name, email, ..Edit::load(current_user).await? })
    }
}

/// GET /users/{id}/edit
pub async fn edit(current_user: CurrentUser, id: Id) -> Result<HttpResponse> {
    require_self(&current_user, id)?;
    current_user.render(&Edit::load(&current_user).await?)
}

/// PATCH /users/{id}. An empty password means "unchanged"; a new password or address asks for the current password.
pub async fn update(current_user: CurrentUser, id: Id, form: Form) -> Result<HttpResponse> {
    require_self(&current_user, id)?;
    let (app, user) = (&current_user.app, &current_user.user);
    let mut errors = FieldErrors::default();
    let name = errors.check("name", Name::parse(form.get("user[name]")));
    let email = errors.check("email", Email::parse(form.get("user[email]")));
    let (typed, confirmation) = (form.get("user[password]"), form.get("user[password_confirmation]"));
    let wants_password = !typed.is_empty() || !confirmation.is_empty();
    let password = if wants_password { NewPassword::parse(typed, confirmation, &mut errors) } else { None };
    let new_email = email.filter(|email| email.as_str() != user.email);
    if wants_password || new_email.is_some() {
        if let Err(error) = current_user.count(&LOG_IN, &user.email).await {
            return too_often(&current_user, &form, error).await;
        }
        let current = form.get("user[current_password]");
        if current.is_empty() {
            errors.add("current_password", "is needed to change the password or the address");
        } else if !app.passwords.matches(current, Some(&user.password_digest)).await? {
            audit("password_refused", Some(user.id));
            errors.add("current_password", "That is not your current password");
        }
    }
    let (Some(name), true) = (name, errors.is_empty()) else {
        return current_user.render_invalid_form(&Edit::filled_in(&current_user, &form, errors).await?);
    };
    if let Some(email) = &new_email
        && let Err(error) = current_user.count_mail(email.as_str()).await
    {
        return too_often(&current_user, &form, error).await;
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
                outbox::push(db, &messages::password_changed(&app.config, user)?, now).await?;
            }
            if let Some(email) = &new_email {
                email_changes::send_link(&current_user, db, email).await?;
                // Notifies the current address (ASVS 6.3.7).
                let restore = email_restore::issue(db, user.id, &user.email, now).await?;
                let mail = messages::email_is_changing(&app.config, user, email.as_str(), &restore)?;
                outbox::push(db, &mail, now).await?;
            }
            User::find(db, user.id).await?.ok_or(Error::NotFound)
        })
        .await?;
    if user.name != current_user.user.name {
        most_followed::renamed(app).await;
    }
    if digest.is_some() {
        audit("password_changed", Some(user.id));
        current_user.log_in_again(&user).await?;
    }
    app.mail_wakeup.wake();
    let mut message = "Profile updated".to_owned();
    if digest.is_some() {
        message += ". Your password was changed, and all other devices were logged out";
    }
    if new_email.is_some() {
        message += ". Your new address counts once you follow the link in the mail sent there";
    }
    if message.contains('.') {
        message.push('.');
    }
    current_user.redirect_with_flash(&format!("/users/{}", user.id), FlashKind::Success, &message)
}

async fn too_often(current_user: &CurrentUser, form: &Form, error: Error) -> Result<HttpResponse> {
    let page = Edit::filled_in(current_user, form, FieldErrors::default()).await?;
    current_user.render_rate_limited_form(error, "Edit user", |layout| Edit { layout, ..page })
}

#[derive(Template)]
#[template(path = "users/delete.html")]
struct Delete {
    layout: Layout,
    user: User,
}

/// GET /users/{id}/delete: the confirmation for browsers without JavaScript.
pub async fn delete(admin: Admin, id: Id) -> Result<HttpResponse> {
    let user = User::find(&mut admin.app.db.conn().await?, id.0).await?.ok_or(Error::NotFound)?;
    admin.render(&Delete { layout: admin.layout("Delete user"), user })
}

/// DELETE /users/{id}
pub async fn destroy(admin: Admin, id: Id) -> Result<HttpResponse> {
    let app = &admin.app;
    let user = User::find(&mut app.db.conn().await?, id.0).await?.ok_or(Error::NotFound)?;
    let now = app.clock.now();
    if !app.db.transaction(async |db| User::delete(db, id.0, now).await).await? {
        audit_admin("user_not_deleted", id.0, admin.id());
        return admin.redirect_with_flash("/users", FlashKind::Danger, "The last admin cannot be deleted");
    }
    app.jobs_wakeup.wake();
    most_followed::deleted(app, id.0).await;
    audit_admin("user_deleted", id.0, admin.id());
    admin.redirect_with_flash("/users", FlashKind::Success, &format!("User deleted: {}", user.name))
}

/// Refuses another user's settings with a redirect to the home page, as in the Rails sample.
fn require_self(current_user: &CurrentUser, id: Id) -> Result<()> {
    if current_user.user.is(id.0) { Ok(()) } else { Err(Error::NotAllowed) }
}
