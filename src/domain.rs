//! The words of the trade as types. Standard library and serde only; every other module may use them.

pub mod alias;
pub mod asked;
pub mod compat;
pub mod delete_token;
pub mod details;
pub mod encoding;
pub mod filter;
pub mod format;
pub mod hash;
pub mod looks;
pub mod nearest;
pub mod preset;
pub mod quality;
pub mod remote;
pub mod secret;
pub mod terms;
pub mod upload_id;
pub mod variant;

pub use alias::{Alias, AliasError};
pub use asked::Asked;
pub use compat::Compat;
pub use delete_token::{DeleteToken, KeptToken};
pub use details::Details;
pub use encoding::{Chroma, Effort, Encoders, NameError, Settings};
pub use filter::{Filter, FilterError, Gravity};
pub use format::{Format, OutputFormat};
pub use hash::Hash;
pub use looks::{Looks, Saliency};
pub use nearest::{hint, nearest};
pub use preset::{Preset, PresetError};
pub use quality::Quality;
pub use remote::{Remote, UrlKey};
pub use secret::Secret;
pub use terms::{LimitError, Limits, Terms, TermsError};
pub use upload_id::{UploadId, UploadIdError};
pub use variant::{Aim, Background, Finish, Variant, VariantKey};
