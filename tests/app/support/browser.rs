//! A browser without JavaScript: keeps cookies, follows redirects, fills in forms, says where it comes from.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, REFERER, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};

use super::app::APP_URL;
use super::page::{Form, Page};

/// See the module.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    address: SocketAddr,
    /// The public address of the application, which is not where it really is.
    origin: String,
    /// Names and values; flags are for tests that look at them. Of the names of ours, what follows after "sample_app_".
    pub cookies: BTreeMap<String, String>,
    /// Every Set-Cookie there was.
    pub set_cookies: Vec<String>,
    /// The page that is open, as a path.
    pub at: String,
    /// What the proxies in front say of where it comes from.
    pub forwarded_for: Option<String>,
}

impl Browser {
    pub fn new(address: SocketAddr) -> Browser {
        Browser::at(APP_URL, address)
    }

    /// For an application that calls itself otherwise.
    pub fn at(origin: &str, address: SocketAddr) -> Browser {
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
        let (cookies, set_cookies, at) = (BTreeMap::new(), Vec::new(), "/".into());
        Browser { client, address, origin: origin.to_owned(), cookies, set_cookies, at, forwarded_for: None }
    }

    /// Talks to another instance of the application from now on.
    pub fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    /// Opens a page, by its path or by its whole address, and follows redirects.
    pub async fn get(&mut self, path: &str) -> Page {
        let page = self.get_only(path).await;
        self.follow(page).await
    }

    /// Opens a page and shows the answer itself, redirect or not.
    pub async fn get_only(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request, path).await
    }

    /// Sends a form as it was filled in, and follows redirects.
    pub async fn submit(&mut self, form: Form) -> Page {
        let page = self.submit_only(form).await;
        self.follow(page).await
    }

    /// Sends a form and shows the answer itself.
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

    /// Presses "delete" on this page, and the button of the page that asks whether that is meant.
    pub async fn press_delete(&mut self, page: &Page) -> Page {
        let page = self.submit(page.form("delete")).await;
        self.submit(page.form("Delete")).await
    }

    /// Sends fields by POST without looking at a form first, and shows the answer itself. The verb that the fields mean
    /// goes into `_method`, as browsers' forms do.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, path).form(fields);
        let request = self.on_this_page(request);
        self.send(request, path).await
    }

    /// The same, again and again while the application is too busy to take it: 503 with Retry-After.
    pub async fn post_until_taken(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let field = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        self.submit_until_taken(Form::to(path, fields.iter().map(field).collect())).await
    }

    /// Sends a form, again and again while the application is too busy to take it, and shows the answer itself.
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

    /// DELETE, as a form without JavaScript says it.
    pub async fn delete(&mut self, path: &str) -> Page {
        self.post(path, &[("_method", "delete")]).await
    }

    /// PATCH, as a form without JavaScript says it.
    pub async fn patch(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields: Vec<_> = [("_method", "patch")].iter().chain(fields).copied().collect();
        self.post(path, &fields).await
    }

    /// A bare request with this browser's cookies, for tests that need headers or bodies of their own.
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

    /// All cookies, as the header says them.
    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{}{name}={value}", prefix(name)));
        cookies.collect::<Vec<_>>().join("; ")
    }

    /// Names and flags of the cookies that were set. A signed value names the second in which it ends, so that two of them
    /// differ by chance.
    pub fn set_cookies_without_values(&self) -> Vec<String> {
        let without_value = |cookie: &String| {
            let (name, rest) = cookie.split_once('=').unwrap();
            format!("{name}={}", &rest[rest.find(';').unwrap()..])
        };
        self.set_cookies.iter().map(without_value).collect()
    }

    /// Adds what a browser says of a form on the page that is open.
    fn on_this_page(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header("sec-fetch-site", "same-origin")
            .header(ORIGIN, &self.origin)
            .header(REFERER, format!("{}{}", self.origin, self.at))
    }

    /// The pages of a list, from this one on to the last, by the links between them.
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

    /// Sends a request that was made by [`request`](Self::request) and keeps the cookies of its answer.
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

/// What the names of cookies begin with where the application has an address by http without a port.
pub const PREFIX: &str = "sample_app_";

fn prefix(name: &str) -> &'static str {
    match name {
        "session" | "remember_me" | "flash" | "return_to" | "mail_link" | "draft" | "sign_up" => PREFIX,
        _ => "",
    }
}

/// The address that an answer sends the browser to.
pub fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(LOCATION).map(|value| value.to_str().unwrap().to_owned())
}
