//! Every route, in the order of the Rails sample's routes. tests/app/routes.rs checks the list.

use actix_web::dev::ServiceRequest;
use actix_web::guard;
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route};

use crate::controllers::{
    account_activations, documents, email_changes, email_restores, form_addresses, health, inbox, microposts,
    other_sessions, outbox, password_resets, pictures, relationships, ses_notifications, sessions, stack,
    static_files, static_pages, suppressions, users,
};
use crate::error::{Error, Result};
use crate::web::form::Form;
use crate::web::middleware::admission::controller::Class;
use crate::web::middleware::authentication::authenticate;
use crate::web::middleware::read_your_writes::read_your_writes;
use crate::web::middleware::run_detached::run_detached;

/// Writes the tables below twice: as data, and as actix's configuration.
macro_rules! routes {
    (
        authenticated { $($path:literal => $($verb:ident $(($class:ident))? $handler:path),+;)+ }
        anonymous { $($public_path:literal => $($public_verb:ident $public_handler:path),+;)+ }
    ) => {
        /// Verb and path of every route.
        pub const TABLE: &[(&str, &str)] =
            &[$($((stringify!($verb), $path)),+,)+ $($((stringify!($public_verb), $public_path)),+),+];

        /// The routes that read and have a class.
        const CLASSES: &[(&str, Class)] = &[$($($(($path, Class::$class),)?)+)+];

        pub fn configure(config: &mut ServiceConfig) {
            $(
                let resource = resource!($path => $($verb $handler),+);
                let resource = resource.wrap(from_fn(read_your_writes)).wrap(from_fn(authenticate));
                config.service(resource.wrap(from_fn(run_detached)));
            )+
            $(
                let resource = resource!($public_path => $($public_verb $public_handler),+);
                config.service(resource.wrap(from_fn(run_detached)));
            )+
            config.default_service(
                web::to(not_found).wrap(from_fn(authenticate)).wrap(from_fn(run_detached)),
            );
        }
    };
}

macro_rules! resource {
    ($path:literal => $($verb:ident $handler:path),+) => {
        web::resource($path)
            $(.route(route(stringify!($verb)).to($handler)))+
            .default_service(web::to(|req| not_allowed(req, &[$(stringify!($verb)),+])))
    };
}

routes! {
    // GET(List), GET(Profile): see `class_of`.
    // web/middleware/authentication.rs looks up the session or the remembered device.
    authenticated {
        "/"                                 => GET(List) static_pages::home;
        "/help"                             => GET static_pages::help;
        "/about"                            => GET static_pages::about;
        "/contact"                          => GET static_pages::contact;
        "/signup"                           => GET users::new;
        "/login"                            => GET sessions::new, POST sessions::create;
        "/logout"                           => GET form_addresses::show, DELETE sessions::destroy;
        "/other_sessions"                   => GET form_addresses::show, DELETE other_sessions::destroy;
        "/users"                            => GET(List) users::index, POST users::create;
        "/users/{id}"                       => GET(Profile) users::show, PATCH users::update, DELETE users::destroy;
        "/users/{id}/edit"                  => GET(Profile) users::edit;
        "/users/{id}/delete"                => GET(Profile) users::delete;
        "/users/{id}/following"             => GET(List) relationships::following;
        "/users/{id}/followers"             => GET(List) relationships::followers;
        "/account_activations"              => GET form_addresses::show, POST account_activations::create;
        "/account_activations/new"          => GET account_activations::new;
        "/account_activations/{token}"      => GET account_activations::show, PATCH account_activations::update;
        "/account_activations/{token}/edit" => GET account_activations::edit;
        "/account_activations/{token}/edit/" => GET account_activations::edit;
        "/password_resets"                  => GET form_addresses::show, POST password_resets::create;
        "/password_resets/new"              => GET password_resets::new;
        "/password_resets/{token}"          => GET password_resets::show, PATCH password_resets::update;
        "/password_resets/{token}/edit"     => GET password_resets::edit;
        "/password_resets/{token}/edit/"    => GET password_resets::edit;
        "/email_changes"                    => GET form_addresses::show, POST email_changes::create, DELETE email_changes::destroy;
        "/email_changes/{token}"            => GET email_changes::show, PATCH email_changes::update;
        "/email_changes/{token}/edit"       => GET email_changes::edit;
        "/email_changes/{token}/edit/"      => GET email_changes::edit;
        "/email_restores/{token}"           => GET email_restores::show, PATCH email_restores::update;
        "/email_restores/{token}/edit"      => GET email_restores::edit;
        "/email_restores/{token}/edit/"     => GET email_restores::edit;
        "/microposts"                       => GET form_addresses::show, POST microposts::create;
        "/microposts/{id}"                  => DELETE microposts::destroy;
        "/microposts/{id}/delete"           => GET(Profile) microposts::delete;
        "/relationships"                    => GET form_addresses::show, POST relationships::create;
        "/relationships/{id}"               => GET form_addresses::show, DELETE relationships::destroy;
        "/admin/outbox"                     => GET(List) outbox::index, PATCH outbox::update_all;
        "/admin/outbox/{id}"                => GET form_addresses::show, PATCH outbox::update;
        "/admin/suppressions"               => GET(List) suppressions::index;
        "/admin/suppressions/{id}"          => GET form_addresses::show, DELETE suppressions::destroy;
        "/inbox"                            => GET inbox::index;
        "/inbox/{name}"                     => GET inbox::show;
        "/stack"                            => GET stack::show;
    }
    // No look-up: these responses are the same for everybody.
    anonymous {
        "/pictures/{key}"                   => GET pictures::show;
        "/avatars/{id}"                     => GET pictures::avatar;
        "/webhooks/ses"                     => POST ses_notifications::create;
        "/static/{name:.*}"                 => GET static_files::show;
        "/favicon.ico"                      => GET static_files::favicon;
        "/robots.txt"                       => GET static_files::robots;
        "/docs/walkthrough/{chapter:.*}"    => GET documents::walkthrough;
        "/README.md"                        => GET documents::readme;
        "/ARCHITECTURE.md"                  => GET documents::architecture;
        "/CHANGELOG.md"                     => GET documents::changelog;
        "/LICENSE"                          => GET documents::license;
        "/livez"                            => GET health::livez;
        "/readyz"                           => GET health::readyz;
    }
}

/// What an overloaded worker refuses, in which order. Whatever changes something is last; the table above says what is
/// first. All else costs no more than a refusal, or is a health check.
pub fn class_of(req: &ServiceRequest) -> Option<Class> {
    if !req.method().is_safe() {
        return Some(Class::Write);
    }
    // The decoded path, which actix's router matches, too.
    let path = req.match_info().unprocessed();
    CLASSES.iter().find(|(pattern, _)| matches(pattern, path)).map(|&(_, class)| class)
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == part || (wanted.starts_with('{') && !part.is_empty()) => {
            }
            _ => return false,
        }
    }
}

/// A GET route also answers HEAD, without the body (RFC 9110, section 9.3.2).
fn route(verb: &'static str) -> Route {
    match verb {
        "GET" => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        "POST" => web::post(),
        "PATCH" => web::patch(),
        _ => web::delete(),
    }
}

async fn not_allowed(req: HttpRequest, verbs: &'static [&'static str]) -> Result<HttpResponse> {
    if let Some(error) = Form::unreadable(&req) {
        return Err(error);
    }
    Ok(HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, verbs.join(", ").replace("GET", "GET, HEAD")))
        .finish())
}

async fn not_found() -> Result<HttpResponse> {
    Err(Error::NotFound)
}
