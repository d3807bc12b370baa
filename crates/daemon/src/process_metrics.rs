//! What the kernel says of this process, by the names of Prometheus' client libraries.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Reads `/proc/self` whenever it is scraped. What cannot be read is left out.
#[derive(Debug)]
pub(crate) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name, help, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        let stat = Stat::read();
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let since = stat.as_ref().and_then(|stat| boot_time().map(|boot| boot + stat.started));
        gauge("process_start_time", "Start of the process, in Unix time", seconds, since)?;
        let resident = stat.as_ref().map(|stat| stat.resident);
        gauge("process_resident_memory", "Resident memory of the process", bytes, resident)?;
        gauge("process_open_fds", "Open file descriptors of the process", None, open_descriptors())?;
        let most = getrlimit(Resource::Nofile).current.map(as_f64);
        gauge("process_max_fds", "Maximum number of open file descriptors of the process", None, most)?;
        if let Some(stat) = stat {
            let cpu = ConstCounter::new(stat.cpu);
            let help = "User and system CPU time of the process";
            cpu.encode(encoder.encode_descriptor("process_cpu", help, seconds, cpu.metric_type())?)?;
        }
        Ok(())
    }
}

/// Some fields of `proc_pid_stat(5)`.
#[derive(Debug, PartialEq)]
struct Stat {
    /// In seconds.
    cpu: f64,
    /// In seconds after the start of the machine.
    started: f64,
    /// In bytes.
    resident: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?, as_f64(clock_ticks_per_second()), page_size())
    }

    /// Behind the name of the program, which is in parentheses and may have such in itself, the third field begins.
    fn parse(text: &str, ticks_per_second: f64, page_size: usize) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok().map(as_f64);
        Some(Self {
            cpu: (field(14)? + field(15)?) / ticks_per_second,
            started: field(22)? / ticks_per_second,
            resident: field(24)? * as_f64(u64::try_from(page_size).ok()?),
        })
    }
}

/// Returns when the machine was started, in Unix time.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn open_descriptors() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the folder's own.
    u64::try_from(open).ok().map(|open| as_f64(open.saturating_sub(1)))
}

/// Exact below 2⁵³, which none of these reaches.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
const fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_metrics_are_read_after_a_name_with_parentheses() {
        let text =
            "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1234 9000000 300 18446744073709551615\n";
        let stat = Stat::parse(text, 100.0, 4096).unwrap();
        assert_eq!(stat, Stat { cpu: 3.0, started: 12.34, resident: 300.0 * 4096.0 });
        assert_eq!(Stat::parse("7 (a) S 1 7", 100.0, 4096), None);
    }
}
