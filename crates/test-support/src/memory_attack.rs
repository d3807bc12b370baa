//! Hostile clients that use as much memory of a proxy as they can, and the rest of the scene: an app, a legitimate
//! client, and the memory limit of a container.

mod app;
mod attack;
mod client;
mod limit;

pub use self::app::AttackedApp;
pub use self::attack::MemoryAttack;
pub use self::client::LegitimateClient;
pub use self::limit::MemoryLimit;

/// The request of a legitimate client.
const GET: &str = "GET /a HTTP/1.1\r\nHost: app\r\n\r\n";
/// Its response.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
