//! What is bounded: how full each gate is, whom it refused, and what jobs wait.

use std::fmt;

use super::Page;
use crate::service::{
    gates::{Gate, GateStats},
    pool::PoolStats,
};

/// The gates in front of the pool, and the pool's own.
pub(super) fn encode(page: &mut Page<'_>, outer: &[GateStats; 4], pool: &PoolStats, quota: [u64; 2]) -> fmt::Result {
    let counted = || outer.iter().chain([&pool.queue]);
    let numbers = |of: fn(&GateStats) -> u64| counted().map(|stats| (stats.gate.name(), of(stats))).collect::<Vec<_>>();
    let help = "How many are inside: connections, requests, uploads, what nobody waits for, jobs for variants";
    page.gauges("gate_held", None, help, "gate", &numbers(|stats| stats.held))?;
    page.gauges("gate_limit", None, "How many may be", "gate", &numbers(|stats| stats.limit))?;
    let mut refused = numbers(|stats| stats.refused);
    refused.extend([(Gate::Wait.name(), pool.refused_wait), (Gate::Memory.name(), pool.refused_memory)]);
    refused.extend([Gate::Picture.name(), Gate::Rate.name()].into_iter().zip(quota));
    let help = "Requests that were answered 503 because a gate was full, a job would have waited too long, or memory did not come \
        free in time, and 429 because too many variants of one picture (picture) or of all (rate) were made";
    page.counters("gate_refusals", help, "gate", &refused)?;
    page.time("expected_wait", "What a job for a variant would wait for a thread now", pool.expected_wait)?;
    page.time("expected_wait_limit", "What it may be expected to wait", pool.max_wait)?;
    page.bytes("memory_granted", "Memory promised to jobs, by what they said they need", pool.granted_bytes)?;
    page.bytes("memory_limit", "Memory that may be promised to jobs", pool.memory_limit_bytes)?;
    page.counter("pool_jobs_begun", "Jobs that a thread has begun", pool.waited.begun)?;
    let waited = [("thread", pool.waited.queue), ("memory", pool.waited.memory)];
    page.times("pool_waited", "What those jobs had waited, by what for", "for", &waited)
}
