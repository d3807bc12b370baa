//! The result of a test: where it failed, and which cases of a table did.

use std::error::Error;
use std::fmt;
use std::panic::Location;

use tokio::task::JoinSet;

/// The result of a test. `?` records its line of the source.
pub type TestResult<T = ()> = Result<T, Failure>;

/// Why and where a test failed.
pub struct Failure(String);

impl Failure {
    /// Returns a failure with this text, at the line of the call.
    #[track_caller]
    pub fn new(why: impl fmt::Display) -> Self {
        Self(format!("{}: {why}", Location::caller()))
    }

    /// Returns the same failure, with the name of the case in which it happened.
    #[must_use]
    pub fn during(self, case: impl fmt::Display) -> Self {
        Self(format!("{case}: {}", self.0))
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Like `assert!`, but returns a [`Failure`]: where one case of many fails, the others are still tried.
#[macro_export]
macro_rules! ensure {
    ($condition:expr $(,)?) => {
        $crate::ensure!($condition, "condition is false: {}", stringify!($condition))
    };
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!($($why)+)));
        }
    };
}

/// Like `assert_eq!`, but returns a [`Failure`]: where one case of many fails, the others are still tried.
#[macro_export]
macro_rules! ensure_eq {
    ($seen:expr, $expected:expr $(,)?) => {
        $crate::ensure_eq!($seen, $expected, "{}", stringify!($seen))
    };
    ($seen:expr, $expected:expr, $($what:tt)+) => {
        match ($seen, $expected) {
            (seen, expected) => {
                $crate::ensure!(seen == expected, "{}: expected {expected:?}, got {seen:?}", format!($($what)+));
            }
        }
    };
}

/// A table of cases. All of them are tried, and all failures are reported.
#[derive(Default)]
pub struct Cases {
    tried: usize,
    failures: Vec<String>,
}

impl Cases {
    /// Records the outcome of a case.
    pub fn note(&mut self, name: impl fmt::Display, outcome: TestResult) {
        self.tried += 1;
        if let Err(failure) = outcome {
            self.failures.push(failure.during(name).0);
        }
    }

    /// Records the outcome of each of these concurrent cases.
    ///
    /// # Errors
    /// If one of them panicked.
    pub async fn note_all<N>(&mut self, mut running: JoinSet<(N, TestResult)>) -> TestResult
    where
        N: fmt::Display + 'static,
    {
        while let Some(case) = running.join_next().await {
            let (name, outcome) = case?;
            self.note(name, outcome);
        }
        Ok(())
    }

    /// Fails if a case failed, or if there was none.
    #[track_caller]
    pub fn verdict(self) -> TestResult {
        if self.tried == 0 {
            return Err(Failure::new("no case was tried"));
        }
        if self.failures.is_empty() {
            return Ok(());
        }
        let (failed, tried) = (self.failures.len(), self.tried);
        Err(Failure::new(format!("{failed} of {tried} cases failed:\n{}", self.failures.join("\n"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_their_line() {
        fn failing() -> TestResult {
            Err(std::io::Error::other("no"))?;
            Ok(())
        }
        let shown = format!("{:?}", failing().unwrap_err());
        assert!(shown.contains("outcome.rs:") && shown.ends_with(": no"), "{shown}");
    }

    #[test]
    fn ensure_fails_if_its_condition_does() {
        fn at_least_two(n: u32) -> TestResult {
            ensure!(n > 1, "{n} is too few");
            Ok(())
        }
        fn two(n: u32) -> TestResult {
            ensure_eq!(n, 2);
            Ok(())
        }
        assert!(at_least_two(2).is_ok() && two(2).is_ok());
        let (few, other) = (at_least_two(1).unwrap_err(), two(1).unwrap_err());
        assert!(format!("{few:?}").ends_with("1 is too few"), "{few:?}");
        assert!(format!("{other:?}").ends_with("n: expected 2, got 1"), "{other:?}");
    }

    #[test]
    fn cases_fail_with_any_failed_case_and_without_any_case() {
        assert!(Cases::default().verdict().is_err());
        let mut cases = Cases::default();
        cases.note("good", Ok(()));
        cases.note("bad", Err(Failure::new("why")));
        cases.note("worse", Err(Failure::new("wherefore")));
        let shown = format!("{:?}", cases.verdict().unwrap_err());
        assert!(shown.contains("2 of 3") && shown.contains("bad: ") && shown.contains("wherefore"), "{shown}");
    }
}
