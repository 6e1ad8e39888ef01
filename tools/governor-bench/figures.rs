//! What was measured, and the table of it.
//!
//! In: one sample for each load, way and round. Out: medians with their spread, in Markdown. Forbidden here: measuring.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::ways::Way;

/// What is done through a proxy, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// Eight clients that select as fast as they can: the machine is full.
    Eight,
    /// One client: the machine is not full.
    Alone,
    CopyOut,
    CopyIn,
    /// The same at 10 MB/s.
    Trickle,
    Connections,
    Memory,
}

impl Load {
    /// Those of a round.
    pub const MEASURED: [Self; 6] =
        [Self::Eight, Self::Alone, Self::CopyOut, Self::CopyIn, Self::Trickle, Self::Connections];

    fn name(self) -> &'static str {
        match self {
            Self::Eight => "8 clients",
            Self::Alone => "1 client",
            Self::CopyOut => "COPY out",
            Self::CopyIn => "COPY in",
            Self::Trickle => "COPY in at 10 MB/s",
            Self::Connections => "connections",
            Self::Memory => "memory",
        }
    }

    /// What is counted, what one of them costs is given in, and how many of that are in a second.
    fn units(self) -> (&'static str, &'static str, f64) {
        match self {
            Self::Eight | Self::Alone => ("transactions", "s per million transactions", 1e6),
            Self::CopyOut | Self::CopyIn | Self::Trickle => ("MiB", "s per GiB", 1024.0),
            Self::Connections | Self::Memory => ("connections", "ms per connection", 1e3),
        }
    }
}

/// One line of a load, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    P50,
    P99,
    AddedP50,
    AddedP99,
    Rate,
    Ratio,
    Cpu,
    PerCore,
    AtStart,
    WithIdle,
    OwnWithIdle,
    Afterwards,
    AfterAll,
}

impl Figure {
    fn name(self, load: Load) -> String {
        let (unit, cost, _) = load.units();
        match self {
            Self::P50 => "p50, µs".to_owned(),
            Self::P99 => "p99, µs".to_owned(),
            Self::AddedP50 => "added p50, µs".to_owned(),
            Self::AddedP99 => "added p99, µs".to_owned(),
            Self::Rate => format!("{unit}/s"),
            Self::Ratio => "of direct, %".to_owned(),
            Self::Cpu => format!("CPU of the proxy, {cost}"),
            Self::PerCore => format!("{unit} per CPU second of the proxy"),
            Self::AtStart => "RSS at start, MiB".to_owned(),
            Self::WithIdle => "RSS with 100 idle connections, MiB".to_owned(),
            Self::OwnWithIdle => "of that its own (anonymous), MiB".to_owned(),
            Self::Afterwards => "RSS after they are closed, MiB".to_owned(),
            Self::AfterAll => "RSS after all rounds, MiB".to_owned(),
        }
    }
}

/// One load, one way, one round.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// How much was done, in the unit of the load.
    pub amount: f64,
    /// How long it took.
    pub took: Duration,
    /// What the proxy used of a core for it; none without a proxy.
    pub cpu: Option<Duration>,
    /// Of each transaction, in microseconds and in order; empty where there are none.
    pub latencies: Vec<u32>,
}

impl Sample {
    /// A latency in microseconds that so many of a hundred transactions do not exceed.
    fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies.get(rank.checked_sub(1)?).copied().map(f64::from)
    }

    fn rate(&self) -> f64 {
        self.amount / self.took.as_secs_f64()
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Book(BTreeMap<(Load, Figure), BTreeMap<Way, Vec<f64>>>);

impl Book {
    /// One figure of one round.
    pub fn note(&mut self, load: Load, figure: Figure, way: Way, value: f64) {
        self.0.entry((load, figure)).or_default().entry(way).or_default().push(value);
    }

    /// All figures of a sample; those against `direct` if it is another one.
    pub fn take(&mut self, load: Load, way: Way, sample: &Sample, direct: Option<&Sample>) {
        self.note(load, Figure::Rate, way, sample.rate());
        for (percent, plain, added) in
            [(50, Figure::P50, Figure::AddedP50), (99, Figure::P99, Figure::AddedP99)]
        {
            let Some(latency) = sample.percentile(percent) else { continue };
            self.note(load, plain, way, latency);
            if let Some(without) = direct.and_then(|direct| direct.percentile(percent)) {
                self.note(load, added, way, latency - without);
            }
        }
        if let Some(direct) = direct {
            self.note(load, Figure::Ratio, way, 100.0 * sample.rate() / direct.rate());
        }
        if let Some(cpu) = sample.cpu {
            self.note(load, Figure::Cpu, way, cpu.as_secs_f64() / sample.amount * load.units().2);
            self.note(load, Figure::PerCore, way, sample.amount / cpu.as_secs_f64());
        }
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = "| load | figure |".to_owned();
        for way in Way::ALL {
            let _ = write!(table, " {} |", way.name());
        }
        table.push_str("\n|---|---|---|---|---|---|\n");
        for ((load, figure), ways) in &self.0 {
            let _ = write!(table, "| {} | {} |", load.name(), figure.name(*load));
            for way in Way::ALL {
                let values = ways.get(&way).map_or(&[][..], Vec::as_slice);
                let _ = write!(table, " {} |", cell(values));
            }
            table.push('\n');
        }
        table
    }
}

/// The median, and between which values it lies.
fn cell(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.last(), median(&sorted)) {
        (Some(least), Some(most), Some(median)) if sorted.len() > 1 => {
            format!("{} ({}–{})", short(median), short(*least), short(*most))
        }
        (Some(only), ..) => short(*only),
        _ => "–".to_owned(),
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some((lower + upper) / 2.0)
}

/// Three digits of a small number, all whole ones of a large one.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(amount: f64, seconds: u64, latencies: &[u32]) -> Sample {
        let latencies = latencies.to_vec();
        Sample { amount, took: Duration::from_secs(seconds), cpu: None, latencies }
    }

    #[test]
    fn a_percentile_is_a_latency_that_was_measured() {
        let hundred: Vec<u32> = (1..=100).collect();
        let of = |latencies: &[u32], percent| sample(1.0, 1, latencies).percentile(percent);
        assert_eq!([of(&hundred, 50), of(&hundred, 99)], [Some(50.0), Some(99.0)]);
        assert_eq!([of(&[7, 9], 50), of(&[7, 9], 99), of(&[], 50)], [Some(7.0), Some(9.0), None]);
    }

    #[test]
    fn a_cell_has_the_median_and_the_spread() {
        assert_eq!(cell(&[3.0, 1.0, 250.4]), "3.00 (1.00–250)");
        assert_eq!(cell(&[1.0, 2.0]), "1.50 (1.00–2.00)");
        assert_eq!([cell(&[12.34]), cell(&[])], ["12.3", "–"]);
    }

    #[test]
    fn what_a_proxy_adds_is_told_against_the_round_without_one() {
        let mut book = Book::default();
        let direct = sample(2_000.0, 1, &[100, 200]);
        book.take(Load::Eight, Way::Direct, &direct, None);
        let cpu = Some(Duration::from_millis(20));
        let proxied = Sample { cpu, ..sample(1_000.0, 1, &[130, 290]) };
        book.take(Load::Eight, Way::Governor, &proxied, Some(&direct));
        let rows: Vec<String> = book.table().lines().skip(2).map(ToOwned::to_owned).collect();
        assert_eq!(
            rows,
            [
                "| 8 clients | p50, µs | 100 | 130 | – | – |",
                "| 8 clients | p99, µs | 200 | 290 | – | – |",
                "| 8 clients | added p50, µs | – | 30.0 | – | – |",
                "| 8 clients | added p99, µs | – | 90.0 | – | – |",
                "| 8 clients | transactions/s | 2000 | 1000 | – | – |",
                "| 8 clients | of direct, % | – | 50.0 | – | – |",
                "| 8 clients | CPU of the proxy, s per million transactions | – | 20.0 | – | – |",
                "| 8 clients | transactions per CPU second of the proxy | – | 50000 | – | – |",
            ]
        );
    }
}
