//! What names a file in the store: the only place where a key becomes a path.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::domain::{Format, Hash, OutputFormat, VariantKey};

/// The name of a stored file. `Display` is its relative path, with `/` between parts:
/// `originals/ab/cd/<hash>.jpg`, `variants/ab/cd/<hash>/<half a SHA-256 of the variant's key>.webp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKey {
    /// The stored bytes of an original.
    Original {
        /// The SHA-256 of those bytes.
        hash: Hash,
        /// Their format.
        format: Format,
    },
    /// A variant of an original.
    Variant {
        /// The hash of its original.
        hash: Hash,
        /// Which variant.
        key: VariantKey,
        /// Its format.
        format: OutputFormat,
    },
}

/// The folder of the originals.
pub const ORIGINALS: &str = "originals";

/// The folder of the variants.
pub const VARIANTS: &str = "variants";

/// The folder that holds all variants of `hash`, relative, with `/` between parts.
#[must_use]
pub fn variants_folder(hash: &Hash) -> String {
    let hex = hash.to_string();
    format!("{VARIANTS}/{}/{}/{hex}", &hex[..2], &hex[2..4])
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Original { hash, format } => {
                let hex = hash.to_string();
                write!(f, "{ORIGINALS}/{}/{}/{hex}.{}", &hex[..2], &hex[2..4], format.extension())
            }
            Self::Variant { hash, key, format } => {
                let digest: [u8; 32] = Sha256::digest(key.as_str().as_bytes()).into();
                let name = Hash::from_bytes(digest).to_string();
                write!(f, "{}/{}.{}", variants_folder(hash), &name[..32], format.extension())
            }
        }
    }
}
