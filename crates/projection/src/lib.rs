//! Parts of JSON documents, picked while they come in, so that no more of a document than these is ever in memory; and a client of
//! the API server that reads no more than these.
//!
//! Whoever may write an object decides how large it is: up to 1.5 MiB in etcd, several times that in JSON, and 30 to 70 times
//! that once it is parsed. A [`Rule`] says which parts count; a [`Projector`] passes these on and drops the rest. It needs
//! memory for a name and a level for each array and object that is kept in part, and none for what it drops.

mod client;
mod projector;

pub use client::{ClusterError, client, is_too_large};
pub use projector::{Projector, TooLarge};

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
    Members(&'static [(&'static str, &'static Rule)], &'static Rule),
    /// Of an object so many members, the first whose names begin with one of the prefixes, each by the rule.
    Prefixed(usize, &'static [&'static str], &'static Rule),
}

impl Rule {
    /// The rule for a member of an object that this is the rule for, and that has kept so many.
    fn member(&'static self, name: &[u8], kept: usize) -> &'static Rule {
        match self {
            Rule::Members(named, others) => {
                named.iter().find(|(known, _)| known.as_bytes() == name).map_or(others, |(_, rule)| rule)
            }
            Rule::Prefixed(most, prefixes, rule)
                if kept < *most && prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes())) =>
            {
                rule
            }
            Rule::Prefixed(..) | Rule::Keep | Rule::Drop | Rule::Scalar(_) | Rule::Elements(..) => &Rule::Drop,
        }
    }

    /// The rule for an element of an array that this is the rule for, and that has kept so many.
    fn element(&'static self, kept: usize) -> &'static Rule {
        match self {
            Rule::Elements(most, rule) if kept < *most => rule,
            Rule::Elements(..) | Rule::Keep | Rule::Drop | Rule::Scalar(_) | Rule::Members(..) | Rule::Prefixed(..) => {
                &Rule::Drop
            }
        }
    }
}

/// Any object of Kubernetes, a list of them, or an event of a watch, without the record of who set which field. That is as
/// large as the object, and nobody here reads it.
pub static OBJECT: Rule = Rule::Members(
    &[
        ("metadata", &Rule::Members(&[("managedFields", &Rule::Drop)], &Rule::Keep)),
        ("items", &Rule::Elements(usize::MAX, &OBJECT)),
        ("object", &OBJECT),
    ],
    &Rule::Keep,
);
