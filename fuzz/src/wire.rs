//! Both ends of a buffer: who fills it and who empties it.

use recycling_proxy::fuzzing::Buffer;

/// Puts bytes in, as a read does, however many there are.
pub(crate) fn put(buffer: &mut Buffer, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        if buffer.has_no_room() {
            buffer.grow();
        }
        let room = buffer.room();
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        buffer.filled(count);
        bytes = &bytes[count..];
    }
}

/// Takes out what may pass, as a write does.
pub(crate) fn pass(buffer: &mut Buffer, passed: &mut Vec<u8>) {
    let cleared = buffer.cleared();
    let count = cleared.len();
    passed.extend_from_slice(cleared);
    buffer.written(count);
}
