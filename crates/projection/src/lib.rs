//! Reads parts of JSON documents while they arrive, so that the rest is never in memory, and a client of the API server
//! that does so for its responses. Webhook and balancer watch objects with it.
//!
//! An account that may write an object decides how large it is: up to 1.5 MiB in etcd, several times that in JSON, and
//! 30 to 70 times that once it is parsed. A [`Rule`] says which parts count; a [`Projector`] passes these on and drops
//! the rest. It needs memory for a name and a level for each array and object that is kept in part, and none for what
//! it drops.

mod client;
mod projector;

pub use client::{ClusterError, client, is_too_large};
pub use projector::{Projector, TooLarge};

/// Names of an object's members, and what is kept of their values.
pub type Members = &'static [(&'static str, &'static Rule)];

/// What is kept of a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Rule {
    /// All of it.
    Keep,
    /// Nothing. The member that it is the value of goes too.
    Drop,
    /// A string up to so many characters, a number, `true`, `false` or `null`. An array or object becomes `null`.
    Scalar(usize),
    /// Of an array so many elements, the first ones, each by the rule.
    Elements(usize, &'static Rule),
    /// Of an object the named members, and all others by one rule. Where that keeps all, an array is kept too.
    Members(Members, &'static Rule),
    /// Of an object so many members, the first whose names begin with one of the prefixes, each by the rule.
    Prefixed(usize, &'static [&'static str], &'static Rule),
    /// Of what the API server answers about objects of one kind, which is an object, a list, an event of a watch or a
    /// Status: of each object the named members, and the members by which every client reads such an answer.
    Answer(Members),
    /// Of an object's metadata the named members, and those by which every client identifies it or continues a list.
    Metadata(Members),
}

impl Rule {
    /// Returns the rule for a member of an object for which this is the rule. Of the object, `kept` members are kept so
    /// far.
    fn member(&'static self, name: &[u8], kept: usize) -> &'static Rule {
        match self {
            Rule::Members(parts, others) => named(parts, name).unwrap_or(others),
            Rule::Prefixed(most, prefixes, rule)
                if kept < *most && prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())) =>
            {
                rule
            }
            Rule::Answer(parts) => match name {
                b"items" | b"object" => self,
                _ => named(parts, name).or_else(|| named(ENVELOPE, name)).unwrap_or(&Rule::Drop),
            },
            Rule::Metadata(parts) => named(parts, name).or_else(|| named(IDENTITY, name)).unwrap_or(&Rule::Drop),
            Rule::Prefixed(..) | Rule::Keep | Rule::Drop | Rule::Scalar(_) | Rule::Elements(..) => &Rule::Drop,
        }
    }

    /// Returns the rule for an element of an array for which this is the rule. Of the array, `kept` elements are kept
    /// so far.
    fn element(&'static self, kept: usize) -> &'static Rule {
        match self {
            Rule::Elements(most, rule) if kept < *most => rule,
            // The items of a list.
            Rule::Answer(_) => self,
            Rule::Elements(..)
            | Rule::Keep
            | Rule::Drop
            | Rule::Scalar(_)
            | Rule::Members(..)
            | Rule::Prefixed(..)
            | Rule::Metadata(_) => &Rule::Drop,
        }
    }
}

/// The members of an object, a list, an event of a watch, and a Status that tells of an error, beside `items` and
/// `object`.
const ENVELOPE: Members = &[
    ("kind", &Rule::Keep),
    ("apiVersion", &Rule::Keep),
    ("metadata", &Rule::Metadata(&[])),
    ("type", &Rule::Keep),
    ("code", &Rule::Keep),
    ("reason", &Rule::Keep),
    ("message", &Rule::Scalar(512)),
];

/// The metadata that identifies an object, or by which a list continues or ends.
const IDENTITY: Members = &[
    ("name", &Rule::Keep),
    ("namespace", &Rule::Keep),
    ("resourceVersion", &Rule::Keep),
    ("continue", &Rule::Keep),
    // A bookmark may say by this that a list is complete.
    ("annotations", &Rule::Prefixed(1, &["k8s.io/initial-events-end"], &Rule::Scalar(8))),
];

fn named(members: Members, name: &[u8]) -> Option<&'static Rule> {
    members.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, rule)| *rule)
}

/// Any object of Kubernetes, a list of them, or an event of a watch, without the record of who set which field. That is
/// as large as the object, and nobody here reads it.
pub static OBJECT: Rule = Rule::Members(
    &[
        ("metadata", &Rule::Members(&[("managedFields", &Rule::Drop)], &Rule::Keep)),
        ("items", &Rule::Elements(usize::MAX, &OBJECT)),
        ("object", &OBJECT),
    ],
    &Rule::Keep,
);
