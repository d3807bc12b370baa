//! What the tests of this workspace share; never shipped.
//!
//! - [`LoopbackHost`]: an address on which every port is the test's own, so that ports can be fixed.
//! - [`Peer`] and [`ScriptedApp`]: both ends of a connection, byte by byte. Whatever is not as expected is the error
//!   [`Unexpected`], which shows what came instead. Every wait has a timeout.
//! - [`Responder`]: an app that answers by itself and records its requests.
//! - [`Process`] and [`RecyclingProxy`]: programs under test, killed and waited for when the test ends.
//! - [`MemoryAttack`]: connections that use memory of a proxy, with an app, a legitimate client, and the limit of a
//!   container.
//! - [`write_kubeconfig`]: a kubeconfig for an API server of the test's own.
//! - [`Browser`] and [`LivePage`]: a headless Chromium, and the balancer's live page in it.
//! - [`expect_alerts`]: promtool's judgement which alerts fire on what programs have shown.
//! - [`TestResult`] and [`Cases`]: failures with their line of the test, and tables of cases that report every failure.
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
mod unexpected;

pub use alerts::{Scraped, expect_alerts};
pub use browser::Browser;
pub use end::End;
pub use head::Head;
pub use kubeconfig::{version_of_api_server, write_kubeconfig};
pub use live_page::LivePage;
pub use loopback::LoopbackHost;
pub use memory_attack::{AttackedApp, LegitimateClient, MemoryAttack, MemoryLimit};
pub use outcome::{Cases, Failure, TestResult};
pub use peer::{Peer, PeerReader, PeerWriter};
pub use process::Process;
pub use programs::build_programs;
pub use proxy::RecyclingProxy;
pub use responder::{Responder, answer_everything_with};
pub use scripted_app::ScriptedApp;
pub use unexpected::{TIMEOUT, Unexpected, within_timeout};
