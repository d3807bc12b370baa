//! The balancer's live page.

use serde::Deserialize;

use crate::Browser;

/// Reads the page; `window.kept` is a test's own mark, which a page that is loaded anew has lost.
const READ: &str = "
    const text = (selector) => [...document.querySelectorAll(selector)].map((cell) => cell.textContent);
    return {
        level: document.querySelector('#detail').dataset.level ?? '',
        shares: text('#pods tbody td:nth-child(3)').map(Number),
        bars: document.querySelectorAll('#pods svg[role=img] rect.value').length,
        events: text('#events tbody td'),
        charts: document.querySelectorAll('#charts svg').length,
        notice: document.querySelector('#notice').hidden ? '' : document.querySelector('#notice').textContent,
        kept: window.kept === true,
        fits: document.documentElement.scrollWidth <= window.innerWidth,
    };";

/// What the page shows of the selected workload.
#[derive(Clone, Debug, Deserialize)]
pub struct LivePage {
    /// Whether load is `level` or `uneven`; empty where neither is known.
    pub level: String,
    /// The load of each pod as a multiple of the mean; `None` where it is not known.
    pub shares: Vec<Option<f64>>,
    /// The pods that have a bar.
    pub bars: usize,
    /// The cells of the table of scale events, the newest event first: time, pods, peak, how it ended, retired
    /// connections.
    pub events: Vec<String>,
    /// The curves.
    pub charts: usize,
    /// The warning above the page; empty where there is none.
    pub notice: String,
    /// Whether the page is still the one that [`mark`](Self::mark) has marked.
    pub kept: bool,
    /// Whether the page is no wider than the window.
    pub fits: bool,
}

impl LivePage {
    /// Reads the page that the browser shows.
    ///
    /// # Errors
    /// Where it is not the live page.
    pub async fn read(browser: &Browser) -> anyhow::Result<Self> {
        Ok(serde_json::from_value(browser.run(READ).await?)?)
    }

    /// Marks the page that the browser shows, so that [`kept`](Self::kept) tells it from one that is loaded anew.
    ///
    /// # Errors
    /// Where the browser does not answer.
    pub async fn mark(browser: &Browser) -> anyhow::Result<()> {
        browser.run("window.kept = true").await.map(drop)
    }

    /// Returns the load of the busiest pod as a multiple of the mean; infinite where the load of a pod is not known.
    pub fn highest_share(&self) -> f64 {
        self.shares.iter().map(|share| share.unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
    }

    /// Whether the newest scale event has ended, with load that is level.
    pub fn has_levelled(&self) -> bool {
        self.events.get(3).is_some_and(|end| end.starts_with("after "))
    }
}
