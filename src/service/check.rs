//! Whether every row has its bytes and every file its row; and mending what is not so. Nobody else may have the data directory meanwhile.
//!
//! Every original is read and held against its hash. Variants and proxies can be made again: their size is looked at, and what is wrong goes.
//! Nothing that cannot be made again is thrown away: bytes that are not what they were are moved aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::ServiceError;
use crate::{
    domain::{Alias, Hash, VariantKey},
    repo::{OriginalRecord, Repo},
    store::{Class, Store, StoreKey, StoredFile, VariantName},
};

/// Something that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A picture without bytes.
    #[error("{file}: its bytes are not there; it is {}", Names(aliases))]
    Missing {
        /// The name of its file.
        file: String,
        /// What it is known as.
        aliases: Vec<Alias>,
    },
    /// A picture whose bytes are others.
    #[error("{file}: its bytes are not what was stored ({got_bytes} of {want_bytes} bytes); it is {}", Names(aliases))]
    Damaged {
        /// The name of its file.
        file: String,
        /// What it is known as.
        aliases: Vec<Alias>,
        /// Bytes there.
        got_bytes: u64,
        /// Bytes that were stored.
        want_bytes: u64,
    },
    /// A picture that nobody can ask for.
    #[error("{file}: it has no alias")]
    Nameless {
        /// The name of its file.
        file: String,
    },
    /// An alias of nothing.
    #[error("{0}: it names a picture that is not there, or does not know it")]
    Stray(Alias),
    /// A file of no picture.
    #[error("{class}/{name}: a file of a picture that has no row")]
    Unnamed {
        /// What it is.
        class: &'static str,
        /// Its name.
        name: String,
    },
    /// A variant whose file is not there, or has another size. It is made again when it is asked for.
    #[error("{hash}, {key}: the variant's file is missing or cut", key = key.as_str())]
    Variant {
        /// Its original.
        hash: Hash,
        /// Which one.
        key: VariantKey,
    },
}

struct Names<'a>(&'a [Alias]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.0.iter().map(Alias::as_str).collect();
        f.write_str(&if names.is_empty() { "nameless".to_owned() } else { names.join(", ") })
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Originals.
    pub originals: u64,
    /// Bytes of them that were read.
    pub bytes: u64,
    /// Aliases of them.
    pub aliases: u64,
    /// Variants.
    pub variants: u64,
    /// What is wrong, in no order.
    pub faults: Vec<Fault>,
    /// Whether files were left alone because no file at all has a row: then it is the rows that are lost.
    pub has_lost_rows: bool,
}

/// Checks a data directory.
pub struct Check {
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    /// Where damaged bytes are moved.
    aside: PathBuf,
}

impl Check {
    /// Wires the parts.
    pub fn new(store: Arc<dyn Store>, repo: Arc<dyn Repo>, aside: PathBuf) -> Self {
        Self { store, repo, aside }
    }

    /// Looks at everything, and with `repair` mends it: a picture without its bytes is forgotten with all its aliases, one with other bytes too, and
    /// these are moved aside; files of nothing go. A stray alias means that the index is wrong: it has to be made anew from the journal.
    /// `progress` is called with each original.
    ///
    /// # Errors
    /// A fault of store or repo, or of the folder for what is moved aside.
    pub async fn run(&self, repair: bool, mut progress: impl FnMut(&Report)) -> Result<Report, ServiceError> {
        let mut report = Report::default();
        let mut unnamed = Vec::new();
        for first in 0..=u8::MAX {
            let mut files: BTreeMap<Hash, Vec<StoredFile>> = BTreeMap::new();
            for file in self.store.files(first).await? {
                files.entry(file.hash).or_default().push(file);
            }
            for (hash, record) in self.repo.originals_under(first).await? {
                self.original(hash, record, repair, &mut report).await?;
                self.variants(hash, files.remove(&hash).unwrap_or_default(), repair, &mut report).await?;
                progress(&report);
            }
            unnamed.extend(files.into_values().flatten());
        }
        report.faults.extend(self.repo.strays().await?.into_iter().map(Fault::Stray));
        report.has_lost_rows = report.originals == 0 && !unnamed.is_empty();
        for file in unnamed {
            if repair && !report.has_lost_rows {
                self.store.delete_file(&file).await?;
            }
            report.faults.push(Fault::Unnamed { class: file.class.name(), name: file.name });
        }
        Ok(report)
    }

    async fn original(
        &self,
        hash: Hash,
        record: OriginalRecord,
        repair: bool,
        report: &mut Report,
    ) -> Result<(), ServiceError> {
        let key = StoreKey::Original { hash, format: record.details.format };
        let file = format!("{hash}.{}", record.details.format.extension());
        let aliases = self.repo.aliases_of(&hash).await?;
        let bytes = self.store.read(&key).await?;
        report.originals += 1;
        report.aliases += aliases.len() as u64;
        report.bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let fault = match &bytes {
            None => Fault::Missing { file, aliases },
            Some(bytes) if Hash::from_bytes(Sha256::digest(bytes).into()) != hash => {
                let (got_bytes, want_bytes) = (bytes.len() as u64, record.size_bytes);
                Fault::Damaged { file, aliases, got_bytes, want_bytes }
            }
            Some(_) if aliases.is_empty() => Fault::Nameless { file },
            Some(_) => return Ok(()),
        };
        if repair {
            if let (Fault::Damaged { file, .. } | Fault::Nameless { file }, Some(bytes)) = (&fault, &bytes) {
                self.set_aside(file, bytes).map_err(|source| crate::store::StoreError {
                    doing: "writing",
                    key: self.aside.join(file).display().to_string(),
                    source,
                })?;
            }
            // Rows before files, as always.
            self.repo.purge(&hash).await?;
            self.store.delete_variants(&hash).await?;
            self.store.delete(&StoreKey::Proxy { hash }).await?;
            self.store.delete(&key).await?;
            self.repo.forget_garbage(vec![hash]).await?;
        }
        report.faults.push(fault);
        Ok(())
    }

    fn set_aside(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.aside)?;
        let path = self.aside.join(file);
        std::fs::write(&path, bytes)?;
        std::fs::File::open(&path)?.sync_all()
    }

    /// The variants of an original whose files are these.
    async fn variants(
        &self,
        hash: Hash,
        files: Vec<StoredFile>,
        repair: bool,
        report: &mut Report,
    ) -> Result<(), ServiceError> {
        let there: BTreeSet<(Option<VariantName>, u64)> = files
            .iter()
            .filter(|file| file.class == Class::Variant)
            .map(|file| (VariantName::read(&file.name), file.size_bytes))
            .collect();
        let mut wrong = Vec::new();
        for row in self.repo.variants_of(&hash).await? {
            report.variants += 1;
            if !there.contains(&(Some(VariantName::of(&row.key)), row.record.size_bytes)) {
                wrong.push((hash, row.key));
            }
        }
        report.faults.extend(wrong.iter().cloned().map(|(hash, key)| Fault::Variant { hash, key }));
        if repair && !wrong.is_empty() {
            self.repo.remove_variants(wrong).await?;
        }
        Ok(())
    }
}
