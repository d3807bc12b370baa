//! Promise: the live page shows how load becomes level after a scale-out.
//!
//! 120 clients at uneven rates keep their connections to four pods, which become eight. A headless Chromium reads the
//! page through `evenkeel dashboard`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Fleet, Load, Web, in_namespace, program};
use test_support::{Browser, LivePage};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const LOAD: Load = Load { clients: 120, interval: Duration::from_millis(500) };
/// The time limit of each change of the page, also on a busy machine.
const WITHIN: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromedriver: make page"]
async fn the_live_page_shows_how_load_levels_on_a_cluster() -> anyhow::Result<()> {
    in_namespace("live-page", |namespace| async move {
        let web = Web::sample()?.replicas(4).annotation("evenkeel.dev/balance", "on");
        let fleet = Fleet::start(namespace.deploy(&web).await?, LOAD);
        let (_dashboard, url) = dashboard().await?;
        let browser = Browser::start().await?;
        browser.prefer("light", [1280, 1400]).await?;
        browser.open(&format!("{url}#/{}/Deployment/web", namespace.name())).await?;
        LivePage::mark(&browser).await?;
        once(&browser, "4 pods, level", |page| page.bars == 4 && page.level == "level").await?;

        namespace.scale("web", 8).await?;
        let uneven = once(&browser, "8 pods, uneven", |page| page.bars == 8 && page.level == "uneven").await?;
        browser.screenshot("page-uneven").await?;
        let level = once(&browser, "8 pods, level", |page| page.bars == 8 && page.level == "level").await?;
        ensure!(level.highest_share() < uneven.highest_share(), "{level:?} after {uneven:?}");
        let page = once(&browser, "the end of the scale event", LivePage::has_levelled).await?;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme, [1280, 1180]).await?;
            browser.screenshot(&format!("page-{scheme}")).await?;
        }
        let retired = page.events.get(4).and_then(|cell| cell.parse::<u32>().ok());
        ensure!(retired.is_some_and(|connections| connections > 0), "no connections were retired: {page:?}");
        ensure!(page.kept && page.notice.is_empty() && page.charts == 4, "{page:?}");
        let logged_errors = browser.logged_errors().await?;
        ensure!(logged_errors.is_empty(), "the browser logged errors: {logged_errors:?}");
        let figures = fleet.finish().await;
        ensure!(figures.failures() == 0, "requests failed although no pod was removed: {figures}");
        println!("  busiest pod: {:.2}, then {:.2} times the mean", uneven.highest_share(), level.highest_share());
        Ok(())
    })
    .await
}

/// Starts `evenkeel dashboard`, which ends when it is dropped. Returns it with the address of the page.
async fn dashboard() -> anyhow::Result<(Child, String)> {
    let mut command = Command::new(program::path_of_evenkeel()?);
    command.args(["dashboard", "--no-browser"]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut dashboard = command.spawn().context("evenkeel dashboard cannot be run")?;
    let mut lines = BufReader::new(dashboard.stdout.take().context("it was piped")?).lines();
    let line = lines.next_line().await?.context("evenkeel dashboard ended without an address")?;
    let url = line.split_whitespace().next().context("an empty line in place of an address")?;
    Ok((dashboard, url.to_owned()))
}

/// Waits until the page satisfies the condition, and returns it.
async fn once(browser: &Browser, what: &str, is_it: impl Fn(&LivePage) -> bool) -> anyhow::Result<LivePage> {
    let started = Instant::now();
    loop {
        let page = LivePage::read(browser).await?;
        if is_it(&page) {
            return Ok(page);
        }
        ensure!(started.elapsed() < WITHIN, "expected {what} within {WITHIN:?}: {page:?}");
        sleep(Duration::from_millis(200)).await;
    }
}
