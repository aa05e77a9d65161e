//! Stored pictures by alias and by file name: found, deleted, purged, listed.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{
    ServiceError,
    tickets::{Ticket, Tickets},
};
use crate::{
    domain::{Alias, DeleteToken, Finish, Format, Hash, OutputFormat, Variant},
    repo::{OriginalRecord, Removal, Repo},
    store::StoreKey,
};

/// A stored picture.
#[derive(Clone, Debug)]
pub struct Original {
    /// The hash of its bytes.
    pub hash: Hash,
    /// What is known of it.
    pub record: OriginalRecord,
}

impl Original {
    /// Where its bytes are stored.
    #[must_use]
    pub fn key(&self) -> StoreKey {
        StoreKey::Original { hash: self.hash, format: self.record.details.format }
    }

    /// Whether the stored bytes are what `variant` asks for: a picture in that format, unchanged, with as many frames as it is to
    /// have, and nothing asked of how it is encoded, which nobody knows of a file. Never for APNG: its media type is not the one that PNGs are served under.
    #[must_use]
    pub fn is_already(&self, variant: &Variant) -> bool {
        let (details, format) = (self.record.details, variant.format());
        let is_whole = format != OutputFormat::Apng && (details.frames == 1 || format.moves());
        variant.filters().is_empty()
            && variant.finish() == Finish::default()
            && details.format == format.format()
            && is_whole
    }

    /// The name of its file, which is no alias: `<hash>.<extension>`.
    #[must_use]
    pub fn filename(&self) -> String {
        format!("{}.{}", self.hash, self.record.details.format.extension())
    }
}

/// What names a picture to an operator.
#[derive(Clone, Debug)]
pub enum Named {
    /// The name of its file.
    File(String),
    /// One of its aliases.
    Alias(Alias),
}

/// Finds and removes stored pictures.
pub struct Originals {
    repo: Arc<dyn Repo>,
    tickets: Arc<Tickets>,
    /// Told when there is garbage.
    garbage: Arc<Notify>,
}

impl Originals {
    /// Wires the parts; `garbage` is notified when files are to be deleted.
    pub fn new(repo: Arc<dyn Repo>, tickets: Arc<Tickets>, garbage: Arc<Notify>) -> Self {
        Self { repo, tickets, garbage }
    }

    /// The picture that `alias` names.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAlias`], or a fault of the repo.
    pub async fn by_alias(&self, alias: &Alias) -> Result<Original, ServiceError> {
        let unknown = || ServiceError::NoSuchAlias(alias.clone());
        let hash = self.repo.alias(alias).await?.ok_or_else(unknown)?.hash;
        // Between the two reads the original may have gone, and the alias with it.
        let record = self.repo.original(&hash).await?.ok_or_else(unknown)?;
        Ok(Original { hash, record })
    }

    /// The picture that `alias` names, and a ticket for copies of what is made of it; none while it is being deleted.
    ///
    /// # Errors
    /// As [`Self::by_alias`].
    pub async fn with_ticket(&self, alias: &Alias) -> Result<(Original, Option<Ticket>), ServiceError> {
        let unknown = || ServiceError::NoSuchAlias(alias.clone());
        let hash = self.repo.alias(alias).await?.ok_or_else(unknown)?.hash;
        let ticket = self.tickets.take(&hash);
        // All of it again, because the hash was not known before: a ticket is taken before the rows are looked at.
        let original = self.by_alias(alias).await?;
        let ticket = ticket.filter(|_| original.hash == hash);
        Ok((original, ticket))
    }

    /// The picture that `named` names.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAlias`] or [`ServiceError::NoSuchFile`], or a fault of the repo.
    pub async fn find(&self, named: &Named) -> Result<Original, ServiceError> {
        let name = match named {
            Named::Alias(alias) => return self.by_alias(alias).await,
            Named::File(name) => name,
        };
        let unknown = || ServiceError::NoSuchFile(name.clone());
        let (hash, extension) = name.rsplit_once('.').ok_or_else(unknown)?;
        let (Ok(hash), Some(format)) = (hash.parse::<Hash>(), Format::from_extension(extension)) else {
            return Err(unknown());
        };
        let record = self.repo.original(&hash).await?.ok_or_else(unknown)?;
        if record.details.format == format { Ok(Original { hash, record }) } else { Err(unknown()) }
    }

    /// Every alias of the picture, in the order they were made.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn aliases(&self, named: &Named) -> Result<Vec<Alias>, ServiceError> {
        let original = self.find(named).await?;
        Ok(self.repo.aliases_of(&original.hash).await?)
    }

    /// Removes one alias, and the picture with its last one.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAlias`], [`ServiceError::WrongToken`], or a fault of the repo.
    pub async fn delete(&self, alias: &Alias, token: &DeleteToken) -> Result<(), ServiceError> {
        let unknown = || ServiceError::NoSuchAlias(alias.clone());
        let record = self.repo.alias(alias).await?.ok_or_else(unknown)?;
        // Looked at before anything is closed: who does not have the token cannot make copies worthless.
        if !record.token.matches(alias, token) {
            return Err(ServiceError::WrongToken(alias.clone()));
        }
        self.remove(alias, Some(token.clone()), record.hash).await
    }

    /// Removes one alias as an operator may, without its token, and the picture with its last one.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchAlias`], or a fault of the repo.
    pub async fn drop_alias(&self, alias: &Alias) -> Result<(), ServiceError> {
        let record = self.repo.alias(alias).await?.ok_or_else(|| ServiceError::NoSuchAlias(alias.clone()))?;
        self.remove(alias, None, record.hash).await
    }

    async fn remove(&self, alias: &Alias, token: Option<DeleteToken>, hash: Hash) -> Result<(), ServiceError> {
        let closed = self.tickets.close(&hash);
        let (repo, garbage) = (Arc::clone(&self.repo), Arc::clone(&self.garbage));
        let gone = alias.clone();
        // In a task of its own: a client that goes away must not open the tickets before the rows are gone.
        let removing = tokio::spawn(async move {
            let removal = match token {
                Some(token) => repo.remove_alias(&gone, &token).await,
                None => repo.drop_alias(&gone).await,
            };
            drop(closed);
            if matches!(removal, Ok(Removal::OriginalGone(_))) {
                garbage.notify_one();
            }
            removal
        });
        match removing.await.map_err(|_panicked| ServiceError::Panicked)?? {
            Removal::NoSuchAlias => Err(ServiceError::NoSuchAlias(alias.clone())),
            Removal::WrongToken => Err(ServiceError::WrongToken(alias.clone())),
            Removal::AliasGone | Removal::OriginalGone(_) => Ok(()),
        }
    }

    /// Removes the picture and every alias, which are returned in the order they were made.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn purge(&self, named: &Named) -> Result<Vec<Alias>, ServiceError> {
        let original = self.find(named).await?;
        let closed = self.tickets.close(&original.hash);
        let (repo, garbage) = (Arc::clone(&self.repo), Arc::clone(&self.garbage));
        // In a task of its own, as above.
        let purging = tokio::spawn(async move {
            let aliases = repo.purge(&original.hash).await;
            drop(closed);
            garbage.notify_one();
            aliases
        });
        let aliases = purging.await.map_err(|_panicked| ServiceError::Panicked)??;
        // Purged by somebody else since it was found: it is gone, which is what was asked for.
        Ok(aliases.unwrap_or_default())
    }
}
