//! The authorities of an installation, and their rotation.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Authority, CertificateError, Lifetimes};

/// The newest authority and, while it takes over, the one before it.
///
/// All of them are in the bundle that API servers trust. Which of them signs depends on time alone, so replicas that
/// read the same Secret agree without communication:
///
/// ```text
///  One(A) ──A in its last third──▶ Introducing(B, A) ──settle──▶ Retiring(B, A) ──leaf life + settle──▶ One(B)
///                                  A signs, both trusted         B signs, both trusted
/// ```
///
/// So a leaf is signed only by an authority that API servers have had time to trust, and an authority is trusted for as
/// long as its leaves are valid.
///
/// An authority that has expired, or that is not valid yet because a clock was set back, signs nothing and is no reason
/// for the other one to go: of two replicas whose clocks differ, each signs by the authority that its own clock allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorities {
    newest: Arc<Authority>,
    previous: Option<Arc<Authority>>,
}

impl Authorities {
    /// Returns the first authority of an installation. It signs at once, because it has no predecessor.
    pub fn first(now: SystemTime, lifetimes: &Lifetimes) -> Result<Self, CertificateError> {
        Ok(Self { newest: Arc::new(Authority::generate(now, lifetimes.authority)?), previous: None })
    }

    /// Returns one or two authorities, given the newest first; `None` for any other number.
    pub fn from_newest_first(authorities: Vec<Authority>) -> Option<Self> {
        let mut authorities = authorities.into_iter().map(Arc::new);
        let these = Self { newest: authorities.next()?, previous: authorities.next() };
        authorities.next().is_none().then_some(these)
    }

    /// Iterates over the authorities, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Authority> {
        std::iter::once(&self.newest).chain(&self.previous).map(Arc::as_ref)
    }

    /// Returns the one that signs leaves at `now`.
    pub fn signer(&self, now: SystemTime, lifetimes: &Lifetimes) -> &Authority {
        let newest = self.newest.validity();
        let settled = newest.is_valid(now) && newest.age(now) >= lifetimes.settle;
        match &self.previous {
            Some(previous) if !settled && previous.validity().is_valid(now) => previous,
            Some(_) | None => &self.newest,
        }
    }

    /// Returns the certificates that API servers are to trust, in PEM, the newest first.
    pub fn bundle_pem(&self) -> String {
        self.iter().map(Authority::certificate_pem).collect()
    }

    /// Returns the authorities that follow: without the previous one once its leaves have expired, with a successor
    /// once it is due. Returns `None` while nothing is to change. They must be stored before they are used.
    pub fn next(&self, now: SystemTime, lifetimes: &Lifetimes) -> Result<Option<Self>, CertificateError> {
        let newest = self.newest.validity();
        let superseded =
            newest.is_valid(now) && newest.age(now) >= lifetimes.settle + lifetimes.leaf + lifetimes.settle;
        let previous = self.previous.clone().filter(|_| !superseded);
        let usable = previous.as_ref().filter(|previous| !newest.is_valid(now) && previous.validity().is_valid(now));
        let last = usable.unwrap_or(&self.newest);
        let due = Lifetimes::needs_successor(last.validity(), now) || !last.validity().has_begun(now);
        let next = if due && (previous.is_none() || !newest.is_valid(now)) {
            let successor = Arc::new(Authority::generate(now, lifetimes.authority)?);
            Self { newest: successor, previous: Some(Arc::clone(last)) }
        } else {
            Self { newest: Arc::clone(&self.newest), previous }
        };
        Ok((next != *self).then_some(next))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn lifetimes() -> Lifetimes {
        Lifetimes { authority: 300 * HOUR, leaf: 24 * HOUR, settle: HOUR }
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + 100_000 * HOUR
    }

    fn first() -> Authorities {
        Authorities::first(start(), &lifetimes()).unwrap()
    }

    fn next(authorities: &Authorities, now: SystemTime) -> Option<Authorities> {
        authorities.next(now, &lifetimes()).unwrap()
    }

    fn signer(authorities: &Authorities, now: SystemTime) -> &str {
        authorities.signer(now, &lifetimes()).certificate_pem()
    }

    #[test]
    fn the_first_authority_signs_at_once() {
        let authorities = first();
        assert_eq!(signer(&authorities, start()), authorities.newest.certificate_pem());
    }

    #[test]
    fn a_new_authority_signs_after_it_is_published_and_the_old_one_expires() {
        let one = first();
        let old = one.newest.certificate_pem();
        assert_eq!(next(&one, start() + 200 * HOUR), None);

        let rotation = start() + 201 * HOUR;
        let two = next(&one, rotation).expect("a successor");
        let new = two.newest.certificate_pem();
        assert_eq!(two.bundle_pem(), format!("{new}{old}"));
        assert_eq!(signer(&two, rotation), old, "the new one has to settle");
        assert_eq!(signer(&two, rotation + HOUR), new);

        assert_eq!(next(&two, rotation + 25 * HOUR), None, "leaves of the old one still live");
        let last = next(&two, rotation + 26 * HOUR).expect("the old one to go");
        assert_eq!(last.bundle_pem(), new);
        assert_eq!(next(&last, rotation + 27 * HOUR), None);
    }

    #[test]
    fn every_leaf_is_trusted_for_its_whole_life() {
        // Hour by hour over three rotations: each leaf that was ever signed chains to the bundle until it is over.
        let mut authorities = first();
        let mut leaves: Vec<(String, SystemTime)> = Vec::new();
        let mut rotations = 0;
        for hour in 0..700 {
            let now = start() + hour * HOUR;
            if let Some(next) = next(&authorities, now) {
                rotations += u32::from(next.newest != authorities.newest);
                authorities = next;
            }
            let signer = authorities.signer(now, &lifetimes());
            assert!(signer.validity().is_valid(now));
            leaves.push((signer.certificate_pem().to_owned(), now + lifetimes().leaf));
            leaves.retain(|(_, until)| *until > now);
            let bundle = authorities.bundle_pem();
            assert!(leaves.iter().all(|(signer, _)| bundle.contains(signer)), "hour {hour}");
        }
        assert_eq!(rotations, 3);
    }

    #[test]
    fn authorities_that_are_not_valid_are_replaced() {
        for now in [start() + 10_000 * HOUR, start() - 2 * HOUR, start() - 10_000 * HOUR] {
            let one = first();
            let two = next(&one, now).expect("a successor");
            assert_eq!(signer(&two, now), two.newest.certificate_pem());
            assert_eq!(two.previous, Some(Arc::clone(&one.newest)), "another replica's clock may call it valid");
            assert_eq!(next(&two, now), None);
            assert!(two.signer(start(), &lifetimes()).validity().is_valid(start()));
            assert_eq!(next(&two, start()), None);
        }
    }

    #[test]
    fn there_are_one_or_two_authorities() {
        let authority = || Authority::generate(start(), HOUR).unwrap();
        assert_eq!(Authorities::from_newest_first(vec![]), None);
        assert_eq!(Authorities::from_newest_first(vec![authority(), authority()]).unwrap().iter().count(), 2);
        assert_eq!(Authorities::from_newest_first(vec![authority(), authority(), authority()]), None);
    }
}
