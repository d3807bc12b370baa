//! Formats errors.

use std::error::Error;
use std::iter::successors;

/// Returns an error and its causes, separated by colons. A cause that is part of what was told already is left out.
pub fn in_one_sentence(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |error| (*error).source()).map(ToString::to_string).fold(String::new(), |told, cause| {
        match told {
            told if told.is_empty() => cause,
            told if told.contains(&cause) => told,
            told => format!("{told}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Cause(&'static str, Option<Box<Cause>>);

    impl fmt::Display for Cause {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Cause {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn each_cause_of_an_error_is_written_once() {
        let refused = || Some(Box::new(Cause("refused", None)));
        for (error, told) in [
            (Cause("cannot listen", None), "cannot listen"),
            (Cause("cannot listen", refused()), "cannot listen: refused"),
            (Cause("cannot listen: refused", refused()), "cannot listen: refused"),
        ] {
            assert_eq!(in_one_sentence(&error), told);
        }
    }
}
