//! The text format: a function for each shape that a metric may have.

use std::{fmt, time::Duration};

use prometheus_client::{encoding::DescriptorEncoder, metrics::MetricType, registry::Unit};

use crate::timing::{Latency, bounds_secs};

/// Writes metrics. Names are without prefix, unit and `_total`, which are added.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// What does not change while the process lives, as labels: `<name>_info`.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    /// A count that only grows.
    pub(super) fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], u64, u64>(&count, None)
    }

    /// A time that only grows: `<name>_seconds_total`.
    pub(super) fn seconds(&mut self, name: &str, help: &str, time: Duration) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], f64, u64>(&time.as_secs_f64(), None)
    }

    /// Times that only grow, one for each value of `label`.
    pub(super) fn times(&mut self, name: &str, help: &str, label: &str, times: &[(&str, Duration)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        for (value, time) in times {
            let (labels, secs) = ([(label, *value)], time.as_secs_f64());
            metric.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], f64, u64>(&secs, None)?;
        }
        Ok(())
    }

    /// A time that comes and goes: `<name>_seconds`.
    pub(super) fn time(&mut self, name: &str, help: &str, time: Duration) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        metric.encode_gauge(&time.as_secs_f64())
    }

    /// How often which time was taken, one histogram for each value of `label`: `<name>_seconds`.
    pub(super) fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        latencies: impl Iterator<Item = (&'static str, &'l Latency)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let bounds = bounds_secs().into_iter().chain([f64::INFINITY]);
        for (value, Latency { counts, sum }) in latencies {
            let (labels, count) = ([(label, value)], counts.iter().sum());
            let buckets: Vec<(f64, u64)> = bounds.clone().zip(*counts).collect();
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_histogram::<[(&str, &str); 0]>(sum.as_secs_f64(), count, &buckets, None)?;
        }
        Ok(())
    }

    /// Counts that only grow, one for each value of `label`.
    pub(super) fn counters(&mut self, name: &str, help: &str, label: &str, counts: &[(&str, u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in counts {
            let labels = [(label, *value)];
            metric.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
        }
        Ok(())
    }

    /// Numbers that come and go, one for each value of `label`.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (of, value) in values {
            metric.encode_family(&[(label, *of)])?.encode_gauge(value)?;
        }
        Ok(())
    }

    /// The same under two labels.
    pub(super) fn families(&mut self, name: &str, help: &str, counts: &[([(&str, &str); 2], u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            metric.encode_family(labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(count, None)?;
        }
        Ok(())
    }

    /// Numbers that come and go, under two labels.
    pub(super) fn numbers(&mut self, name: &str, help: &str, numbers: &[([(&str, &str); 2], f64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, number) in numbers {
            metric.encode_family(labels)?.encode_gauge(number)?;
        }
        Ok(())
    }

    /// A number that comes and goes.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Bytes that come and go: `<name>_bytes`.
    pub(super) fn bytes(&mut self, name: &str, help: &str, bytes: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?.encode_gauge(&bytes)
    }
}
