//! Forms that ask for a mail with a link. Whether or not a mail is sent, the response is the same and takes the same
//! time (OWASP Forgot Password): the request is queued, and a worker finds out whether the address gets a mail.

use actix_web::HttpResponse;
use askama::Template;

use crate::error::Result;
use crate::mail::request::MailRequest;
use crate::models::mail_token::Purpose;
use crate::models::values::email::Email;
use crate::models::values::validation::FieldErrors;
use crate::views::Layout;
use crate::web::flash::FlashKind;
use crate::web::form::Form;
use crate::web::visitor::Visitor;

pub(super) struct MailRequestForm<P> {
    /// Purpose of the link in the mail.
    pub(super) purpose: Purpose,
    pub(super) title: &'static str,
    /// Name of the field with the address.
    pub(super) field: &'static str,
    /// What the visitor reads after every request that was queued.
    pub(super) message: &'static str,
    /// Builds the page with the form, from its errors and the submitted address.
    pub(super) page: fn(Layout, FieldErrors, String) -> P,
}

impl<P: Template> MailRequestForm<P> {
    /// The empty form.
    pub(super) fn show(&self, visitor: &Visitor) -> Result<HttpResponse> {
        visitor.render(&(self.page)(visitor.layout(self.title), FieldErrors::default(), String::new()))
    }

    /// Queues the request, or shows the form again.
    pub(super) async fn submit(&self, visitor: &Visitor, form: &Form) -> Result<HttpResponse> {
        let typed = form.get(self.field);
        let email = match Email::parse(typed) {
            Ok(email) => email,
            Err(message) => {
                let errors = FieldErrors::one("email", message);
                let page = (self.page)(visitor.layout(self.title), errors, typed.to_owned());
                return visitor.render_invalid_form(&page);
            }
        };
        if let Err(error) = visitor.count_mail(email.as_str()).await {
            let page = |layout| (self.page)(layout, FieldErrors::default(), typed.to_owned());
            return visitor.render_rate_limited_form(error, self.title, page);
        }
        let app = &visitor.app;
        MailRequest::push(&mut app.db.conn().await?, self.purpose, &email, app.clock.now()).await?;
        app.mail_request_wakeup.wake();
        visitor.redirect_with_flash("/", FlashKind::Info, self.message)
    }
}
