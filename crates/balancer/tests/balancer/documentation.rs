//! The metrics that docs/METRICS.md has are those that the program shows.

use balancer::metrics::Metrics;

#[test]
fn the_page_has_every_metric() {
    let table = generated_docs::metrics(&Metrics::new().expose(None).unwrap().text);
    let command = "cargo test -p balancer --test balancer documentation";
    generated_docs::part("docs/METRICS.md", "metrics of evenkeel-balancer", &table, command);
}
