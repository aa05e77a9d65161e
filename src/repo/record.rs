//! The records as they are kept. Each carries its version from the first one on, and stays under 1 KB.
//!
//! A record is one byte, its version, and then JSON. The byte stands outside the JSON so that a later version may
//! be any encoding, and so that a reader knows before it parses whether it can.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::RepoError;
use crate::domain::{Alias, Details, Format, Hash, KeptToken, Remote, VariantKey};

/// The version that is written, and the only one there is.
const VERSION: u8 = 1;

/// The record as it is kept.
pub(super) fn encode<T: Serialize>(kind: &'static str, record: &T) -> Result<Vec<u8>, RepoError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record)
        .map_err(|error| RepoError::Record { tree: kind, cause: error.to_string() })?;
    Ok(bytes)
}

/// The record that was kept as `bytes`. `kind` is named in the error.
pub(super) fn decode<T: DeserializeOwned>(kind: &'static str, bytes: &[u8]) -> Result<T, RepoError> {
    let failed = |cause: String| RepoError::Record { tree: kind, cause };
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| failed(error.to_string())),
        Some((version, _)) => Err(failed(format!("its version is {version}, this program reads {VERSION}"))),
        None => Err(failed("it is empty".to_owned())),
    }
}

/// What an alias names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The original.
    pub hash: Hash,
    /// What is kept of the secret that deletes the alias.
    #[serde(flatten)]
    pub token: KeptToken,
    /// Its place among the aliases of the original: they are listed in this order.
    pub sequence: u64,
    /// Where its picture came from, if it is a remote one: the address names it then, and it goes when nobody asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
}

impl AliasRecord {
    /// The same, with its token as it is kept now. It is the record of `alias`.
    pub(super) fn hashed(self, alias: &Alias) -> Self {
        Self { token: self.token.hashed(alias), ..self }
    }
}

/// What an address of a remote picture names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRecord {
    /// The alias that it was given.
    pub alias: Alias,
    /// When it was last asked for as far as that was noted, in seconds since 1970; never before it was fetched.
    pub used_secs: u64,
}

/// A stored original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecord {
    /// What was measured of it.
    pub details: Details,
    /// Bytes stored.
    pub size_bytes: u64,
    /// When it was first stored, in seconds since 1970: its `Last-Modified`.
    pub created_secs: u64,
    /// The upload that made it: the same upload again need not be decoded again.
    pub upload: UploadKey,
}

/// The SHA-256 of what was uploaded and of the rules it was ingested under (conversion, validation).
/// Equal keys become equal stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadKey(pub Hash);

impl fmt::Display for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A variant whose file is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// The SHA-256 of its bytes: its strong `ETag`.
    pub etag: Hash,
    /// Bytes stored.
    pub size_bytes: u64,
    /// When it was made, in seconds since 1970: its `Last-Modified`.
    pub created_secs: u64,
}

/// A proxy: what its file must be to be read. It can be made again of the original at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    /// What the sides of the original were divided by.
    pub divisor: u32,
    /// Bytes stored.
    pub size_bytes: u64,
    /// The CRC-32 of these bytes (that of PNG and zlib). It finds damage, and keeps nobody from forging a file.
    pub crc32: u32,
    /// When it was made, in seconds since 1970.
    pub created_secs: u64,
}

/// The row of a variant as it is kept: what it is, and when it was asked for. Rows from before uses were noted have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptVariant {
    #[serde(flatten)]
    pub(super) record: VariantRecord,
    #[serde(default)]
    pub(super) used_secs: u64,
}

/// A variant with its name and its last use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantRow {
    /// Its original.
    pub hash: Hash,
    /// Which of its variants.
    pub key: VariantKey,
    /// What is known of it.
    pub record: VariantRecord,
    /// When it was last asked for as far as that was noted, in seconds since 1970; never before it was made.
    pub used_secs: u64,
}

impl VariantRow {
    pub(super) fn new(hash: Hash, key: VariantKey, kept: KeptVariant) -> Self {
        Self { hash, key, record: kept.record, used_secs: kept.used_secs.max(kept.record.created_secs) }
    }
}

/// An original whose rows are gone and whose files are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// The original that was.
    pub hash: Hash,
    /// Its format: with the hash, the name of its file.
    pub format: Format,
    /// When its rows went, in seconds since 1970.
    pub since_secs: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn garbage() -> Garbage {
        Garbage { hash: Hash::from_bytes([7; 32]), format: Format::Gif, since_secs: u64::MAX }
    }

    #[test]
    fn a_record_reads_back_and_starts_with_its_version() {
        let bytes = encode("garbage", &garbage()).unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(decode::<Garbage>("garbage", &bytes).unwrap(), garbage());
    }

    #[test]
    fn version_one_stays_readable() {
        let kept = br#"{"hash":"0707070707070707070707070707070707070707070707070707070707070707","format":"gif","since_secs":18446744073709551615}"#;
        assert_eq!(decode::<Garbage>("garbage", &[&[1], kept.as_slice()].concat()).unwrap(), garbage());
    }

    #[test]
    fn a_variant_from_before_its_uses_were_noted_reads_and_one_since_reads_as_before() {
        let record = VariantRecord { etag: Hash::from_bytes([7; 32]), size_bytes: 9, created_secs: 5 };
        let before = encode("variants", &record).unwrap();
        let kept = decode::<KeptVariant>("variants", &before).unwrap();
        assert_eq!(kept, KeptVariant { record, used_secs: 0 });
        let row = VariantRow::new(Hash::from_bytes([1; 32]), VariantKey::stored("jpg"), kept);
        assert_eq!(row.used_secs, 5, "never before it was made");
        let since = encode("variants", &KeptVariant { record, used_secs: 8 }).unwrap();
        assert_eq!(decode::<VariantRecord>("variants", &since).unwrap(), record);
        assert_eq!(decode::<KeptVariant>("variants", &since).unwrap().used_secs, 8);
    }

    #[test]
    fn a_proxy_of_version_one_stays_readable() {
        let kept = br#"{"divisor":8,"size_bytes":285768,"crc32":4294967295,"created_secs":5}"#;
        let record = ProxyRecord { divisor: 8, size_bytes: 285_768, crc32: u32::MAX, created_secs: 5 };
        assert_eq!(decode::<ProxyRecord>("proxies", &[&[1], kept.as_slice()].concat()).unwrap(), record);
        assert_eq!(decode::<ProxyRecord>("proxies", &encode("proxies", &record).unwrap()).unwrap(), record);
    }

    #[test]
    fn another_version_or_damage_is_named() {
        let mut bytes = encode("garbage", &garbage()).unwrap();
        bytes[0] = 2;
        let error = decode::<Garbage>("garbage", &bytes).unwrap_err();
        let said = "a record in garbage cannot be read: its version is 2, this program reads 1";
        assert_eq!(error.to_string(), said);
        assert!(matches!(decode::<Garbage>("garbage", b""), Err(RepoError::Record { .. })));
        assert!(matches!(decode::<Garbage>("garbage", b"\x01{"), Err(RepoError::Record { .. })));
    }
}
