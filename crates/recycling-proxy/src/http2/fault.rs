//! Faults in a direction's frames, after which it is not forwarded.

use labels::labels;

use super::frame::ErrorCode;

labels!(
    /// A fault in the framing of a connection, after which frames cannot be attributed to streams.
    pub Fault {
        /// What begins as the preface of a client (RFC 9113 §3.4) goes on as something else.
        BadPreface = "bad_preface",
        /// A frame is longer than its receiver has allowed (RFC 9113 §4.2).
        FrameTooLong = "frame_too_long",
        /// Another frame came where a field block has to go on, CONTINUATION where none has begun (RFC 9113 §6.10), or
        /// more padding than its frame has room for (§6.2).
        BrokenFieldBlock = "broken_field_block",
        /// A field block ends within a field (RFC 7541 §6), or says that one is longer than it could be.
        BadFieldBlock = "bad_field_block",
        /// A client opened a stream with an even number (RFC 9113 §5.1.1).
        BadStreamNumber = "bad_stream_number",
        /// HEADERS, DATA, CONTINUATION or `RST_STREAM` on stream 0, or SETTINGS, PING or GOAWAY on another (RFC 9113
        /// §6).
        WrongStream = "wrong_stream",
        /// A frame of a fixed size has another (RFC 9113 §6).
        WrongSize = "wrong_size",
        /// A client has more than 65,536 streams open.
        TooManyStreams = "too_many_streams",
    }
);

impl Fault {
    /// Returns the code with which the connection ends (RFC 9113 §7).
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::FrameTooLong | Self::WrongSize => ErrorCode::FrameSizeError,
            Self::BadFieldBlock => ErrorCode::CompressionError,
            Self::TooManyStreams => ErrorCode::EnhanceYourCalm,
            Self::BadPreface | Self::BrokenFieldBlock | Self::BadStreamNumber | Self::WrongStream => {
                ErrorCode::ProtocolError
            }
        }
    }
}
