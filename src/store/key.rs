//! What names a file in the store: the only place where a key becomes a path.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Class, StoredFile};
use crate::domain::{Format, Hash, OutputFormat, VariantKey};

/// The key of a stored file. `Display` is its relative path, with `/` between parts:
/// `originals/ab/cd/<hash>.jpg`, `variants/ab/cd/<hash>/<half a SHA-256 of the variant's key>.webp`, `proxies/ab/cd/<hash>.proxy`.
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
    /// The proxy of an original: its pixels in small, which variants are made from.
    Proxy {
        /// The hash of its original.
        hash: Hash,
    },
}

/// The name of a variant's file without its extension: half a SHA-256 of the variant's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariantName([u8; 16]);

impl VariantName {
    /// The lowest and the highest name there is.
    pub const ENDS: [Self; 2] = [Self([0; 16]), Self([0xff; 16])];

    /// The name of the variant with this key.
    #[must_use]
    pub fn of(key: &VariantKey) -> Self {
        let digest: [u8; 32] = Sha256::digest(key.as_str().as_bytes()).into();
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        Self(name)
    }

    /// The name of a file, which may have an extension; `None` when it is no name of a variant.
    #[must_use]
    pub fn read(file: &str) -> Option<Self> {
        let digits = file.split_once('.').map_or(file, |(digits, _)| digits);
        let hash: Hash = format!("{digits}{digits}").parse().ok()?;
        let mut name = [0; 16];
        name.copy_from_slice(&hash.as_bytes()[..16]);
        Some(Self(name))
    }
}

impl fmt::Display for VariantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The folder of the originals.
pub const ORIGINALS: &str = "originals";

/// The folder of the variants.
pub const VARIANTS: &str = "variants";

/// The folder of the proxies.
pub const PROXIES: &str = "proxies";

/// What the name of a proxy's file ends with, after the dot.
pub const PROXY: &str = "proxy";

/// The folder that holds all variants of `hash`, relative, with `/` between parts.
#[must_use]
pub fn variants_folder(hash: &Hash) -> String {
    let hex = hash.to_string();
    format!("{VARIANTS}/{}/{}/{hex}", &hex[..2], &hex[2..4])
}

impl StoreKey {
    /// The hash of the original that it is, or is made of.
    #[must_use]
    pub const fn hash(&self) -> &Hash {
        match self {
            Self::Original { hash, .. } | Self::Variant { hash, .. } | Self::Proxy { hash } => hash,
        }
    }

    /// Whether its bytes can be made again, and need not survive a power cut.
    #[must_use]
    pub const fn can_be_made_again(&self) -> bool {
        match self {
            Self::Original { .. } => false,
            Self::Variant { .. } | Self::Proxy { .. } => true,
        }
    }
}

/// The relative path of a listed file, with `/` between parts.
pub(super) fn path_of(file: &StoredFile) -> String {
    let hex = file.hash.to_string();
    match file.class {
        Class::Original => format!("{ORIGINALS}/{}/{}/{}", &hex[..2], &hex[2..4], file.name),
        Class::Proxy => format!("{PROXIES}/{}/{}/{}", &hex[..2], &hex[2..4], file.name),
        Class::Variant => format!("{}/{}", variants_folder(&file.hash), file.name),
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Original { hash, format } => {
                let hex = hash.to_string();
                write!(f, "{ORIGINALS}/{}/{}/{hex}.{}", &hex[..2], &hex[2..4], format.extension())
            }
            Self::Variant { hash, key, format } => {
                write!(f, "{}/{}.{}", variants_folder(hash), VariantName::of(key), format.extension())
            }
            Self::Proxy { hash } => {
                let hex = hash.to_string();
                write!(f, "{PROXIES}/{}/{}/{hex}.{PROXY}", &hex[..2], &hex[2..4])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_reads_back_and_others_do_not() {
        let key = VariantKey::stored("thumbnail=256&jpg");
        let stored = StoreKey::Variant { hash: Hash::from_bytes([7; 32]), key: key.clone(), format: OutputFormat::Jpg };
        let path = stored.to_string();
        let file = path.rsplit('/').next().unwrap();
        assert_eq!(VariantName::read(file), Some(VariantName::of(&key)));
        assert_ne!(VariantName::read(file), Some(VariantName::of(&VariantKey::stored("thumbnail=255&jpg"))));
        for foreign in ["", ".jpg", "notes.txt", &file[1..], &format!("0{file}"), &file.to_uppercase()] {
            assert_eq!(VariantName::read(foreign), None, "{foreign}");
        }
    }
}
