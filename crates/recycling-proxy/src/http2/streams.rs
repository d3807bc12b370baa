//! The streams that are open on a connection.

use std::collections::BTreeMap;

use crate::relay::broken::ExchangePhase;

/// The most open streams of a connection, whatever its app allows, because each takes memory of the proxy.
pub(crate) const MOST_OPEN: usize = 65_536;

/// The state of an open stream. A promised stream counts as answered and as ended by the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stream {
    /// The app has sent response fields.
    answered: bool,
    client_ended: bool,
    app_ended: bool,
}

impl Stream {
    /// Returns the phase of the exchange; `None` if its response is complete.
    const fn unfinished(self) -> Option<ExchangePhase> {
        match self {
            Self { app_ended: true, .. } => None,
            Self { answered: true, .. } => Some(ExchangePhase::ResponseBody),
            Self { client_ended: true, .. } => Some(ExchangePhase::ResponseHead),
            Self { .. } => Some(ExchangePhase::RequestBody),
        }
    }
}

/// The open streams by identifier. An app usually allows a hundred; an idle connection owns no memory for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    open: BTreeMap<u32, Stream>,
    last: u32,
    unanswered: usize,
}

impl Streams {
    /// Returns the highest identifier that the client has opened; 0 before the first.
    pub(crate) const fn last(&self) -> u32 {
        self.last
    }

    /// Returns whether no stream is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the number of open streams.
    pub(crate) fn open_now(&self) -> usize {
        self.open.len()
    }

    /// Returns whether [`MOST_OPEN`] streams are open.
    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= MOST_OPEN
    }

    /// Returns whether the stream is open.
    pub(crate) fn is_open(&self, number: u32) -> bool {
        self.open.contains_key(&number)
    }

    /// Returns whether no stream but this one is open.
    pub(crate) fn has_none_but(&self, number: u32) -> bool {
        self.open.keys().all(|open| *open == number)
    }

    /// Returns whether the stream is open and the app has not ended it.
    pub(crate) fn awaits_app(&self, number: u32) -> bool {
        self.open.get(&number).is_some_and(|stream| !stream.app_ended)
    }

    /// Returns whether the stream is open and the client has not ended it.
    pub(crate) fn awaits_client(&self, number: u32) -> bool {
        self.open.get(&number).is_some_and(|stream| !stream.client_ended)
    }

    /// Returns whether every open stream has its response fields.
    pub(crate) const fn all_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// Opens the stream, whose identifier must be above [`Streams::last`].
    pub(crate) fn open(&mut self, number: u32) {
        self.last = number;
        self.unanswered = self.unanswered.saturating_add(1);
        self.open.insert(number, Stream::default());
    }

    /// Opens a stream that the app has promised. [`Streams::last`] does not change.
    pub(crate) fn promised(&mut self, number: u32) {
        if !self.is_full() {
            self.open.entry(number).or_insert(Stream { answered: true, client_ended: true, app_ended: false });
        }
    }

    /// Records that the app has sent response fields on the stream.
    pub(crate) fn answered(&mut self, number: u32) {
        if let Some(stream) = self.open.get_mut(&number)
            && !stream.answered
        {
            stream.answered = true;
            self.unanswered = self.unanswered.saturating_sub(1);
        }
    }

    /// Records that the client has ended the stream.
    pub(crate) fn client_ended(&mut self, number: u32) {
        self.end(number, |stream| stream.client_ended = true);
    }

    /// Records that the app has ended the stream.
    pub(crate) fn app_ended(&mut self, number: u32) {
        self.end(number, |stream| stream.app_ended = true);
    }

    /// Removes the stream, which was reset. Returns the phase of its exchange, if it was the client's and its response
    /// was incomplete.
    pub(crate) fn reset(&mut self, number: u32) -> Option<ExchangePhase> {
        let stream = self.open.remove(&number)?;
        if !stream.answered {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        stream.unfinished().filter(|_| !number.is_multiple_of(2))
    }

    /// Returns the phases of the client's exchanges whose responses are incomplete.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = ExchangePhase> {
        let of_clients = self.open.iter().filter(|(number, _)| !number.is_multiple_of(2));
        of_clients.filter_map(|(_, stream)| stream.unfinished())
    }

    fn end(&mut self, number: u32, end: impl FnOnce(&mut Stream)) {
        let Some(stream) = self.open.get_mut(&number) else { return };
        end(stream);
        if stream.client_ended && stream.app_ended {
            self.reset(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_when_both_sides_have_ended_it() {
        for client_first in [true, false] {
            let mut streams = Streams::default();
            streams.open(1);
            streams.open(5);
            assert_eq!((streams.last(), streams.all_answered()), (5, false));
            streams.answered(1);
            streams.answered(1);
            streams.answered(5);
            assert!(streams.all_answered());
            for number in [5, 1] {
                assert!(!streams.is_empty());
                if client_first {
                    streams.client_ended(number);
                    streams.app_ended(number);
                } else {
                    streams.app_ended(number);
                    streams.client_ended(number);
                }
            }
            assert!(streams.is_empty());
        }
    }

    #[test]
    fn a_promised_stream_ends_when_the_app_ends_it() {
        for reset in [true, false] {
            let mut streams = Streams::default();
            streams.open(1);
            streams.promised(2);
            streams.promised(1);
            assert_eq!((streams.last(), streams.all_answered()), (1, false));
            streams.reset(1);
            assert!(!streams.is_empty() && streams.all_answered());
            if reset {
                streams.reset(2);
            } else {
                streams.app_ended(2);
            }
            assert!(streams.is_empty() && streams.all_answered());
        }
    }

    #[test]
    fn a_reset_ends_a_stream_at_once_and_unknown_streams_are_ignored() {
        let mut streams = Streams::default();
        streams.open(1);
        streams.reset(3);
        streams.client_ended(3);
        streams.answered(3);
        assert!(!streams.is_empty() && !streams.all_answered());
        streams.reset(1);
        assert!(streams.is_empty() && streams.all_answered());
        assert_eq!(streams.last(), 1);
    }
}
