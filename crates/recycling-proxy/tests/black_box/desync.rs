//! The corpus of `http_desync_guardian`: requests that front ends and back ends parse differently, with a grade by its
//! authors.
//!
//! Its files are read where Cargo keeps that crate's sources. [`EXCEPTIONS`] says where we disagree with a grade, and
//! why.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;
use test_support::{Cases, End, Failure, TestResult, ensure, ensure_eq};

use crate::stage::{Stage, UNREACHED, close, exchange};

/// A response to any method.
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A request, and its grade by the authors of the corpus.
#[derive(Deserialize)]
struct Case {
    name: String,
    method: Text,
    uri: Text,
    version: Text,
    headers: Option<Vec<Field>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Field {
    name: Text,
    value: Text,
}

#[derive(Deserialize)]
struct Expected {
    tier: Tier,
}

/// The grades of the corpus, by danger.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Tier {
    Compliant,
    Acceptable,
    Ambiguous,
    Severe,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Number(i64),
    Words(String),
}

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The app receives exactly its bytes.
    Passes,
    /// The client gets 400 and a close, and the app receives none of it.
    Refused,
}

/// A case that the proxy treats otherwise than its grade demands.
struct Exception {
    case: &'static str,
    as_first: Fate,
    later: Fate,
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "Transfer-Encoding with a param: chunked;custom_param",
        as_first: Fate::Refused,
        later: Fate::Refused,
        reason: "chunked has no parameters, and their presence should be treated as an error (RFC 9112 §7.1)",
    },
    Exception {
        case: "TE with custom parameters OK",
        as_first: Fate::Refused,
        later: Fate::Refused,
        reason: "the same",
    },
    Exception {
        case: "Empty URI",
        as_first: Fate::Refused,
        later: Fate::Refused,
        reason: "a target is not empty (RFC 9112 §3.2)",
    },
    Exception {
        case: r"\n in URI",
        as_first: Fate::Passes,
        later: Fate::Refused,
        reason: "its first line is one of several protocols without versions, Redis among them: a tunnel of this client's",
    },
    Exception {
        case: "Bad method",
        as_first: Fate::Passes,
        later: Fate::Refused,
        reason: "a control character in the first word is another protocol's, AMQP's for one: a tunnel of this client's",
    },
];

#[tokio::test]
async fn every_case_passes_verbatim_or_is_refused() -> TestResult {
    let stage = Stage::with_limit(UNREACHED).await?;
    let mut cases = Cases::default();
    let mut severe = 0;
    for case in corpus()? {
        severe += usize::from(case.expected.tier == Tier::Severe);
        for earlier in [0, 1] {
            let outcome = async {
                let fate = play(&stage, &case, earlier).await?;
                ensure!(case.fates(earlier).contains(&fate), "{fate:?}, graded {:?}", case.expected.tier);
                TestResult::Ok(())
            };
            cases.note(format!("{} after {earlier} requests", case.name), outcome.await);
        }
    }
    stage.still_serves().await?;
    ensure!(severe >= 58, "only {severe} severe cases");
    cases.verdict()
}

#[test]
fn every_exception_is_a_case_and_has_a_reason() -> TestResult {
    let corpus = corpus()?;
    for Exception { case, as_first, later, reason } in EXCEPTIONS {
        let found = corpus.iter().find(|known| known.name == *case);
        let tier = found.ok_or_else(|| Failure::new(format!("no case {case:?}")))?.expected.tier;
        ensure!(![*as_first, *later].iter().all(|fate| tier.fates().contains(fate)), "{case:?} is no exception");
        ensure!(!reason.is_empty());
    }
    Ok(())
}

impl Tier {
    /// Returns what may happen to a request of this grade. A part of a request must never reach the app.
    const fn fates(self) -> &'static [Fate] {
        match self {
            Self::Compliant => &[Fate::Passes],
            Self::Acceptable | Self::Ambiguous => &[Fate::Passes, Fate::Refused],
            Self::Severe => &[Fate::Refused],
        }
    }
}

/// Sends the request with the body that its fields promise.
async fn play(stage: &Stage, case: &Case, earlier: usize) -> TestResult<Fate> {
    let (mut client, mut app) = stage.pair().await?;
    for _ in 0..earlier {
        exchange(&mut client, &mut app).await?;
    }
    let request = [case.head(), case.body()].concat();
    client.send(&request).await?;
    if let Ok(first) = app.read_exactly(1).await {
        ensure_eq!(first.as_slice(), &request[..1]);
        app.expect(&request[1..]).await?;
        app.send(NO_CONTENT).await?;
        client.expect(NO_CONTENT).await?;
        close(client, app).await?;
        return Ok(Fate::Passes);
    }
    let head = client.read_head().await?;
    ensure_eq!(head.status(), Some(400));
    ensure!(head.announces_close());
    ensure_eq!(client.read_to_end().await?.1, End::Fin);
    Ok(Fate::Refused)
}

impl Case {
    fn fates(&self, earlier: usize) -> &[Fate] {
        let exception = EXCEPTIONS.iter().find(|exception| exception.case == self.name);
        match exception {
            Some(exception) if earlier == 0 => std::slice::from_ref(&exception.as_first),
            Some(exception) => std::slice::from_ref(&exception.later),
            None => self.expected.tier.fates(),
        }
    }

    fn head(&self) -> Vec<u8> {
        let (method, uri, version) = (self.method.bytes(), self.uri.bytes(), self.version.bytes());
        let mut head = [&method, &b" "[..], &uri, b" ", &version, b"\r\n"].concat();
        let fields = self.headers.iter().flatten();
        for field in fields {
            head.extend([&field.name.bytes(), &b": "[..], &field.value.bytes(), b"\r\n"].concat());
        }
        // The corpus leaves Host out. Without it every request would be refused for that reason alone.
        if !self.has("host") {
            head.extend_from_slice(b"Host: a\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn body(&self) -> Vec<u8> {
        let length = self.values("content-length").find_map(|value| value.trim().parse().ok()).unwrap_or_default();
        if self.has("transfer-encoding") { b"3\r\nabc\r\n0\r\n\r\n".to_vec() } else { vec![b'b'; length] }
    }

    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = String> {
        let named = move |field: &&Field| field.name.words().eq_ignore_ascii_case(name);
        self.headers.iter().flatten().filter(named).map(|field| field.value.words())
    }
}

impl Text {
    /// Returns the text with the corpus's own escapes decoded.
    fn words(&self) -> String {
        let escaped = match self {
            Self::Number(number) => return number.to_string(),
            Self::Words(words) => words,
        };
        let mut plain = String::new();
        let mut characters = escaped.chars();
        while let Some(character) = characters.next() {
            plain.push(match character {
                '\\' => match characters.next().unwrap_or('\\') {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'x' => {
                        let digits: String = characters.by_ref().take(2).collect();
                        u8::from_str_radix(&digits, 16).map_or('\\', char::from)
                    }
                    other => other,
                },
                other => other,
            });
        }
        plain
    }

    /// A character up to U+00FF stands for the byte of that value.
    fn bytes(&self) -> Vec<u8> {
        let words = self.words();
        words.chars().map(|character| u8::try_from(character).ok()).collect::<Option<_>>().unwrap_or(words.into_bytes())
    }
}

fn corpus() -> TestResult<Vec<Case>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(sources()?.join("tests"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let cases: Vec<Case> = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
            all.extend(cases);
        }
    }
    Ok(all)
}

/// Returns where Cargo keeps the crate's sources.
fn sources() -> TestResult<PathBuf> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    // Without a platform, Cargo would need the sources of every other platform's dependencies, too.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--format-version=1", "--manifest-path", manifest]);
    let metadata = cargo.args(["--filter-platform", &platform]).output()?;
    ensure!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Metadata = serde_json::from_slice(&metadata.stdout)?;
    let found = metadata.packages.into_iter().find(|package| package.name == "http_desync_guardian");
    let manifest = found.map(|package| package.manifest_path);
    manifest.and_then(|path| path.parent().map(PathBuf::from)).ok_or_else(|| Failure::new("no sources"))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}
