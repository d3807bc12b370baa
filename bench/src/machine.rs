//! What a run was made on and with, for the head of its report.

use std::fmt::Write as _;

use crate::bench::Bench;
use crate::peer::Peer;

/// The report's first lines. A machine is named by its cores and its kernel: figures of two machines are not compared.
pub(crate) fn preface(bench: &Bench) -> String {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let kernel = release.split('-').next().unwrap_or_default();
    let mut text = format!(
        "# Results\n\n\
         Made by `make bench` (README.md says how to read it): {} cores, Linux {kernel}; {}. {} rounds of {} s, peers in \
         turn; median (lowest–highest). Ratios are taken within each round. Absolute times are this machine's on that day.\n\n",
        bench.cores.count(),
        bench.cores.sentence(),
        bench.rounds,
        bench.seconds,
    );
    for peer in [Peer::Evenkeel, Peer::Nginx, Peer::HaProxy, Peer::Envoy] {
        let version = bench.tools.version_of(peer).unwrap_or_else(|error| format!("{error:#}"));
        // Writing to a String cannot fail.
        _ = writeln!(text, "- {peer}: {version}");
    }
    text
}
