//! The words of the trade as types. Standard library and serde only; every other module may use them.

pub mod alias;
pub mod delete_token;
pub mod details;
pub mod encoding;
pub mod format;
pub mod hash;
pub mod nearest;
pub mod quality;
pub mod secret;
pub mod variant;

pub use alias::{Alias, AliasError};
pub use delete_token::{DeleteToken, KeptToken};
pub use details::Details;
pub use encoding::{Chroma, Effort, Encoders, NameError, Settings};
pub use format::{Format, OutputFormat};
pub use hash::Hash;
pub use nearest::{hint, nearest};
pub use quality::Quality;
pub use secret::Secret;
pub use variant::{Filter, FilterError, Variant, VariantKey};
