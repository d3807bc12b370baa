//! Faults of messages that are not forwarded.

use labels::labels;

labels!(
    /// A fault in the framing of a message. A message whose end two recipients could parse differently is not
    /// forwarded.
    pub Fault {
        /// A line ends in a bare LF, or a CR stands alone (RFC 9112 §2.2).
        BareLineEnd = "bare_line_end",
        /// The head is not one that RFC 9112 §3 to §5 describes.
        MalformedHead = "malformed_head",
        /// The head is longer than the head limit.
        HeadTooLong = "head_too_long",
        /// The request target has bytes that a URI cannot have (RFC 9112 §3.2).
        BadTarget = "bad_target",
        /// A request of HTTP/1.1 has no Host, or any has several or one that is not a host (RFC 9112 §3.2).
        BadHost = "bad_host",
        /// Content-Length is not one plain number (RFC 9112 §6.3).
        BadContentLength = "bad_content_length",
        /// Transfer-Encoding does not end in exactly one chunked, or came with HTTP/1.0 (RFC 9112 §6.1).
        BadTransferEncoding = "bad_transfer_encoding",
        /// Content-Length and Transfer-Encoding contradict each other (RFC 9112 §6.3).
        LengthAndEncoding = "length_and_encoding",
        /// A field name that some parsers read as a framing field.
        LookalikeField = "lookalike_field",
        /// A field that some programs take for X-Forwarded-For, or a Connection field that has proxies drop it, where
        /// `forwarded-for` is on.
        HiddenAddress = "hidden_address",
        /// The app switches protocols (101), though every offer to do so was for HTTP and was not passed on (RFC 9110
        /// §7.8).
        UnaskedUpgrade = "unasked_upgrade",
        /// A chunk does not have the form of RFC 9112 §7.1.
        BadChunk = "bad_chunk",
        /// The trailer section does not have the form of RFC 9112 §7.1.2.
        BadTrailer = "bad_trailer",
        /// The head did not arrive in time.
        SlowHead = "slow_head",
        /// The app sent bytes without a request.
        Unsolicited = "unsolicited",
    }
);
