//! The parts of `AdmissionReview` (`admission.k8s.io/v1`) that we read and write.
//!
//! These are types of our own instead of kube's for three reasons: the object stays raw text until it is to be parsed,
//! the old object and the user are skipped, and the patch is written as base64.

use std::borrow::Cow;

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A request from the API server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
    /// An identifier that the response must repeat.
    pub(crate) uid: String,
    /// The type of the object.
    #[serde(borrow)]
    pub(crate) kind: Kind<'a>,
    /// `scale`, `status`, …
    #[serde(default)]
    pub(crate) sub_resource: Option<String>,
    /// Empty if the API server is still to generate one.
    #[serde(default)]
    pub(crate) name: String,
    /// Absent for cluster-scoped objects.
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    /// The operation.
    pub(crate) operation: Operation,
    /// The object as it would be stored.
    #[serde(borrow, default)]
    pub(crate) object: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Kind<'a> {
    #[serde(borrow)]
    pub(crate) group: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) version: Cow<'a, str>,
    #[serde(borrow, rename = "kind")]
    pub(crate) name: Cow<'a, str>,
}

impl Kind<'_> {
    /// Returns the `apiVersion` of such objects: `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone().into_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// The operation on the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Operation {
    /// The object is created.
    Create,
    /// The object is changed.
    Update,
    /// `DELETE` and `CONNECT` have no object to patch.
    #[serde(other)]
    Other,
}

/// Why a body is not a review, in one sentence for its sender.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("expected an AdmissionReview of admission.k8s.io/v1 as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("expected apiVersion admission.k8s.io/v1 and kind AdmissionReview")]
    OtherType,
    #[error("expected a review with a request and its uid")]
    NoRequest,
}

impl<'a> Request<'a> {
    /// Reads the body of a review.
    pub(crate) fn from_body(body: &'a [u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Review<'a> {
            #[serde(borrow)]
            api_version: Cow<'a, str>,
            #[serde(borrow)]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            request: Option<Request<'a>>,
        }
        let Review { api_version, kind, request } = serde_json::from_slice(body)?;
        if api_version != API_VERSION || kind != KIND {
            return Err(Malformed::OtherType);
        }
        request.filter(|request| !request.uid.is_empty()).ok_or(Malformed::NoRequest)
    }
}

/// The response to the API server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Returns the body of a response to the request `uid`: it admits the object, with a patch (JSON text) and warnings.
pub(crate) fn admitted(
    uid: String,
    patch: Option<Vec<u8>>,
    warnings: Vec<String>,
) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Review {
        api_version: &'static str,
        kind: &'static str,
        response: Response,
    }
    serde_json::to_vec(&Review {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid,
            allowed: true,
            patch_type: patch.is_some().then_some("JSONPatch"),
            patch: patch.map(ByteString),
            warnings,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &str) -> String {
        format!(r#"{{"apiVersion":"{API_VERSION}","kind":"{KIND}","request":{request}}}"#)
    }

    #[test]
    fn a_review_of_the_api_server_is_read() {
        let body = body(
            r#"{"uid":"u-1","kind":{"group":"apps","version":"v1","kind":"Deployment"},"resource":{"group":"apps"},
                "requestKind":null,"name":"web","namespace":"shop","operation":"UPDATE","userInfo":{"username":"x"},
                "object":{"a": 1},"oldObject":null,"dryRun":true,"options":{}}"#,
        );
        let request = Request::from_body(body.as_bytes()).unwrap();
        assert_eq!((request.uid.as_str(), request.operation), ("u-1", Operation::Update));
        assert_eq!((&*request.kind.api_version(), &*request.kind.name), ("apps/v1", "Deployment"));
        assert_eq!(request.object.map(RawValue::get), Some(r#"{"a": 1}"#));
        assert_eq!(request.sub_resource, None);
    }

    #[test]
    fn operations_without_an_object_are_read() {
        for (operation, read) in
            [("CREATE", Operation::Create), ("DELETE", Operation::Other), ("CONNECT", Operation::Other)]
        {
            let body = body(&format!(
                r#"{{"uid":"u","kind":{{"group":"","version":"v1","kind":"Pod"}},"operation":"{operation}","object":null}}"#
            ));
            let request = Request::from_body(body.as_bytes()).unwrap();
            assert_eq!((request.operation, request.object.is_none()), (read, true));
            assert_eq!(request.kind.api_version(), "v1");
        }
    }

    #[test]
    fn a_body_that_is_no_review_is_refused_with_a_sentence() {
        let no_uid = body(r#"{"kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE"}"#);
        let empty_uid = body(r#"{"uid":"","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE"}"#);
        for (body, sentence) in [
            ("", "as JSON: EOF"),
            ("{", "as JSON: EOF"),
            ("[]", "as JSON"),
            ("{}", "missing field"),
            (
                r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":null}"#,
                "expected apiVersion",
            ),
            (r#"{"apiVersion":"admission.k8s.io/v1","kind":"Pod","request":null}"#, "expected apiVersion"),
            (&body("null"), "with a request"),
            (&no_uid, "missing field `uid`"),
            (&empty_uid, "its uid"),
            ("\u{feff}{}", "as JSON"),
        ] {
            let error = Request::from_body(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(sentence), "{body:?}: {error}");
        }
    }

    #[test]
    fn patches_are_encoded_in_base64() {
        let review: serde_json::Value =
            serde_json::from_slice(&admitted("u".into(), Some(b"[1]".to_vec()), vec!["w".into()]).unwrap()).unwrap();
        let response = serde_json::json!(
            {"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": "WzFd", "warnings": ["w"]}
        );
        assert_eq!(review["response"], response);
        let review = String::from_utf8(admitted("u".into(), None, vec![]).unwrap()).unwrap();
        assert!(review.ends_with(r#""response":{"uid":"u","allowed":true}}"#), "{review}");
    }
}
