//! The pictures of a pict-rs 0.2 or 0.3, taken in as imports under their names: validated and stripped like uploads, with the delete tokens that they had.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{
    ServiceError,
    archive::Moved,
    ingest::{Ingest, Rules},
};
use crate::{
    domain::{Alias, DeleteToken},
    repo::{NewAlias, Repo, pictrs::PictrsPicture},
};

/// Takes in these pictures, `at_a_time` of them; `progress` is called after each. What is no picture that is taken in, as a video, is passed over, and so
/// are names that are taken.
///
/// # Errors
/// A fault of store or repo; what was taken in by then stays, and the next run goes on from there.
pub async fn import(
    (ingest, repo, at_a_time): (&Arc<Ingest>, &Arc<dyn Repo>, usize),
    pictures: Vec<PictrsPicture>,
    mut progress: impl FnMut(&Moved),
) -> Result<Moved, ServiceError> {
    let mut moved = Moved { originals: pictures.len() as u64, ..Moved::default() };
    let mut taken =
        stream::iter(pictures.into_iter().map(|picture| take_in((ingest, repo), picture))).buffer_unordered(at_a_time);
    while let Some(one) = taken.next().await {
        moved.add(one?);
        progress(&moved);
    }
    Ok(moved)
}

async fn take_in(
    (ingest, repo): (&Arc<Ingest>, &Arc<dyn Repo>),
    picture: PictrsPicture,
) -> Result<Moved, ServiceError> {
    let mut moved = Moved::default();
    let mut names = Vec::new();
    for (name, token) in picture.aliases {
        match Alias::parse_import(&name) {
            Ok(alias) if repo.alias(&alias).await?.is_some() => moved.known += 1,
            Ok(alias) => {
                names.push((alias, token.map_or_else(DeleteToken::generate, |token| DeleteToken::presented(&token))));
            }
            Err(error) => moved.passed.push(format!("{name:?}: {error}")),
        }
    }
    let mut names = names.into_iter();
    let Some((first, token)) = names.next() else { return Ok(moved) };
    let shown = picture.file.display().to_string();
    let bytes = match tokio::fs::read(&picture.file).await {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => {
            moved.passed.push(format!("{shown}: {error}"));
            return Ok(moved);
        }
    };
    let size_bytes = bytes.len() as u64;
    let prepared = async {
        let mut staged = ingest.begin().await?;
        staged.write(&bytes).await?;
        ingest.prepare(staged.finish().await?, Some(first.clone()), Rules::Validate).await
    };
    let prepared = match prepared.await {
        Ok(prepared) => prepared.with_token(token),
        Err(error) => {
            moved.passed.push(format!("{shown}, known as {}: {error}", first.as_str()));
            return Ok(moved);
        }
    };
    let (hash, original) = prepared.original();
    ingest.name(vec![prepared]).await?;
    let others: Vec<NewAlias> = names
        .map(|(alias, token)| NewAlias { token: token.kept(&alias), alias, hash, original, remote: None })
        .collect();
    moved.aliases = 1 + others.len() as u64;
    moved.bytes = size_bytes;
    repo.add_aliases(others).await?;
    Ok(moved)
}
