//! Selects the connections that a pod retires because its load is above the mean.

use crate::instruction::Instruction;

/// The number of connections that any pod may mark in one second.
const CAP_AT_LEAST: usize = 5;

/// A pod with more connections may mark one in this many in one second.
const CAP_ONE_IN: usize = 5;

/// A connection that can be retired and is not marked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<Id> {
    /// Its identifier.
    pub id: Id,
    /// Its estimated rate, in requests per second.
    pub rate: f64,
}

/// The load of a pod above the mean of its workload, in requests per second. It exists only if the load is above the
/// tolerance.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Excess(f64);

impl Excess {
    /// Returns the excess of a pod; `None` if its load is within the tolerance or the workload has no load.
    ///
    /// `unmarked` is the load of its connections that are not marked, because marked ones are about to leave.
    pub fn of(unmarked: f64, instruction: &Instruction) -> Option<Self> {
        let above = instruction.mean() > 0.0 && unmarked.is_finite() && unmarked > instruction.threshold();
        above.then(|| Self(unmarked - instruction.mean()))
    }

    /// Returns the excess in requests per second.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// Returns how many of its connections a pod may mark in one second: a fifth of them, or 5 if that is more. The cap
/// bounds the reconnects that one wrong mean can cause.
pub const fn cap(connections: usize) -> usize {
    let part = connections / CAP_ONE_IN;
    if part > CAP_AT_LEAST { part } else { CAP_AT_LEAST }
}

/// Returns the connections to mark, drawn at random until their rates use up the excess or `cap` of them are drawn.
///
/// A connection whose rate is greater than the rest of the excess is not drawn, because it would only overload another
/// pod. `below(n)` returns a random number, uniform over `0..n`. The function reorders `candidates`.
pub fn shed<Id: Copy>(
    candidates: &mut [Candidate<Id>],
    excess: Excess,
    cap: usize,
    mut below: impl FnMut(usize) -> usize,
) -> Vec<Id> {
    let mut left = excess.get();
    let mut drawn = Vec::new();
    let mut rest = candidates;
    // A partial Fisher-Yates shuffle: each iteration swaps a random candidate to the front of the rest.
    while left > 0.0 && drawn.len() < cap && !rest.is_empty() {
        let pick = below(rest.len());
        debug_assert!(pick < rest.len(), "a random number below {} was {pick}", rest.len());
        rest.swap(0, pick.min(rest.len().saturating_sub(1)));
        let Some((candidate, others)) = rest.split_first_mut() else { break };
        if candidate.rate <= left {
            left -= candidate.rate;
            drawn.push(candidate.id);
        }
        rest = others;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::instruction::{PodChange, Tolerance};
    use crate::rate::RateEstimate;

    fn instruction(mean: f64) -> Instruction {
        Instruction::new(mean, 1.0, Tolerance::after(PodChange::default(), 1.0)).unwrap()
    }

    fn candidates(rates: &[f64]) -> Vec<Candidate<usize>> {
        rates.iter().enumerate().map(|(id, rate)| Candidate { id, rate: *rate }).collect()
    }

    /// Draws from a list of samples, each taken modulo the range.
    fn sampler(samples: Vec<u32>) -> impl FnMut(usize) -> usize {
        let mut samples = samples.into_iter().cycle();
        move |n| samples.next().map_or(0, |sample| sample as usize % n)
    }

    #[test]
    fn there_is_no_excess_within_the_tolerance() {
        for (own, excess) in [(0.0, None), (10.0, None), (11.5, None), (11.6, Some(1.6)), (f64::NAN, None)] {
            let found = Excess::of(own, &instruction(10.0)).map(Excess::get);
            assert_eq!(found.is_some(), excess.is_some(), "{own}");
            assert!(found.zip(excess).is_none_or(|(found, excess)| (found - excess).abs() < 1e-9), "{own}");
        }
    }

    #[test]
    fn there_is_no_excess_without_load() {
        assert_eq!(Excess::of(5.0, &instruction(0.0)), None);
    }

    #[test]
    fn at_most_a_fifth_or_five_connections_are_marked_in_a_second() {
        for (connections, most) in [(0, 5), (5, 5), (29, 5), (30, 6), (100, 20), (10_000, 2_000)] {
            assert_eq!(cap(connections), most);
        }
    }

    #[test]
    fn a_connection_larger_than_the_excess_is_kept() {
        let mut two = candidates(&[9.0, 1.0]);
        let excess = Excess::of(10.0, &instruction(5.0)).unwrap();
        for first in 0..2 {
            assert_eq!(shed(&mut two, excess, 5, sampler(vec![first])), [1]);
            two = candidates(&[9.0, 1.0]);
        }
    }

    #[test]
    fn each_connection_is_equally_likely_to_be_marked() {
        let mut state = 1u32;
        let mut below = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % n
        };
        let mut times = [0u32; 10];
        for _ in 0..10_000 {
            let excess = Excess::of(10.0, &instruction(7.0)).unwrap();
            for id in shed(&mut candidates(&[1.0; 10]), excess, 5, &mut below) {
                times[id] += 1;
            }
        }
        assert!(times.iter().all(|times| (2_800..3_200).contains(times)), "{times:?}");
    }

    proptest! {
        #[test]
        fn never_more_than_the_excess_or_the_cap_is_marked(
            rates in proptest::collection::vec(0.001f64..100.0, 0..200),
            mean in 0.001f64..1000.0,
            cap in 0usize..50,
            samples in proptest::collection::vec(any::<u32>(), 1..50),
        ) {
            let own: f64 = rates.iter().sum();
            let Some(excess) = Excess::of(own, &instruction(mean)) else {
                prop_assert!(own <= mean * 1.15 * (1.0 + 1e-9));
                return Ok(());
            };
            let ids = shed(&mut candidates(&rates), excess, cap, sampler(samples));
            let shed: f64 = ids.iter().map(|id| rates[*id]).sum();
            let mut once = ids.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), ids.len());
            prop_assert!(ids.len() <= cap);
            prop_assert!(shed <= excess.get() * (1.0 + 1e-9));
            prop_assert!(own - shed >= mean * (1.0 - 1e-9), "the pod is left below the mean");
        }

        /// What a workload's pods report in sum stays: a marked connection counts until it has left, and then as an
        /// average one where it lands.
        #[test]
        fn a_move_conserves_the_load_of_the_workload(here in 1usize..50, there in 0usize..50, prior in 0.01f64..100.0) {
            let load = |connections: usize| (0..connections).map(|_| RateEstimate::default().rate(prior)).sum::<f64>();
            let (before, after) = (load(here) + load(there), load(here - 1) + load(there + 1));
            prop_assert!((before - after).abs() <= 1e-9 * before);
        }
    }
}
