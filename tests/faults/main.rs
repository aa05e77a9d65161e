//! Faults: kills, power cuts, full disks, exhausted handles, calls that fail, lost devices, long runs. The program runs as a process of its own, over HTTP.
//!
//! `make test` runs the short forms; `make faults` the long ones, which environment variables make: `ROUNDS`, `CUTS`, `FAULTS`, `STEPS`,
//! `IMAGES` and `MINUTES`. `GLIMT_BIN` names another program to be tested. docs/reliability.md has what was found.

#![cfg(test)]
#![cfg(target_os = "linux")]

mod arrivals;
mod client;
mod cut;
mod device;
mod disk;
mod failpoints;
mod handles;
mod kill;
mod ledger;
mod load;
mod model;
mod pictures;
mod power;
mod server;
mod shim;
mod soak;
mod startup;
