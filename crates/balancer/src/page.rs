//! The live page of balancing: files embedded in the program, and the headers that isolate them from other origins.

use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};

/// The `Content-Security-Policy`: the page loads from its own origin alone, without inline scripts and styles.
pub const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its path. Links in the page are relative, because the API server's proxy serves it below another path.
    pub path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// All files of the page.
pub const FILES: [File; 4] = [
    File { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    File { path: "/page.css", content_type: "text/css; charset=utf-8", text: include_str!("page/page.css") },
    File { path: "/page.js", content_type: "text/javascript; charset=utf-8", text: include_str!("page/page.js") },
    File { path: "/icon.svg", content_type: "image/svg+xml", text: include_str!("page/icon.svg") },
];

impl File {
    /// Returns its text.
    pub const fn text(&self) -> &'static str {
        self.text
    }
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, self.content_type)], self.text).into_response()
    }
}

/// Adds the headers that every response of the port has.
pub async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
