//! The most memory that the proxy takes in a container of the default size, under clients that take as much as they can.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use settings::{Annotation, MemoryQuantity, ProxyOption};
use test_support::{AttackedApp, Failure, LegitimateClient, LoopbackHost, MemoryAttack, MemoryLimit, RecyclingProxy};
use tokio::runtime;
use tokio::time::sleep;

use crate::bench::Bench;
use crate::limits;
use crate::peer::Peer;
use crate::report::{Section, Standing, Table, Verdict};
use crate::summary::Summary;

/// More connections than the proxy holds at once within its default limit.
const ATTACKERS: usize = 5_000;
/// Connections that wait for the app are not evicted, and each holds up to 33 KiB of the 75 MiB for connections. This many
/// leave some for others.
const WAITING_FOR_APP: usize = 1_900;
/// For how long the others ask while all connections are open: this many times the pause.
const LOOKS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);
const MIB: f64 = 1024.0 * 1024.0;

/// What the proxy has taken, and what happened to the requests of others.
struct Taken {
    connections: usize,
    /// MiB.
    resident: f64,
    /// With what the kernel holds for it, MiB; `None` where there is no control group.
    charged: Option<f64>,
    answered: usize,
    failures: usize,
}

/// Returns the peak of a proxy that is freshly started for each attack.
pub(crate) fn measure(bench: &Bench) -> Result<Section> {
    eprintln!("worst-case memory …");
    let default = Annotation::ProxyMemoryLimit.default_text();
    let limit: MemoryQuantity = default.parse()?;
    let program = bench.tools.path_of(Peer::Evenkeel)?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcomes: Vec<(MemoryAttack, Result<Taken>)> = MemoryAttack::ALL
        .into_iter()
        .map(|attack| {
            let taken = runtime.block_on(under(attack, program, limit));
            if let Err(reason) = &taken {
                eprintln!("\n*** {attack}: {reason:#}\n");
            }
            (attack, taken)
        })
        .collect();
    Ok(section(&outcomes, limit))
}

async fn under(attack: MemoryAttack, program: &Path, limit: MemoryQuantity) -> Result<Taken> {
    let host = LoopbackHost::reserve()?;
    let app = AttackedApp::start(host.port(8080)).context("the app")?;
    let text = limit.to_string();
    // The connections of others must not be retired, since their clients expect unchanged responses.
    let options = [(ProxyOption::MemoryLimit, &*text), (ProxyOption::MaxRequests, "1000000000")];
    let mut proxy = RecyclingProxy::start(program, app.address(), &options).await?;
    let limited = MemoryLimit::around(proxy.id(), u64::from(limit.mebibytes()) << 20);
    let others = [usize::MAX, 3].map(|requests| LegitimateClient::start(proxy.address(), requests));
    let to = if attack == MemoryAttack::AdminHead { proxy.admin_address() } else { proxy.address() };
    let most = usize::try_from(limits::relayed_connections()).unwrap_or(usize::MAX);
    let wanted = if attack == MemoryAttack::Http2Unread { WAITING_FOR_APP } else { ATTACKERS };
    let held = attack.open(wanted.min(most), to).await;
    for _ in 0..LOOKS {
        ensure!(proxy.process().is_running(), "the proxy has ended");
        sleep(PAUSE).await;
    }
    let failures: Vec<String> = others.iter().flat_map(LegitimateClient::failures).collect();
    for failure in &failures {
        eprintln!("*** {attack}: a request of others failed: {failure}");
    }
    #[expect(clippy::cast_precision_loss, reason = "less memory than 2⁵² bytes")]
    let mib = |bytes: u64| bytes as f64 / MIB;
    Ok(Taken {
        connections: held.len(),
        resident: mib(limited.peak_resident().map_err(|failure| in_words(&failure))?),
        charged: limited.peak_charged().map(mib),
        answered: others.iter().map(LegitimateClient::answered).sum(),
        failures: failures.len(),
    })
}

fn in_words(failure: &Failure) -> anyhow::Error {
    anyhow!("{failure:?}")
}

fn section(outcomes: &[(MemoryAttack, Result<Taken>)], limit: MemoryQuantity) -> Section {
    let rows = outcomes.iter().map(|(attack, taken)| std::iter::once(attack.to_string()).chain(cells(taken)).collect());
    Section {
        title: "Worst-case memory".to_owned(),
        how: format!(
            "The proxy with its default memory limit, {limit}, in a control group of that size, freshly started for each row. The \
             connections of a row do the same and stay open; beyond the proxy's connection limit they wait, or others are evicted for them. \
             Meanwhile two other clients ask every 5 ms, one of them on a new connection after each third response. Resident is the highest \
             VmHWM. Charged is the most that the control group has counted since the proxy joined it, with the kernel's memory for it; a \
             container that exceeds its limit is killed."
        ),
        table: Table {
            columns: vec!["", "connections", "resident", "charged", "others' responses", "failed"],
            rows: rows.collect(),
        },
        verdicts: vec![within(outcomes, limit), none_failed(outcomes)],
    }
}

fn cells(taken: &Result<Taken>) -> Vec<String> {
    match taken {
        Ok(Taken { connections, resident, charged, answered, failures }) => {
            let charged = charged.map_or_else(|| "–".to_owned(), |charged| format!("{charged:.1} MiB"));
            let resident = format!("{resident:.1} MiB");
            vec![connections.to_string(), resident, charged, answered.to_string(), failures.to_string()]
        }
        Err(reason) => vec![format!("{reason:#}").replace('|', "/")],
    }
}

fn within(outcomes: &[(MemoryAttack, Result<Taken>)], limit: MemoryQuantity) -> Verdict {
    let goal = format!("≤ {limit} in every state, and no container is killed");
    let failed = outcomes.iter().find_map(|(attack, taken)| taken.as_ref().err().map(|reason| (attack, reason)));
    if let Some((attack, reason)) = failed {
        return Verdict { goal, measured: format!("{attack}: {reason:#}"), standing: Standing::Missed };
    }
    let peaks = outcomes.iter().filter_map(|(_, taken)| taken.as_ref().ok());
    let most = peaks.map(|taken| taken.charged.unwrap_or_default().max(taken.resident)).max_by(f64::total_cmp);
    Verdict::at_most(goal, limit.mebibytes().into(), most.and_then(|most| Summary::of([most])), "MiB")
}

fn none_failed(outcomes: &[(MemoryAttack, Result<Taken>)]) -> Verdict {
    let taken = || outcomes.iter().filter_map(|(_, taken)| taken.as_ref().ok());
    let [answered, failures] =
        [|taken: &Taken| taken.answered, |taken: &Taken| taken.failures].map(|of| taken().map(of).sum::<usize>());
    let none = failures == 0 && taken().all(|taken| taken.answered > 0) && taken().count() == outcomes.len();
    Verdict {
        goal: "no request of others fails".to_owned(),
        measured: format!("{failures} failed, {answered} answered"),
        standing: if none { Standing::Met } else { Standing::Missed },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn taken(charged: f64, failures: usize) -> Taken {
        Taken { connections: 1, resident: 10.0, charged: Some(charged), answered: 5, failures }
    }

    #[test]
    fn the_goal_is_missed_if_one_state_takes_more_or_ends_the_proxy() {
        let limit = "128Mi".parse().unwrap();
        let standing = |second| {
            within(&[(MemoryAttack::Silence, Ok(taken(127.0, 0))), (MemoryAttack::Trailers, second)], limit).standing
        };
        assert_eq!(standing(Ok(taken(128.0, 0))), Standing::Met);
        assert_eq!(standing(Ok(taken(128.1, 0))), Standing::Missed);
        assert_eq!(standing(Err(anyhow!("the proxy has ended"))), Standing::Missed);
    }

    #[test]
    fn a_failed_request_of_others_misses_the_goal() {
        let standing = |failures| none_failed(&[(MemoryAttack::Silence, Ok(taken(1.0, failures)))]).standing;
        assert_eq!((standing(0), standing(1)), (Standing::Met, Standing::Missed));
    }
}
