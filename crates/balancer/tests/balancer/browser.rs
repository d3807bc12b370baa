//! The page in a headless Chromium: `make page`. It needs chromedriver, which is not part of the Rust toolchain.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fleet::Fleet;
use crate::running::{TestCluster, until_some};
use crate::webdriver::Browser;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
/// What a reader sees: the verdict, the shares of the pods, the scale events.
const SEEN: &str = "
    const text = (selector) => [...document.querySelectorAll(selector)].map((cell) => cell.textContent);
    return {
        level: document.querySelector('#detail').dataset.level,
        shares: text('#pods tbody td:nth-child(3)').map(Number),
        bars: document.querySelectorAll('#pods svg[role=img] rect.value').length,
        events: text('#events tbody td'),
        charts: document.querySelectorAll('#charts svg').length,
        notice: document.querySelector('#notice').hidden ? '' : document.querySelector('#notice').textContent,
        kept: window.kept === true,
        fits: document.documentElement.scrollWidth <= window.innerWidth,
    };";

fn highest_share(seen: &Value) -> f64 {
    seen["shares"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap_or(9.0)).fold(0.0, f64::max)
}

/// Saves the window where `SCREENSHOTS` says, if it does.
async fn save(browser: &Browser, name: &str) {
    if let Ok(folder) = std::env::var("SCREENSHOTS") {
        let picture = STANDARD.decode(browser.screenshot().await).unwrap();
        std::fs::write(format!("{folder}/{name}.png"), picture).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: make page"]
async fn the_page_shows_how_load_levels() {
    let mut fleet = Fleet::start(4).await;
    let browser = Browser::start().await;
    browser.prefer("light", [1280, 1400]).await;
    browser.open(&format!("http://{}/", fleet.balancer.admin)).await;
    // A page that is loaded anew has lost this.
    browser.run("window.kept = true").await;
    let has = async |pods: usize, level: &str| {
        until_some(async || {
            let seen = browser.run(SEEN).await;
            let is_it = seen["bars"] == json!(pods) && seen["level"] == *level;
            is_it.then_some(seen)
        })
        .await
    };
    has(4, "level").await;
    // Rates are estimated from what connections have carried.
    sleep(Duration::from_secs(10)).await;
    fleet.scale(8).await;

    let uneven = has(8, "uneven").await;
    assert!(highest_share(&uneven) > 1.3, "{uneven}");
    save(&browser, "page-uneven").await;
    let level = has(8, "level").await;
    assert!(highest_share(&level) <= 1.5, "{level}");
    assert!(highest_share(&level) < highest_share(&uneven), "{level} after {uneven}");
    let event = until_some(async || {
        let seen = browser.run(SEEN).await;
        let is_levelled = seen["events"][3].as_str()?.starts_with("after ");
        is_levelled.then_some(seen)
    });
    let seen = event.await;
    assert_eq!(seen["events"][1], "4 → 8", "{seen}");
    assert!(seen["events"][4].as_str().unwrap().parse::<u32>().unwrap() > 0, "connections were retired: {seen}");
    assert_eq!((&seen["kept"], &seen["notice"], &seen["charts"]), (&json!(true), &json!(""), &json!(4)));
    for scheme in ["light", "dark"] {
        browser.prefer(scheme, [1280, 1180]).await;
        save(&browser, &format!("page-{scheme}")).await;
    }
    assert_eq!(browser.complaints().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: make page"]
async fn the_page_fits_two_hundred_pods_and_is_usable_by_keyboard() {
    let loads: Vec<f64> = (0..200u32).map(|pod| f64::from(pod % 20) + 1.0).collect();
    let cluster = TestCluster::with(2, &loads).await;
    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    let browser = Browser::start().await;
    for (scheme, width) in [("light", 1280), ("dark", 480)] {
        browser.prefer(scheme, [width, 1400]).await;
        browser.open(&format!("http://{}/", balancer.admin)).await;
        let seen = until_some(async || {
            let seen = browser.run(SEEN).await;
            (seen["bars"] == json!(200)).then_some(seen)
        });
        let seen = seen.await;
        assert_eq!((&seen["level"], &seen["fits"]), (&json!("uneven"), &json!(true)), "{width}: {seen}");
        save(&browser, &format!("page-200-{scheme}")).await;
    }
    // The first stop is the way past the list; it leads to the workload.
    browser.run("document.activeElement.blur()").await;
    browser.press(TAB).await;
    assert_eq!(browser.run("return document.activeElement.className").await, "skip");
    browser.press(ENTER).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "detail");
    browser.press(TAB).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "pods", "what scrolls can be scrolled by keys");
    let unnamed = "return [...document.querySelectorAll('button, input, a, svg[role=img], [role=region]')].filter(
        (element) => !(element.textContent || element.ariaLabel || element.labels?.length
            || element.getAttribute('aria-labelledby'))).length";
    assert_eq!(browser.run(unnamed).await, 0, "everything has a name for a screen reader");
    assert_eq!(browser.complaints().await, Vec::<Value>::new());
}
