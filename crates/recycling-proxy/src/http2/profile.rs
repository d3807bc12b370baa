//! Recognises client libraries that fail open streams on GOAWAY, by their first SETTINGS.
//!
//! By RFC 9113 §6.8 open streams continue after GOAWAY. Two common libraries fail them instead: Java's own client and
//! Python's h2. If GOAWAY follows a response, they lose few requests or none, but other clients lose more. So these two
//! are recognised by SETTINGS that no other client sends. A client that is mistaken for one of them gets equally valid
//! frames in another order.

/// An entry of SETTINGS: its identifier, and its value if it matters.
type Expected = (u16, Option<u32>);

/// Java's own client, `java.net.http`. A header table of 16 KiB and windows of 16 MiB distinguish it from Apache's
/// client, which sends the same identifiers.
const JDK: &[Expected] = &[(1, Some(16 * 1024)), (2, None), (3, None), (4, Some(16 * 1024 * 1024)), (5, None)];
/// Later releases of it (17.0.15, 21.0.8). The latest ones continue open streams, and lose nothing in either order.
const JDK_WITH_FIELD_LIMIT: &[Expected] =
    &[(1, Some(16 * 1024)), (2, None), (3, None), (4, Some(16 * 1024 * 1024)), (5, None), (6, None)];
/// Python's h2, which httpx uses. No other client sends the identifiers in this order.
const PYTHON_H2: &[Expected] = &[(1, None), (2, None), (4, None), (5, None), (3, None), (6, None)];

const ABANDONING: [&[Expected]; 3] = [JDK, JDK_WITH_FIELD_LIMIT, PYTHON_H2];

/// The result of comparing a client's first SETTINGS with those of known libraries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Profile {
    frames: u8,
    entries: usize,
    /// Whether the SETTINGS differ from each of [`ABANDONING`].
    differs: [bool; ABANDONING.len()],
}

impl Profile {
    /// Records that a frame of the client begins. Only entries in the first frame count.
    pub(crate) fn frame_begins(&mut self) {
        self.frames = self.frames.saturating_add(1);
    }

    /// Records an entry of SETTINGS.
    pub(crate) fn setting(&mut self, identifier: u16, value: u32) {
        if self.frames != 1 {
            return;
        }
        for (differs, profile) in self.differs.iter_mut().zip(ABANDONING) {
            let expected = profile.get(self.entries);
            *differs |= !expected.is_some_and(|(id, wanted)| *id == identifier && wanted.is_none_or(|it| it == value));
        }
        self.entries = self.entries.saturating_add(1);
    }

    /// Treats the client as one that continues open streams from now on.
    pub(crate) fn forget(&mut self) {
        self.differs = [true; ABANDONING.len()];
    }

    /// Returns whether the client fails the streams that are open when it reads a GOAWAY.
    pub(crate) fn abandons_streams(&self) -> bool {
        self.differs.iter().zip(ABANDONING).any(|(differs, profile)| !differs && profile.len() == self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(entries: &[(u16, u32)]) -> Profile {
        let mut profile = Profile::default();
        profile.frame_begins();
        for (identifier, value) in entries {
            profile.setting(*identifier, *value);
        }
        profile
    }

    /// The SETTINGS that each client was observed to send.
    #[test]
    fn clients_that_abandon_streams_are_recognized_by_their_settings() {
        for (client, abandons, entries) in [
            ("JDK 17.0.9, 21.0.4", true, &[(1, 16_384), (2, 1), (3, 100), (4, 16_777_216), (5, 16_384)][..]),
            ("JDK 17.0.15", true, &[(1, 16_384), (2, 0), (3, 0), (4, 16_777_216), (5, 16_384), (6, 393_216)]),
            ("httpx", true, &[(1, 4_096), (2, 0), (4, 65_535), (5, 16_384), (3, 100), (6, 65_536)]),
            ("OkHttp", false, &[(4, 16_777_216)]),
            ("Jetty", false, &[(3, 32), (4, 8_388_608)]),
            ("reactor-netty", false, &[(3, 100), (6, 8_192)]),
            ("grpc-java", false, &[(2, 0), (3, 0), (4, 1_048_576), (6, 8_192)]),
            ("Go net/http", false, &[(2, 0), (4, 4_194_304), (5, 16_384), (6, 10_485_760)]),
            ("grpc-go, Node http2", false, &[]),
            ("hyper, reqwest, tonic", false, &[(2, 0), (4, 2_097_152), (5, 16_384), (6, 16_384)]),
            ("grpc-js", false, &[(4, 65_535)]),
            ("grpcio", false, &[(2, 0), (3, 0), (4, 4_194_304), (5, 4_194_304), (6, 16_384), (65_027, 1)]),
            ("curl", false, &[(3, 100), (4, 33_554_432), (2, 0)]),
            ("nghttp", false, &[(3, 100), (4, 65_535)]),
            ("the same identifiers as the JDK's", false, &[(1, 8_192), (2, 0), (3, 250), (4, 65_535), (5, 65_536)]),
            ("one entry fewer", false, &[(1, 16_384), (2, 1), (3, 100), (4, 16_777_216)]),
            ("one entry more", false, &[(1, 4_096), (2, 0), (4, 65_535), (5, 16_384), (3, 100), (6, 65_536), (8, 1)]),
        ] {
            assert_eq!(profile(entries).abandons_streams(), abandons, "{client}");
        }
    }

    #[test]
    fn only_the_first_settings_are_considered() {
        let mut known = profile(&[(1, 16_384), (2, 1), (3, 100), (4, 16_777_216), (5, 16_384)]);
        known.frame_begins();
        known.setting(4, 1);
        assert!(known.abandons_streams());
        known.forget();
        assert!(!known.abandons_streams());
        let mut unknown = profile(&[]);
        unknown.frame_begins();
        for identifier in [1, 2, 4, 5, 3, 6] {
            unknown.setting(identifier, 0);
        }
        assert!(!unknown.abandons_streams());
    }
}
