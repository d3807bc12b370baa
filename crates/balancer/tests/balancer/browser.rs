//! The page in a headless Chromium: `make page`. It needs chromedriver, which is not part of the Rust toolchain.

use std::time::Duration;

use serde_json::Value;
use test_support::{Browser, LivePage};
use tokio::time::sleep;

use crate::fleet::Fleet;
use crate::running::{TestCluster, until_some};

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: make page"]
async fn the_page_shows_how_load_levels() {
    let mut fleet = Fleet::start(4).await;
    let browser = Browser::start().await.unwrap();
    browser.prefer("light", [1280, 1400]).await.unwrap();
    browser.open(&format!("http://{}/", fleet.balancer.admin)).await.unwrap();
    LivePage::mark(&browser).await.unwrap();
    let has = async |pods: usize, level: &str| {
        until_some(async || {
            let page = LivePage::read(&browser).await.unwrap();
            (page.bars == pods && page.level == level).then_some(page)
        })
        .await
    };
    has(4, "level").await;
    // Rates are estimated from what connections have carried.
    sleep(Duration::from_secs(10)).await;
    fleet.scale(8).await;

    let uneven = has(8, "uneven").await;
    assert!(uneven.highest_share() > 1.3, "{uneven:?}");
    browser.screenshot("page-uneven").await.unwrap();
    let level = has(8, "level").await;
    assert!(level.highest_share() <= 1.5, "{level:?}");
    assert!(level.highest_share() < uneven.highest_share(), "{level:?} after {uneven:?}");
    let page = until_some(async || Some(LivePage::read(&browser).await.unwrap()).filter(LivePage::has_levelled)).await;
    assert_eq!(page.events[1], "4 → 8", "{page:?}");
    assert!(page.events[4].parse::<u32>().unwrap() > 0, "no connections were retired: {page:?}");
    assert_eq!((page.kept, page.notice.as_str(), page.charts), (true, "", 4));
    for scheme in ["light", "dark"] {
        browser.prefer(scheme, [1280, 1180]).await.unwrap();
        browser.screenshot(&format!("page-{scheme}")).await.unwrap();
    }
    assert_eq!(browser.logged_errors().await.unwrap(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: make page"]
async fn the_page_fits_two_hundred_pods_and_is_usable_by_keyboard() {
    let loads: Vec<f64> = (0..200u32).map(|pod| f64::from(pod % 20) + 1.0).collect();
    let cluster = TestCluster::with(2, &loads).await;
    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    let browser = Browser::start().await.unwrap();
    for (scheme, width) in [("light", 1280), ("dark", 480)] {
        browser.prefer(scheme, [width, 1400]).await.unwrap();
        browser.open(&format!("http://{}/", balancer.admin)).await.unwrap();
        let page =
            until_some(async || Some(LivePage::read(&browser).await.unwrap()).filter(|page| page.bars == 200)).await;
        assert_eq!((page.level.as_str(), page.fits), ("uneven", true), "{width}: {page:?}");
        browser.screenshot(&format!("page-200-{scheme}")).await.unwrap();
    }
    // The first stop is the way past the list; it leads to the workload.
    browser.run("document.activeElement.blur()").await.unwrap();
    browser.press(TAB).await.unwrap();
    assert_eq!(browser.run("return document.activeElement.className").await.unwrap(), "skip");
    browser.press(ENTER).await.unwrap();
    assert_eq!(browser.run("return document.activeElement.id").await.unwrap(), "detail");
    browser.press(TAB).await.unwrap();
    assert_eq!(
        browser.run("return document.activeElement.id").await.unwrap(),
        "pods",
        "what scrolls can be scrolled by keys"
    );
    let unnamed = "return [...document.querySelectorAll('button, input, a, svg[role=img], [role=region]')].filter(
        (element) => !(element.textContent || element.ariaLabel || element.labels?.length
            || element.getAttribute('aria-labelledby'))).length";
    assert_eq!(browser.run(unnamed).await.unwrap(), 0, "everything has a name for a screen reader");
    assert_eq!(browser.logged_errors().await.unwrap(), Vec::<Value>::new());
}
