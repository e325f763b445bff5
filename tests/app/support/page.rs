//! A response, read as a page by its elements rather than by its text.

use reqwest::header::HeaderMap;
use reqwest::{Response, multipart};
use scraper::{ElementRef, Html, Selector};

use super::browser::location;

pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    /// The URL without the host.
    pub path: String,
    pub body: Vec<u8>,
    html: Html,
}

/// A form on a page; fill it in with [`set`](Self::set).
#[derive(Clone)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
    pub is_multipart: bool,
    /// Whether the button has `formmethod="get"`.
    pub is_get: bool,
    file: Option<(String, String, Vec<u8>)>,
}

impl Page {
    pub async fn read(response: Response, path: String) -> Page {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let html = Html::parse_document(&String::from_utf8_lossy(&body));
        Page { status, headers, path, body, html }
    }

    /// Parses HTML that did not come as a response: the HTML part of a mail.
    pub fn parse(html: &str) -> Page {
        Page {
            status: 200,
            headers: HeaderMap::new(),
            path: String::new(),
            body: html.as_bytes().to_vec(),
            html: Html::parse_document(html),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn location(&self) -> Option<String> {
        location(&self.headers)
    }

    /// Text of every element that matches the selector, with white space collapsed.
    pub fn all(&self, selector: &str) -> Vec<String> {
        self.select(selector).iter().map(|element| fold(&element.text().collect::<String>())).collect()
    }

    /// Text of the only matching element.
    pub fn one(&self, selector: &str) -> String {
        let all = self.all(selector);
        assert_eq!(all.len(), 1, "{selector} on {}: {all:?}\n{}", self.path, self.text());
        all.into_iter().next().unwrap()
    }

    pub fn count(&self, selector: &str) -> usize {
        self.select(selector).len()
    }

    pub fn has(&self, selector: &str) -> bool {
        self.count(selector) > 0
    }

    /// An attribute of every matching element that has it.
    pub fn attrs(&self, selector: &str, name: &str) -> Vec<String> {
        self.select(selector)
            .iter()
            .filter_map(|element| element.value().attr(name))
            .map(str::to_owned)
            .collect()
    }

    pub fn title(&self) -> String {
        self.one("title")
    }

    /// Kind and text of the flash message.
    pub fn flash(&self) -> Option<(String, String)> {
        let alerts = self.select("main > div.alert");
        assert!(alerts.len() <= 1, "{}", self.text());
        alerts.first().map(|alert| {
            let kind =
                alert.value().classes().find_map(|class| class.strip_prefix("alert-")).unwrap().to_owned();
            (kind, fold(&alert.text().collect::<String>()))
        })
    }

    /// Asserts the flash message: `("success", "Profile updated")`.
    #[track_caller]
    pub fn assert_flash(&self, kind: &str, message: &str) {
        assert_eq!(self.flash(), Some((kind.to_owned(), message.to_owned())), "on {}", self.path);
    }

    /// Asserts a redirect to this path.
    #[track_caller]
    pub fn assert_redirect(&self, path: &str) {
        assert_eq!((self.status, self.location().as_deref()), (303, Some(path)), "from {}", self.path);
    }

    /// Asserts this status and path, and no redirect.
    #[track_caller]
    pub fn assert_at(&self, status: u16, path: &str) {
        assert_eq!((self.status, self.path.as_str()), (status, path), "{}", self.text());
    }

    /// The error messages of the form.
    pub fn errors(&self) -> Vec<String> {
        self.all("div#error_explanation li")
    }

    /// Ids of the posts, from the top.
    pub fn microposts(&self) -> Vec<i64> {
        let ids = self.attrs("ol.microposts > li", "id");
        ids.iter().map(|id| id.strip_prefix("micropost-").unwrap().parse().unwrap()).collect()
    }

    /// The form with this button, with the values that a browser would send unchanged.
    pub fn form(&self, button: &str) -> Form {
        let forms = self.select("form");
        let buttons = Selector::parse("button").unwrap();
        let is_wanted = |found: &ElementRef| fold(&found.text().collect::<String>()) == button;
        let (form, pressed) = forms
            .iter()
            .find_map(|form| form.select(&buttons).find(is_wanted).map(|pressed| (form, pressed.value())))
            .unwrap_or_else(|| panic!("no form with the button {button} on {}:\n{}", self.path, self.text()));
        assert_eq!(form.value().attr("method"), Some("post"), "{button}");
        let fields = Selector::parse("input, textarea").unwrap();
        let mut filled = Vec::new();
        for field in form.select(&fields) {
            let Some(name) = field.value().attr("name") else { continue };
            let kind = field.value().attr("type").unwrap_or("text");
            let value = match (field.value().name(), kind) {
                ("textarea", _) => field.text().collect::<String>(),
                (_, "file" | "submit") => continue,
                (_, "checkbox") if field.value().attr("checked").is_none() => continue,
                (_, "checkbox") => field.value().attr("value").unwrap_or("on").to_owned(),
                _ => field.value().attr("value").unwrap_or_default().to_owned(),
            };
            filled.push((name.to_owned(), value));
        }
        Form {
            action: pressed.attr("formaction").or(form.value().attr("action")).unwrap().to_owned(),
            is_get: pressed.attr("formmethod") == Some("get"),
            fields: filled,
            is_multipart: form.value().attr("enctype") == Some("multipart/form-data"),
            file: None,
        }
    }

    fn select(&self, selector: &str) -> Vec<ElementRef<'_>> {
        self.html.select(&Selector::parse(selector).unwrap()).collect()
    }
}

impl Form {
    /// A form that is on no page.
    pub fn to(action: &str, fields: Vec<(String, String)>) -> Form {
        Form { action: action.to_owned(), fields, is_multipart: false, is_get: false, file: None }
    }

    /// Sets a field's value; checks a checkbox that is not checked.
    pub fn set(mut self, name: &str, value: &str) -> Form {
        self.fields.retain(|(other, _)| other != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Selects a file.
    pub fn attach(mut self, name: &str, file_name: &str, bytes: Vec<u8>) -> Form {
        self.file = Some((name.to_owned(), file_name.to_owned(), bytes));
        self
    }

    pub fn into_multipart(self) -> multipart::Form {
        let mut form = multipart::Form::new();
        for (name, value) in self.fields {
            form = form.text(name, value);
        }
        match self.file {
            Some((name, file_name, bytes)) => {
                form.part(name, multipart::Part::bytes(bytes).file_name(file_name))
            }
            None => form,
        }
    }
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
