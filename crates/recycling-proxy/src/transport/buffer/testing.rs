//! What tests do with a buffer in place of its two sockets.

use super::Buffer;

impl Buffer {
    /// Takes in `bytes`, as a read of all of them would.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.room()[..bytes.len()].copy_from_slice(bytes);
            self.filled(bytes.len());
        }
    }

    /// Returns the cleared bytes, as a write of all of them would take them.
    pub(crate) fn send(&mut self) -> Vec<u8> {
        let sent = self.cleared().to_vec();
        self.written(sent.len());
        sent
    }
}
