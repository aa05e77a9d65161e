//! Use cases: what the server does for a client.

pub mod fetch;
