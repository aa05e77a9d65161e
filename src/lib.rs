//! glimt: an image host that makes thumbnails on the GPU.
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | the words of the trade as types |
//! | [`codec`] | bytes to pixels and back; metadata, orientation, colour profiles, limits |
//! | [`pixels`] | pixels to pixels: plans and the three engines that run them |
//! | [`sandbox`] | decoding in a process of its own that may do nothing else |
//! | [`store`] | bytes by key |
//! | [`repo`] | metadata |
//! | [`service`] | use cases: ingest, process, delete, download, clean up |
//! | [`http`] | routes, forms, caching, errors |
//! | [`server`] | listen, accept, stop |
//! | [`app`] | the parts, opened and wired once |
//! | [`cli`], [`config`] | what was typed; what is true |
//! | [`show_config`] | the configuration in effect, and where it came from |
//! | [`gpu_info`] | the adapters there are, and where jobs would go |
//! | [`bench`] | what a machine can carry |
//! | [`convert`] | one picture, as a server would make it |
//! | [`manual`] | what a shell and a reader are told of commands and options |
//! | [`maintain`] | check, export and import a data directory |
//! | [`sign`] | an address with a signature |
//! | [`timing`] | how long things take: histograms, stages |
//! | [`healthcheck`], [`signals`], [`telemetry`] | what `main` needs besides |
//!
//! Arrows: `main -> server -> http -> service -> {codec, pixels, store, repo} -> domain`. Never back, and never
//! across the braces, except `codec -> pixels::pixmap`; `sandbox` stands between `service` and `codec`. `tests/house.rs` has the whole table.

// Whether a device may cross threads is a question about every type inside of wgpu.
#![recursion_limit = "256"]

pub mod app;
pub mod bench;
pub mod cli;
pub mod codec;
pub mod config;
pub mod convert;
pub mod domain;
pub mod gpu_info;
pub mod healthcheck;
pub mod http;
pub mod maintain;
pub mod manual;
pub mod pixels;
pub mod repo;
pub mod sandbox;
pub mod server;
pub mod service;
pub mod show_config;
pub mod sign;
pub mod signals;
pub mod store;
pub mod telemetry;
pub mod timing;
