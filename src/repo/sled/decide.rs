//! What a request means for the rows as they are: the changes it makes, or why it makes none.

use super::{
    now_secs,
    rows::{self, Pending},
};
use crate::{
    domain::{Alias, DeleteToken, Hash, Looks, UrlKey, VariantKey},
    repo::{
        AliasRecord, Garbage, NewAlias, OriginalRecord, ProxyRecord, Removal, RepoError, VariantRecord, change::Change,
    },
};

/// One call of the trait that changes something.
pub(super) enum Request {
    Add(Vec<NewAlias>),
    /// Without a token it is an operator who asks.
    Remove {
        alias: Alias,
        token: Option<DeleteToken>,
    },
    Purge(Hash),
    AddVariant {
        hash: Hash,
        key: VariantKey,
        record: VariantRecord,
    },
    RemoveVariants(Vec<(Hash, VariantKey)>),
    UseVariants(Vec<(Hash, VariantKey, u64)>),
    AddProxy {
        hash: Hash,
        record: ProxyRecord,
    },
    AddLooks {
        hash: Hash,
        looks: Looks,
    },
    RemoveProxies(Vec<Hash>),
    UseRemotes(Vec<(UrlKey, u64)>),
    StandIn(Option<Alias>),
    Forget(Vec<Hash>),
    Close,
}

impl Request {
    /// Whether what it changes has to be on the disk when it is answered. A variant or a proxy can be made again, what a picture looks
    /// like found again, and a use is noted anew. That one was removed is durable: its file goes next.
    pub(super) const fn must_be_durable(&self) -> bool {
        match self {
            Self::AddVariant { .. }
            | Self::UseVariants(_)
            | Self::AddProxy { .. }
            | Self::AddLooks { .. }
            | Self::UseRemotes(_) => false,
            Self::Add(_)
            | Self::Remove { .. }
            | Self::Purge(_)
            | Self::RemoveVariants(_)
            | Self::RemoveProxies(_)
            | Self::StandIn(_)
            | Self::Forget(_)
            | Self::Close => true,
        }
    }
}

/// What it answers.
pub(super) enum Answer {
    Done,
    Removal(Removal),
    Purged(Option<Vec<Alias>>),
    Recorded(bool),
}

impl Answer {
    /// The error for the answer to another question, which nothing gives.
    pub(super) fn unexpected() -> RepoError {
        RepoError::Engine("the writer answered another question".to_owned())
    }
}

/// Does `request` to `pending` and adds what it changed to `changes`. After an error both may hold parts of it,
/// which the caller takes back.
pub(super) fn decide(
    request: &Request,
    pending: &mut Pending<'_>,
    changes: &mut Vec<Change>,
) -> Result<Answer, RepoError> {
    let mut change = |pending: &mut Pending<'_>, change: Change| {
        pending.apply(&change)?;
        changes.push(change);
        Ok::<(), RepoError>(())
    };
    match request {
        Request::Add(batch) => {
            for new in batch {
                // The names of this batch so far are pending, so they are taken, too.
                if pending.alias(&new.alias)?.is_some() {
                    return Err(RepoError::AliasTaken(new.alias.clone()));
                }
                if let Some(remote) = &new.remote
                    && let Some(named) = pending.remote(&remote.url)?
                {
                    return Err(RepoError::AliasTaken(named.alias));
                }
                let (hash, sequence) = (new.hash, pending.next_sequence(&new.hash)?);
                let record = AliasRecord { hash, token: new.token.clone(), sequence, remote: new.remote };
                let record = record.hashed(&new.alias);
                let original = pending.original(&new.hash)?.is_none().then_some(new.original);
                change(pending, Change::Add { alias: new.alias.clone(), record, original })?;
            }
            Ok(Answer::Done)
        }
        Request::Remove { alias, token } => {
            let Some(record) = pending.alias(alias)? else { return Ok(Answer::Removal(Removal::NoSuchAlias)) };
            if token.as_ref().is_some_and(|token| !record.token.matches(alias, token)) {
                return Ok(Answer::Removal(Removal::WrongToken));
            }
            if !pending.has_one_alias(&record.hash)? {
                change(pending, Change::Remove { alias: alias.clone() })?;
                return Ok(Answer::Removal(Removal::AliasGone));
            }
            let Some(original) = pending.original(&record.hash)? else {
                return Err(RepoError::Record { tree: "originals", cause: format!("{} has none", record.hash) });
            };
            change(pending, Change::Gone(garbage(record.hash, &original)))?;
            Ok(Answer::Removal(Removal::OriginalGone(record.hash)))
        }
        Request::Purge(hash) => {
            let Some(original) = pending.original(hash)? else { return Ok(Answer::Purged(None)) };
            let aliases = pending.aliases_of(hash)?;
            change(pending, Change::Gone(garbage(*hash, &original)))?;
            Ok(Answer::Purged(Some(aliases)))
        }
        Request::AddVariant { hash, key, record } => pending.add_variant(hash, key, record).map(Answer::Recorded),
        Request::RemoveVariants(variants) => {
            for (hash, key) in variants {
                pending.delete(rows::variant_key(hash, key));
            }
            Ok(Answer::Done)
        }
        Request::UseVariants(uses) => {
            for (hash, key, used_secs) in uses {
                pending.use_variant(hash, key, *used_secs)?;
            }
            Ok(Answer::Done)
        }
        Request::AddProxy { hash, record } => pending.add_proxy(hash, record).map(Answer::Recorded),
        Request::AddLooks { hash, looks } => pending.add_looks(hash, looks).map(Answer::Recorded),
        Request::RemoveProxies(hashes) => {
            hashes.iter().for_each(|hash| pending.delete(rows::proxy_key(hash)));
            Ok(Answer::Done)
        }
        Request::UseRemotes(uses) => {
            uses.iter().try_for_each(|(url, used_secs)| pending.use_remote(url, *used_secs))?;
            Ok(Answer::Done)
        }
        Request::StandIn(alias) => {
            change(pending, Change::StandIn { alias: alias.clone() })?;
            Ok(Answer::Done)
        }
        Request::Forget(hashes) => {
            hashes.iter().try_for_each(|hash| change(pending, Change::Forget { hash: *hash }))?;
            Ok(Answer::Done)
        }
        Request::Close => Ok(Answer::Done),
    }
}

fn garbage(hash: Hash, original: &OriginalRecord) -> Garbage {
    Garbage { hash, format: original.details.format, since_secs: now_secs() }
}
