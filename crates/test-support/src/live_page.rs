//! The balancer's live page.

use serde::Deserialize;

use crate::Browser;

/// Reads the page. `window.kept` is a mark of the test's own, which a reload removes.
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
    /// `level` or `uneven`; empty if neither is known.
    pub level: String,
    /// The load of each pod as a multiple of the mean; `None` if it is not known.
    pub shares: Vec<Option<f64>>,
    /// The pods that have a bar.
    pub bars: usize,
    /// The cells of the table of scale events, the newest event first: time, pods, peak, outcome, retired connections.
    pub events: Vec<String>,
    /// The curves.
    pub charts: usize,
    /// The warning above the page; empty if there is none.
    pub notice: String,
    /// Whether the page was not reloaded since [`mark`](Self::mark).
    pub kept: bool,
    /// Whether the page is no wider than the window.
    pub fits: bool,
}

impl LivePage {
    /// Reads the page that the browser shows.
    ///
    /// # Errors
    /// If it is not the live page.
    pub async fn read(browser: &Browser) -> anyhow::Result<Self> {
        Ok(serde_json::from_value(browser.run(READ).await?)?)
    }

    /// Marks the page that the browser shows, so that [`kept`](Self::kept) tells whether it was reloaded.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn mark(browser: &Browser) -> anyhow::Result<()> {
        browser.run("window.kept = true").await.map(drop)
    }

    /// Returns the load of the busiest pod as a multiple of the mean; infinite if the load of a pod is not known.
    pub fn highest_share(&self) -> f64 {
        self.shares.iter().map(|share| share.unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
    }

    /// Returns whether the newest scale event has ended with level load.
    pub fn has_levelled(&self) -> bool {
        self.events.get(3).is_some_and(|end| end.starts_with("after "))
    }
}
