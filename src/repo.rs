//! Metadata: which alias names which original, which variants it has, what is to be deleted.
//! Every backend passes `suite`. An answer to a change is given when the change is durable, where it has to be.

use crate::domain::{Alias, DeleteToken, Hash, KeptToken, Looks, Remote, UrlKey, VariantKey};

mod change;
pub mod journal;
pub mod memory;
pub mod record;
pub mod sled;
#[cfg(test)]
pub(crate) mod suite;

pub use self::sled::{SledRepo, pictrs};
pub use memory::MemoryRepo;
pub use record::{
    AliasRecord, Garbage, OriginalRecord, ProxyRecord, RemoteRecord, UploadKey, VariantRecord, VariantRow,
};

/// What can go wrong in a repo.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// A name that an import brought is an alias already, or the address of a remote picture has this one.
    #[error("the name {0} is taken")]
    AliasTaken(Alias),
    /// A record does not read back: damage, or a newer version's data.
    #[error("a record in {tree} cannot be read: {cause}")]
    Record {
        /// The tree it is in.
        tree: &'static str,
        /// What the reader said.
        cause: String,
    },
    /// The engine failed. The process is no longer ready and should be restarted.
    #[error("the metadata store failed: {0}")]
    Engine(String),
    /// The engine failed earlier, or is closing: nothing is accepted any more.
    #[error("the metadata store has stopped")]
    Stopped,
}

/// One alias to be added, with what it names.
#[derive(Clone, Debug)]
pub struct NewAlias {
    /// The name.
    pub alias: Alias,
    /// What is kept of the secret that deletes it.
    pub token: KeptToken,
    /// The hash of the stored bytes it names.
    pub hash: Hash,
    /// Recorded when `hash` is new; ignored when it is there already.
    pub original: OriginalRecord,
    /// Where it came from, if it is a remote picture.
    pub remote: Option<Remote>,
}

/// What became of a request to remove an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Nobody has that alias.
    NoSuchAlias,
    /// The token is not the alias' own.
    WrongToken,
    /// The alias is gone; the original has others.
    AliasGone,
    /// The alias is gone, and with it the original and its variants; its files wait in the garbage.
    OriginalGone(Hash),
}

/// Metadata by alias and by hash. Every change is one transaction, and durable when it returns; but that a variant was added or used, and what a
/// picture looks like, may be lost to a crash.
#[async_trait::async_trait]
pub trait Repo: Send + Sync + 'static {
    /// Adds all of `batch` or nothing. Takes the hashes out of the garbage.
    ///
    /// # Errors
    /// [`RepoError::AliasTaken`] when any of the names is one already, in the repo or in the batch; and with the alias that it has
    /// when that is so of the address of a remote picture.
    async fn add_aliases(&self, batch: Vec<NewAlias>) -> Result<(), RepoError>;

    /// What `alias` names.
    async fn alias(&self, alias: &Alias) -> Result<Option<AliasRecord>, RepoError>;

    /// The original with these stored bytes.
    async fn original(&self, hash: &Hash) -> Result<Option<OriginalRecord>, RepoError>;

    /// Every original whose hash begins with the byte `first`, by hash.
    async fn originals_under(&self, first: u8) -> Result<Vec<(Hash, OriginalRecord)>, RepoError>;

    /// Aliases that cannot be: of an original that is not there, or does not list them. There are none unless something is damaged.
    async fn strays(&self) -> Result<Vec<Alias>, RepoError>;

    /// The original that an earlier upload of the same bytes, under the same rules, became.
    async fn uploaded(&self, upload: &UploadKey) -> Result<Option<Hash>, RepoError>;

    /// Every alias of the original, in the order they were added.
    async fn aliases_of(&self, hash: &Hash) -> Result<Vec<Alias>, RepoError>;

    /// Removes one alias if `token` is its own; with the last one go the original and its variants.
    async fn remove_alias(&self, alias: &Alias, token: &DeleteToken) -> Result<Removal, RepoError>;

    /// Removes one alias whatever its token is, as an operator may; with the last one go the original and its variants. It is never
    /// [`Removal::WrongToken`].
    async fn drop_alias(&self, alias: &Alias) -> Result<Removal, RepoError>;

    /// Removes the original, its variants and every alias, which it returns in the order they were added.
    /// `None` when there is no such original.
    async fn purge(&self, hash: &Hash) -> Result<Option<Vec<Alias>>, RepoError>;

    /// Records a variant whose file is written. `false`, and nothing recorded, when the original is gone.
    async fn add_variant(&self, hash: &Hash, key: &VariantKey, record: VariantRecord) -> Result<bool, RepoError>;

    /// The variant, if it was made.
    async fn variant(&self, hash: &Hash, key: &VariantKey) -> Result<Option<VariantRecord>, RepoError>;

    /// Forgets these variants, as when their files are about to go or found missing. One transaction; a variant that is not
    /// there is passed over.
    async fn remove_variants(&self, variants: Vec<(Hash, VariantKey)>) -> Result<(), RepoError>;

    /// Every variant of the original, in the order of their keys.
    async fn variants_of(&self, hash: &Hash) -> Result<Vec<VariantRow>, RepoError>;

    /// Every variant of the originals whose hashes begin with the byte `first`, by hash and key.
    async fn variants_under(&self, first: u8) -> Result<Vec<VariantRow>, RepoError>;

    /// Notes when variants were last asked for, in seconds since 1970. A variant that is not there stays so.
    async fn use_variants(&self, uses: Vec<(Hash, VariantKey, u64)>) -> Result<(), RepoError>;

    /// Records the proxy of an original, in the place of what was recorded. `false`, and nothing recorded, when the original
    /// is gone. It goes with the original.
    async fn add_proxy(&self, hash: &Hash, record: ProxyRecord) -> Result<bool, RepoError>;

    /// The proxy of the original, if it has one.
    async fn proxy(&self, hash: &Hash) -> Result<Option<ProxyRecord>, RepoError>;

    /// Forgets the proxies of these originals. One transaction; what is not there is passed over.
    async fn remove_proxies(&self, hashes: Vec<Hash>) -> Result<(), RepoError>;

    /// The originals that have a proxy and whose hashes begin with the byte `first`, in order.
    async fn proxies_under(&self, first: u8) -> Result<Vec<Hash>, RepoError>;

    /// Records what an original looks like, in the place of what was recorded. `false`, and nothing recorded, when the original is
    /// gone. It goes with the original.
    async fn add_looks(&self, hash: &Hash, looks: Looks) -> Result<bool, RepoError>;

    /// What the original looks like, if that was recorded.
    async fn looks(&self, hash: &Hash) -> Result<Option<Looks>, RepoError>;

    /// What the address of a remote picture names. It goes with that alias.
    async fn remote(&self, url: &UrlKey) -> Result<Option<RemoteRecord>, RepoError>;

    /// Every remote picture whose key begins with the byte `first`, by key.
    async fn remotes_under(&self, first: u8) -> Result<Vec<(UrlKey, RemoteRecord)>, RepoError>;

    /// Notes when remote pictures were last asked for, in seconds since 1970. One that is not there stays so.
    async fn use_remotes(&self, uses: Vec<(UrlKey, u64)>) -> Result<(), RepoError>;

    /// The alias of the picture that is shown in the place of what is not there, whether or not it is there itself.
    async fn stand_in(&self) -> Result<Option<Alias>, RepoError>;

    /// Makes the picture with this alias the one that is shown in the place of what is not there, or none.
    async fn set_stand_in(&self, alias: Option<Alias>) -> Result<(), RepoError>;

    /// Originals whose rows are gone and whose files wait to be deleted; at most `limit` of them, by hash, those after `after`.
    async fn garbage(&self, after: Option<Hash>, limit: usize) -> Result<Vec<Garbage>, RepoError>;

    /// Forgets pieces of garbage whose files are deleted. One transaction; what is not there is passed over.
    async fn forget_garbage(&self, hashes: Vec<Hash>) -> Result<(), RepoError>;

    /// Whether changes are still accepted.
    fn is_ready(&self) -> bool;

    /// Writes out everything and stops accepting changes.
    async fn close(&self) -> Result<(), RepoError>;
}
