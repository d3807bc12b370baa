//! `evenkeel inject` and `evenkeel uninject`: the webhook's injection, offline.

use std::process::ExitCode;

/// Inject the recycling proxy into the annotated workloads of a manifest.
#[derive(clap::Args)]
pub(crate) struct InjectArgs {}

/// Take the recycling proxy out of a manifest again.
#[derive(clap::Args)]
pub(crate) struct UninjectArgs {}

/// Injects every workload that asks for it.
pub(crate) fn inject(_args: &InjectArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}

/// Takes every injection back.
pub(crate) fn uninject(_args: &UninjectArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
