//! The server as a user meets it: the wire contract row by row over real HTTP, and what each request leaves on disk.
#![cfg(test)]

mod aliases;
mod animation;
mod app;
mod binary;
mod cache;
mod caching;
mod cli;
mod client;
mod colour;
mod concurrency;
mod delete;
mod download;
mod driver;
mod errors;
mod exiftool;
mod form;
mod formats;
mod hostile;
mod hot;
mod import;
mod late;
mod limits;
mod metrics;
mod original;
mod photos;
mod pictures;
mod privacy;
mod process;
mod purge;
mod races;
mod raw;
mod remote;
mod restart;
mod stored;
mod upload;
