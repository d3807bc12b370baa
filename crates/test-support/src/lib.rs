//! What the tests of this workspace share; never shipped.
//!
//! - [`LoopbackHost`]: an address on which every port is the test's own, so that fixed ports need no luck.
//! - [`Peer`] and [`ScriptedApp`]: both ends of a connection, played byte by byte. Whatever is not as expected is a
//!   [`Surprise`] that shows what came instead; nothing waits for ever.
//! - [`Responder`]: an app that answers by itself and remembers what it was asked.
//! - [`Process`] and [`RecyclingProxy`]: programs under test, ended and accounted for when the test ends.
//! - [`MemoryAttack`]: connections that take memory of a proxy, with an app, a legitimate client, and the limit of a container.
//! - [`write_kubeconfig`]: leads a program to an API server of the test's own.
//! - [`Browser`] and [`LivePage`]: a headless Chromium, and the balancer's live page in it.
//! - [`expect_alerts`]: asks promtool which alerts fire on what programs have shown.
//! - [`TestResult`] and [`Cases`]: failures with their place in the test, and tables that report every failing line.
//!
//! The `echo-app` binary is the app behind the proxy in end-to-end tests, benchmarks and the demo.

mod alerts;
mod browser;
mod end;
pub mod environment;
mod head;
mod kubeconfig;
mod live_page;
mod loopback;
mod memory_attack;
mod outcome;
mod peer;
mod process;
mod programs;
mod proxy;
mod responder;
mod scripted_app;
mod surprise;

pub use alerts::{Scraped, expect_alerts};
pub use browser::Browser;
pub use end::End;
pub use head::Head;
pub use kubeconfig::{version_of_api_server, write_kubeconfig};
pub use live_page::LivePage;
pub use loopback::LoopbackHost;
pub use memory_attack::{AttackedApp, LegitimateClient, MemoryAttack, MemoryLimit};
pub use outcome::{Cases, Failure, TestResult};
pub use peer::{Listening, Peer, Speaking};
pub use process::Process;
pub use programs::build_programs;
pub use proxy::RecyclingProxy;
pub use responder::{Responder, answer_everything_with};
pub use scripted_app::ScriptedApp;
pub use surprise::{PATIENCE, Surprise, within_patience};
