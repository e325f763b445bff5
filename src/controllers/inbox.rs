//! /inbox: the mails that were not sent, for developers. In development only, and only for a browser on the same
//! machine that uses a local host name, so that no page elsewhere can read it.

use std::path::Path as FilePath;
use std::time::SystemTime;

use actix_web::http::header::HOST;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use mailparse::{MailHeaderMap, ParsedMail};

use crate::error::{Error, Result};
use crate::views::Layout;
use crate::web::visitor::Visitor;

struct Mail {
    name: String,
    to: String,
    subject: String,
    date: String,
}

#[derive(Template)]
#[template(path = "inbox/index.html")]
struct Index {
    layout: Layout,
    mails: Vec<Mail>,
}

/// GET /inbox: newest first.
pub async fn index(visitor: Visitor, req: HttpRequest) -> Result<HttpResponse> {
    let folder = folder(&visitor, &req)?;
    let mails = list(folder)?;
    visitor.render(&Index { layout: visitor.layout("Inbox"), mails })
}

#[derive(Template)]
#[template(path = "inbox/show.html")]
struct Show {
    layout: Layout,
    mail: Mail,
    from: String,
    message_id: String,
    lines: Vec<String>,
}

/// GET /inbox/{name}
pub async fn show(visitor: Visitor, req: HttpRequest, name: Path<String>) -> Result<HttpResponse> {
    let is_name = name.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_name {
        return Err(Error::NotFound);
    }
    let file = folder(&visitor, &req)?.join(format!("{name}.eml"));
    let bytes = std::fs::read(file).map_err(|_| Error::NotFound)?;
    let parsed = mailparse::parse_mail(&bytes).map_err(Error::internal)?;
    let text = match parsed.subparts.first() {
        Some(plain) => plain.get_body().map_err(Error::internal)?,
        None => parsed.get_body().map_err(Error::internal)?,
    };
    visitor.render(&Show {
        layout: visitor.layout("Inbox"),
        from: header(&parsed, "From"),
        message_id: header(&parsed, "Message-ID"),
        lines: text.lines().map(str::to_owned).collect(),
        mail: summary(name.into_inner(), &parsed),
    })
}

fn folder<'a>(visitor: &'a Visitor, req: &HttpRequest) -> Result<&'a FilePath> {
    let is_here = req.peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    // Checks Host as well: a foreign name that resolves to this machine is not local (DNS rebinding).
    let host = req.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_local_name = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    visitor.app.inbox().filter(|_| is_here && is_local_name).ok_or(Error::NotFound)
}

fn list(folder: &FilePath) -> Result<Vec<Mail>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut mails: Vec<(SystemTime, Mail)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".eml")?.to_owned();
            let written = path.metadata().and_then(|data| data.modified()).ok()?;
            let bytes = std::fs::read(&path).ok()?;
            Some((written, summary(name, &mailparse::parse_mail(&bytes).ok()?)))
        })
        .collect();
    mails.sort_by_key(|(written, _)| std::cmp::Reverse(*written));
    Ok(mails.into_iter().map(|(_, mail)| mail).collect())
}

fn summary(name: String, mail: &ParsedMail) -> Mail {
    Mail { name, to: header(mail, "To"), subject: header(mail, "Subject"), date: header(mail, "Date") }
}

fn header(mail: &ParsedMail, name: &str) -> String {
    mail.headers.get_first_value(name).unwrap_or_default()
}
