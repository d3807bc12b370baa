//! The course of the demo, from the manifest to the verdict.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use json_patch::PatchOperation;
use settings::{Annotation, OptionSpec};

use super::Args;
use super::act::{Outcome, Script, Stage};
use super::addresses::Addresses;
use super::binaries::Binaries;
use super::clients::Load;
use super::manifest::{Manifest, annotated};
use super::picture::picture;
use super::pod_spec::{Injected, PodSpec};
use super::pods::from_the_namespace;
use super::report::{complaints, table};
use super::review::{Review, Webhook};
use super::screen::Screen;

/// Runs the demo, and returns its exit code.
pub(crate) async fn run(args: &Args, screen: &mut Screen) -> Result<ExitCode> {
    let binaries = Binaries::find()?;
    if let Some(file) = &args.svg {
        // Fails now instead of after both acts.
        let opened = OpenOptions::new().create(true).append(true).open(file);
        opened.with_context(|| format!("cannot write {}", file.display()))?;
    }
    let folder = tempfile::tempdir().context("no folder for certificates and logs")?;
    let addresses = Addresses::claim(args.pods_after)?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX)));
    let load = Load { clients: args.clients, rate: args.rate, seed };
    let length = Duration::from_secs(args.seconds.into());
    let script = Script { before: args.pods_before, after: args.pods_after, length };
    screen.line(&format!(
        "{} keep-alive clients of {} requests/s each; {} pods, then {}; two acts of {} s; --seed {seed}.",
        load.clients, load.rate, script.before, script.after, args.seconds
    ))?;
    let (plain, injected) = reviewed(args, &binaries, &addresses, folder.path(), screen).await?;

    let stage = Stage { script, load, addresses: &addresses, binaries: &binaries, logs: folder.path() };
    screen.heading("3. Without recycling: clients keep their connections, and with them their pods")?;
    let off = stage.play(&plain, screen).await?;
    screen
        .heading(&format!("4. With what was injected: connections are retired every {} requests", args.max_requests))?;
    let on = stage.play(&injected, screen).await?;
    conclude(args, &off, &on, screen)
}

/// Shows the Deployment, has it reviewed before and after it is annotated, and reads the pods of both.
async fn reviewed(
    args: &Args,
    binaries: &Binaries,
    addresses: &Addresses,
    folder: &Path,
    screen: &mut Screen,
) -> Result<(PodSpec, PodSpec)> {
    let manifest = Manifest::new(addresses.app_port(), args.pods_before);
    screen.heading("1. A Deployment, as any team would write it")?;
    let lines: Vec<String> = manifest.yaml().lines().map(|line| format!("  {line}")).collect();
    screen.line(&lines.join("\n"))?;

    screen.heading("2. The real webhook reviews it, over TLS")?;
    let webhook = Webhook::start(&binaries.webhook, addresses, folder).await?;
    let created = webhook.review(None, &manifest.object()?).await?;
    screen.line(&format!("  kubectl apply\n{}", response_text(&created)))?;
    let annotations = [(Annotation::MaxRequests, args.max_requests.to_string())];
    let changed = annotated(&created.object, &annotations);
    let updated = webhook.review(Some(&created.object), &changed).await?;
    let [(annotation, value)] = &annotations;
    screen.line(&format!("  kubectl annotate deployment web {annotation}={value}\n{}", response_text(&updated)))?;
    webhook.stop().await?;

    let spec = PodSpec::of_deployment(&updated.object)?;
    let injected = spec.injected.as_ref().context("the webhook injected nothing into the annotated Deployment")?;
    screen.line(&environment(injected, &spec, addresses)?)?;
    Ok((PodSpec::of_deployment(&created.object)?, spec))
}

/// Returns a summary of a review: its patch without values.
fn response_text(review: &Review) -> String {
    let took = review.took.as_secs_f64() * 1e3;
    if review.patch.is_empty() {
        return format!("    admitted as it is ({took:.1} ms)");
    }
    let mut lines = vec![format!("    patched ({took:.1} ms):")];
    lines.extend(review.patch.iter().map(|operation| format!("      {:<7} {}", verb(operation), operation.path())));
    lines.extend(review.warnings.iter().map(|warning| format!("    warning: {warning}")));
    lines.join("\n")
}

const fn verb(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

/// Returns the environment of the proxies, with the variables that are not from the patch.
fn environment(injected: &Injected, spec: &PodSpec, addresses: &Addresses) -> Result<String> {
    let mut lines = vec!["  Each pod's proxy runs with the injected environment:".to_owned()];
    lines.extend(injected.proxy.env().iter().map(|(name, value)| format!("    {name}={value}")));
    lines.push("  and, for want of a network namespace of its own, with its pod's address (here of web-1):".to_owned());
    let added = from_the_namespace(injected, addresses.pod(0), spec.app.port()?);
    lines.extend(added.iter().map(|(option, value)| format!("    {}={value}", option.env())));
    lines.push(format!(
        "  In a cluster nftables rules redirect port {} to the proxy's {}; here the stand-in for the Service does.",
        spec.app.port()?,
        spec.entered_at()?
    ));
    Ok(lines.join("\n"))
}

/// Prints table and verdict, and writes the picture.
fn conclude(args: &Args, off: &Outcome, on: &Outcome, screen: &mut Screen) -> Result<ExitCode> {
    screen.heading("5. Both acts; shares are those of the last third")?;
    screen.line(&table(off, on, args.max_requests.get()))?;
    if let Some(file) = &args.svg {
        let titles = ["Without recycling", &format!("With max-requests={}", args.max_requests)];
        fs::write(file, picture(off, on, titles, &footer(args, off, on)))
            .with_context(|| format!("cannot write {}", file.display()))?;
        screen.line(&format!("\n  Drawn into {}.", file.display()))?;
    }
    let complaints = complaints(off, on, args.max_requests.get(), args.rate);
    if complaints.is_empty() {
        screen.line("\nNo request failed, and with recycling every pod has its share.")?;
        return Ok(ExitCode::SUCCESS);
    }
    for complaint in complaints {
        eprintln!("evenkeel demo: {complaint}");
    }
    Ok(ExitCode::FAILURE)
}

/// Returns the figures under the picture.
fn footer(args: &Args, off: &Outcome, on: &Outcome) -> [String; 2] {
    let load = format!(
        "evenkeel demo: {} clients of {} requests/s on one connection each; {} requests, {} of them failed.",
        args.clients,
        args.rate,
        off.tally.requests() + on.tally.requests(),
        off.tally.failures().len() + on.tally.failures().len(),
    );
    let (without, with) = (off.shares().busiest_to_mean(), on.shares().busiest_to_mean());
    let figures = format!(
        "Busiest pod / mean in the last third: {without:.2} without recycling, {with:.2} with it, at {:.0} reconnects per connection.",
        on.reconnects_per_connection(),
    );
    [load, figures]
}
