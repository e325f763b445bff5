//! A browser without JavaScript: keeps cookies, follows redirects, fills in forms, sends Origin and Sec-Fetch-Site.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, REFERER, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};

use super::app::APP_URL;
use super::page::{Form, Page};
use super::wait::wait_for;

#[derive(Clone)]
pub struct Browser {
    client: Client,
    address: SocketAddr,
    /// The application's public address; the real one differs.
    origin: String,
    /// Names and values, without attributes. Names of the application's cookies are without the prefix "sample_app_".
    pub cookies: BTreeMap<String, String>,
    /// Every Set-Cookie header received.
    pub set_cookies: Vec<String>,
    /// The path of the open page.
    pub at: String,
    /// The X-Forwarded-For header that proxies in front would send.
    pub forwarded_for: Option<String>,
}

impl Browser {
    pub fn new(address: SocketAddr) -> Browser {
        Browser::at(APP_URL, address)
    }

    /// For an application with another public address.
    pub fn at(origin: &str, address: SocketAddr) -> Browser {
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
        let (cookies, set_cookies, at) = (BTreeMap::new(), Vec::new(), "/".into());
        Browser { client, address, origin: origin.to_owned(), cookies, set_cookies, at, forwarded_for: None }
    }

    /// Sends all further requests to another instance.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Opens a page by path or by URL, and follows redirects.
    pub async fn get(&mut self, path: &str) -> Page {
        let page = self.get_only(path).await;
        self.follow(page).await
    }

    /// Opens a page again and again, until it is as wanted.
    #[track_caller]
    pub fn get_until(&mut self, path: &str, wanted: impl Fn(&Page) -> bool) -> impl Future<Output = Page> {
        wait_for(async move || match self.get(path).await {
            page if wanted(&page) => Ok(page),
            page => Err(format!("{path} stays {}: {:?}", page.status, page.all("body"))),
        })
    }

    /// Opens a page without following redirects.
    pub async fn get_only(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request, path).await
    }

    /// Submits a form and follows redirects.
    pub async fn submit(&mut self, form: Form) -> Page {
        let page = self.submit_only(form).await;
        self.follow(page).await
    }

    /// Submits a form without following redirects.
    pub async fn submit_only(&mut self, form: Form) -> Page {
        let action = form.action.clone();
        if form.is_get {
            let query =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
            let path = format!("{action}?{query}");
            let request = self.on_this_page(self.request(Method::GET, &path));
            return self.send(request, &path).await;
        }
        let request = self.request(Method::POST, &action);
        let request = self.on_this_page(request);
        let request = if form.is_multipart {
            request.multipart(form.into_multipart())
        } else {
            request.form(&form.fields)
        };
        self.send(request, &action).await
    }

    /// Presses "delete" on this page, then the button on the confirmation page.
    pub async fn press_delete(&mut self, page: &Page) -> Page {
        let page = self.submit(page.form("delete")).await;
        self.submit(page.form("Delete")).await
    }

    /// POSTs fields without a form on a page, and does not follow redirects. For other methods set the field `_method`,
    /// as the application's forms do.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, path).form(fields);
        let request = self.on_this_page(request);
        self.send(request, path).await
    }

    /// As [`post`](Self::post), repeated while the application answers 503 with Retry-After.
    pub async fn post_until_taken(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let field = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        self.submit_until_taken(Form::to(path, fields.iter().map(field).collect())).await
    }

    /// As [`submit_only`](Self::submit_only), repeated while the application answers 503 with Retry-After.
    pub async fn submit_until_taken(&mut self, form: Form) -> Page {
        for _ in 0..60 {
            let page = self.submit_only(form.clone()).await;
            if page.status != 503 {
                return page;
            }
            assert!(!page.header("retry-after").is_empty());
        }
        panic!("{} is too busy for ever", form.action);
    }

    /// Sends DELETE as a form without JavaScript does: POST with `_method`.
    pub async fn delete(&mut self, path: &str) -> Page {
        self.post(path, &[("_method", "delete")]).await
    }

    /// Sends PATCH as a form without JavaScript does: POST with `_method`.
    pub async fn patch(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields: Vec<_> = [("_method", "patch")].iter().chain(fields).copied().collect();
        self.post(path, &fields).await
    }

    /// A request with this browser's cookies only, for tests that need their own headers or bodies.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.strip_prefix(self.origin.as_str()).unwrap_or(path);
        let cookies = self.cookie_header();
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if let Some(addresses) = &self.forwarded_for {
            request = request.header("x-forwarded-for", addresses);
        }
        request
    }

    /// All cookies, as a Cookie header.
    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{}{name}={value}", prefix(name)));
        cookies.collect::<Vec<_>>().join("; ")
    }

    /// The Set-Cookie headers without values. Signed values contain an expiry in seconds, so they can differ between
    /// two runs.
    pub fn set_cookies_without_values(&self) -> Vec<String> {
        let without_value = |cookie: &String| {
            let (name, rest) = cookie.split_once('=').unwrap();
            format!("{name}={}", &rest[rest.find(';').unwrap()..])
        };
        self.set_cookies.iter().map(without_value).collect()
    }

    /// Adds the headers that a browser sends with a form on the open page.
    fn on_this_page(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header("sec-fetch-site", "same-origin")
            .header(ORIGIN, &self.origin)
            .header(REFERER, format!("{}{}", self.origin, self.at))
    }

    /// All pages of a list from this one on, by their "next" links.
    pub async fn walk(&mut self, path: &str) -> Vec<Page> {
        let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let page = self.get(&path).await;
            assert_eq!(page.status, 200, "{path}");
            assert!(pages.len() < 1000, "the list has no end: {path}");
            next = page.attrs("div.pagination a[rel=next]", "href").into_iter().next();
            pages.push(page);
        }
        pages
    }

    /// Sends a request made by [`request`](Self::request) and stores the cookies of its response.
    pub async fn send(&mut self, request: RequestBuilder, path: &str) -> Page {
        let response = request.send().await.unwrap();
        self.keep_cookies(&response);
        let path = path.strip_prefix(self.origin.as_str()).unwrap_or(path).to_owned();
        Page::read(response, path).await
    }

    async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..5 {
            let Some(location) = page.location() else { break };
            page = self.get_only(&location).await;
        }
        assert!(page.location().is_none(), "too many redirects");
        self.at = page.path.clone();
        page
    }

    fn keep_cookies(&mut self, response: &Response) {
        for value in response.headers().get_all(SET_COOKIE) {
            let value = value.to_str().unwrap();
            self.set_cookies.push(value.to_owned());
            let (name, rest) = value.split_once('=').unwrap();
            let name = name.strip_prefix(PREFIX).filter(|name| !prefix(name).is_empty()).unwrap_or(name);
            let content = rest.split(';').next().unwrap();
            if value.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), content.to_owned());
            }
        }
    }
}

/// The prefix of cookie names if the application's address is http without a port.
pub const PREFIX: &str = "sample_app_";

fn prefix(name: &str) -> &'static str {
    match name {
        "session" | "remember_me" | "flash" | "return_to" | "mail_link" | "draft" | "sign_up"
        | "last_write" => PREFIX,
        _ => "",
    }
}

/// The Location header.
pub fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(LOCATION).map(|value| value.to_str().unwrap().to_owned())
}
