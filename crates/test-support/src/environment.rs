//! Variables of the environment that change how much a test does.

use std::ffi::OsString;
use std::str::FromStr;

use crate::unexpected::Unexpected;

/// Returns the number that a variable has, or `default` if it is not set.
///
/// # Errors
/// Returns an error if the variable is set and is no number of the type.
pub fn number<N: FromStr>(name: &str, default: N) -> Result<N, Unexpected> {
    number_of(name, std::env::var_os(name), default)
}

fn number_of<N: FromStr>(name: &str, value: Option<OsString>, default: N) -> Result<N, Unexpected> {
    let Some(value) = value else { return Ok(default) };
    let number = value.to_str().and_then(|value| value.parse().ok());
    number.ok_or_else(|| {
        let expected = std::any::type_name::<N>().rsplit("::").next().unwrap_or_default();
        Unexpected::Other(format!("{name}={}: a number ({expected}) was expected", value.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_variable_that_is_no_number_is_an_error() {
        let number = |value: Option<&str>| number_of("ROLLOUTS", value.map(OsString::from), NonZeroU32::MIN);
        assert_eq!(number(None).unwrap(), NonZeroU32::MIN);
        assert_eq!(number(Some("200")).unwrap().get(), 200);
        for unusable in ["", "x", "0", "-1", "1.5", "99999999999"] {
            let error = number(Some(unusable)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("ROLLOUTS={unusable}: a number")), "{error}");
        }
    }
}
