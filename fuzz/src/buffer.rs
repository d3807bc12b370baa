//! The byte buffer, against a plain vector.

use recycling_proxy::fuzzing::Buffer;

/// Bytes held at most; past it nothing more is put in.
const MOST: usize = 200 * 1024;

/// Any sequence of operations leaves the same bytes in the buffer as in the model.
///
/// Input: pairs of an operation and its amount.
///
/// # Panics
/// Where they differ, or where an empty buffer keeps its contents apart.
pub fn check(data: &[u8]) {
    let mut buffer = Buffer::default();
    let mut model = Model::default();
    for (index, pair) in data.chunks_exact(2).enumerate() {
        let seed = u8::try_from(index % 251).unwrap_or_default();
        operate(&mut buffer, &mut model, pair[0], usize::from(pair[1]), seed);
        assert_eq!(buffer.cleared(), &model.bytes[..model.cleared], "cleared after step {index}");
        assert_eq!(buffer.unexamined(), &model.bytes[model.cleared..], "unexamined after step {index}");
        assert_eq!(buffer.is_empty(), model.bytes.is_empty(), "emptiness after step {index}");
    }
}

#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    cleared: usize,
}

fn operate(buffer: &mut Buffer, model: &mut Model, operation: u8, amount: usize, seed: u8) {
    let operation = operation % 8;
    match operation {
        // Reads come in all sizes up to the room that there is.
        0 | 1 if model.bytes.len() < MOST => {
            let (was_full, had_no_room) = (buffer.is_full(), buffer.has_no_room());
            let room = buffer.room();
            assert_eq!(room.is_empty(), had_no_room, "room and what was said of it disagree");
            // It is also full, with room left, while much waits to be written.
            assert!(was_full || !had_no_room, "room and fullness disagree");
            let count = room.len().min(if operation == 0 { amount } else { amount * 97 });
            room[..count].fill(seed);
            model.bytes.extend_from_slice(&room[..count]);
            buffer.filled(count);
        }
        2 => {
            let amount = amount * 61;
            let amount = amount.min(model.bytes.len() - model.cleared);
            buffer.clear(amount);
            model.cleared += amount;
        }
        3 => {
            buffer.clear_all();
            model.cleared = model.bytes.len();
        }
        4 => {
            let count = (amount * 31).min(model.cleared);
            buffer.written(count);
            model.bytes.drain(..count);
            model.cleared -= count;
        }
        5 if buffer.has_no_room() && model.bytes.len() < MOST => buffer.grow(),
        6 => {
            let count = (amount / 2).min(model.bytes.len() - model.cleared);
            let replacement = vec![seed; amount];
            if count > 0 {
                buffer.replace(count, &replacement);
                model.bytes.splice(model.cleared..model.cleared + count, replacement);
            }
        }
        7 if amount == 255 => {
            buffer.discard();
            *model = Model::default();
        }
        7 if amount < 128 => {
            let count = (amount * 13).min(model.bytes.len() - model.cleared);
            buffer.remove(count);
            model.bytes.drain(model.cleared..model.cleared + count);
        }
        7 if model.bytes.len() < MOST => {
            let at = ((amount - 128) * 13).min(model.bytes.len() - model.cleared);
            let count = (amount / 3).min(model.bytes.len() - model.cleared - at);
            let replacement = vec![seed; amount / 2];
            buffer.exchange(at, count, &replacement);
            let from = model.cleared + at;
            model.bytes.splice(from..from + count, replacement);
        }
        _ => {}
    }
}
