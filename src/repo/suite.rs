//! The contract of [`Repo`]: every backend calls [`passes`] on an empty repo, which it closes.

use super::{
    NewAlias, OriginalRecord, ProxyRecord, RemoteRecord, Removal, Repo, RepoError, UploadKey, VariantRecord, VariantRow,
};
use crate::domain::{
    Alias, DeleteToken, Details, Filter, Format, Hash, Looks, OutputFormat, Remote, Saliency, UrlKey, Variant,
    VariantKey,
};

/// The hash whose first bytes are `n`.
pub(crate) fn hash(n: u32) -> Hash {
    let mut bytes = [0xab; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Hash::from_bytes(bytes)
}

/// The key of the upload that made `hash(n)`.
pub(crate) fn upload(n: u32) -> UploadKey {
    let mut bytes = [0xcd; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    UploadKey(Hash::from_bytes(bytes))
}

pub(crate) fn original(n: u32) -> OriginalRecord {
    let details = Details { width: n, height: 2 * n + 1, format: Format::Png, frames: 1 };
    OriginalRecord { details, size_bytes: u64::from(n) * 1000, created_secs: 1_700_000_000, upload: upload(n) }
}

pub(crate) fn token(alias: &str) -> DeleteToken {
    DeleteToken::presented(&format!("token of {alias}"))
}

pub(crate) fn new(alias: &str, n: u32) -> NewAlias {
    let token = token(alias).kept(&Alias::asked(alias));
    NewAlias { alias: Alias::asked(alias), token, hash: hash(n), original: original(n), remote: None }
}

/// The key of the address `n`, and its first byte.
pub(crate) fn url(n: u8) -> UrlKey {
    let mut bytes = [0xef; 32];
    bytes[0] = n;
    UrlKey::from_bytes(bytes)
}

/// An alias of a remote picture: that of the address `from`, fetched at `n`.
pub(crate) fn remote(alias: &str, n: u32, from: u8) -> NewAlias {
    NewAlias { remote: Some(Remote { url: url(from), fetched_secs: n.into() }), ..new(alias, n) }
}

pub(crate) fn variant_key(side: u32) -> VariantKey {
    Variant::new(&[Filter::Thumbnail(side)], OutputFormat::Jpg).unwrap().key()
}

pub(crate) fn variant(n: u32) -> VariantRecord {
    VariantRecord { etag: hash(1000 + n), size_bytes: u64::from(n), created_secs: 1_700_000_001 }
}

async fn names(repo: &dyn Repo, n: u32) -> Vec<String> {
    repo.aliases_of(&hash(n)).await.unwrap().iter().map(ToString::to_string).collect()
}

async fn remove(repo: &dyn Repo, alias: &str) -> Removal {
    repo.remove_alias(&Alias::asked(alias), &token(alias)).await.unwrap()
}

async fn is_alias(repo: &dyn Repo, alias: &str) -> bool {
    repo.alias(&Alias::asked(alias)).await.unwrap().is_some()
}

/// Panics where `repo`, which must be empty, does not keep the contract.
pub(crate) async fn passes(repo: &dyn Repo) {
    an_empty_repo_has_nothing(repo).await;
    what_is_added_is_found(repo).await;
    a_batch_is_all_or_nothing(repo).await;
    the_same_bytes_are_one_original(repo).await;
    removing_takes_the_right_token(repo).await;
    an_operator_needs_no_token(repo).await;
    the_last_alias_takes_everything(repo).await;
    purging(repo).await;
    garbage_waits_and_comes_back(repo).await;
    variants_belong_to_their_original(repo).await;
    variants_are_listed_and_their_uses_noted(repo).await;
    proxies_belong_to_their_original(repo).await;
    looks_belong_to_their_original(repo).await;
    remote_pictures_go_with_their_alias(repo).await;
    something_may_stand_in(repo).await;
    one_upload_two_originals(repo).await;
    names_of_every_kind(repo).await;
    closing(repo).await;
}

async fn an_empty_repo_has_nothing(repo: &dyn Repo) {
    assert!(repo.is_ready());
    assert!(!is_alias(repo, "a.png").await);
    assert_eq!(repo.original(&hash(1)).await.unwrap(), None);
    assert_eq!(repo.uploaded(&upload(1)).await.unwrap(), None);
    assert!(names(repo, 1).await.is_empty());
    assert_eq!(remove(repo, "a.png").await, Removal::NoSuchAlias);
    assert_eq!(repo.purge(&hash(1)).await.unwrap(), None);
    assert!(repo.garbage(None, 10).await.unwrap().is_empty());
    repo.forget_garbage(vec![hash(1)]).await.unwrap();
    repo.add_aliases(Vec::new()).await.unwrap();
}

async fn what_is_added_is_found(repo: &dyn Repo) {
    repo.add_aliases(vec![new("b.png", 1)]).await.unwrap();
    let found = repo.alias(&Alias::asked("b.png")).await.unwrap().unwrap();
    assert_eq!(found.hash, hash(1));
    assert!(found.token.matches(&Alias::asked("b.png"), &token("b.png")));
    assert_eq!(repo.original(&hash(1)).await.unwrap(), Some(original(1)));
    assert_eq!(repo.uploaded(&upload(1)).await.unwrap(), Some(hash(1)));
    assert_eq!(repo.originals_under(hash(1).as_bytes()[0]).await.unwrap(), [(hash(1), original(1))]);
    assert!(repo.originals_under(hash(1).as_bytes()[0] ^ 1).await.unwrap().is_empty());
    assert!(repo.strays().await.unwrap().is_empty());
    for absent in ["b.pn", "b.png2", "B.png", ""] {
        assert!(!is_alias(repo, absent).await, "{absent}");
    }
}

async fn a_batch_is_all_or_nothing(repo: &dyn Repo) {
    for (batch, taken) in [
        (vec![new("c.png", 2), new("b.png", 2)], "b.png"),
        (vec![new("c.png", 2), new("d.png", 3), new("c.png", 2)], "c.png"),
    ] {
        let error = repo.add_aliases(batch).await.unwrap_err();
        assert!(matches!(&error, RepoError::AliasTaken(alias) if alias.as_str() == taken), "{error}");
        assert!(!is_alias(repo, "c.png").await && !is_alias(repo, "d.png").await);
        assert_eq!(repo.original(&hash(2)).await.unwrap(), None);
        assert_eq!(repo.uploaded(&upload(2)).await.unwrap(), None);
        assert!(names(repo, 2).await.is_empty());
    }
    assert_eq!(repo.alias(&Alias::asked("b.png")).await.unwrap().unwrap().hash, hash(1));
}

async fn the_same_bytes_are_one_original(repo: &dyn Repo) {
    // "Z" sorts before "a": the order is that of adding, not of names. 300 pass one byte of a sequence number.
    let mut later = new("Z.png", 1);
    later.original = OriginalRecord { created_secs: 5, upload: upload(77), ..original(1) };
    repo.add_aliases(vec![later, new("a.png", 1)]).await.unwrap();
    assert_eq!(names(repo, 1).await, ["b.png", "Z.png", "a.png"]);
    assert_eq!(repo.original(&hash(1)).await.unwrap(), Some(original(1)), "the first record stays");
    assert_eq!(repo.uploaded(&upload(77)).await.unwrap(), None);
    let many: Vec<String> = (0..300).map(|n| format!("{}.png", 999 - n)).collect();
    repo.add_aliases(many.iter().map(|name| new(name, 4)).collect()).await.unwrap();
    assert_eq!(names(repo, 4).await, many);
    assert_eq!(remove(repo, "700.png").await, Removal::AliasGone);
    repo.add_aliases(vec![new("0.png", 4)]).await.unwrap();
    assert_eq!(names(repo, 4).await, [&many[..299], &["0.png".to_owned()]].concat());
}

async fn removing_takes_the_right_token(repo: &dyn Repo) {
    let alias = Alias::asked("Z.png");
    for wrong in [token("b.png"), DeleteToken::presented(""), DeleteToken::presented("token of Z.png ")] {
        assert_eq!(repo.remove_alias(&alias, &wrong).await.unwrap(), Removal::WrongToken);
    }
    assert!(is_alias(repo, "Z.png").await);
    assert_eq!(remove(repo, "Z.png").await, Removal::AliasGone);
    assert_eq!(remove(repo, "Z.png").await, Removal::NoSuchAlias);
    assert_eq!(names(repo, 1).await, ["b.png", "a.png"]);
    assert!(repo.original(&hash(1)).await.unwrap().is_some());
    assert!(repo.garbage(None, 10).await.unwrap().is_empty());
}

async fn an_operator_needs_no_token(repo: &dyn Repo) {
    let dropped = async |alias: &str| repo.drop_alias(&Alias::asked(alias)).await.unwrap();
    repo.add_aliases(vec![new("o2.png", 9), new("o1.png", 9)]).await.unwrap();
    assert_eq!(dropped("nothere.png").await, Removal::NoSuchAlias);
    assert_eq!(dropped("o2.png").await, Removal::AliasGone);
    assert_eq!(dropped("o2.png").await, Removal::NoSuchAlias);
    assert_eq!(names(repo, 9).await, ["o1.png"]);
    assert_eq!(dropped("o1.png").await, Removal::OriginalGone(hash(9)));
    assert_eq!(repo.original(&hash(9)).await.unwrap(), None);
    assert_eq!(repo.uploaded(&upload(9)).await.unwrap(), None);
    repo.forget_garbage(vec![hash(9)]).await.unwrap();
}

async fn the_last_alias_takes_everything(repo: &dyn Repo) {
    assert!(repo.add_variant(&hash(1), &variant_key(64), variant(1)).await.unwrap());
    assert_eq!(remove(repo, "b.png").await, Removal::AliasGone);
    assert!(repo.variant(&hash(1), &variant_key(64)).await.unwrap().is_some());
    assert_eq!(remove(repo, "a.png").await, Removal::OriginalGone(hash(1)));
    assert_eq!(repo.original(&hash(1)).await.unwrap(), None);
    assert_eq!(repo.uploaded(&upload(1)).await.unwrap(), None);
    assert_eq!(repo.variant(&hash(1), &variant_key(64)).await.unwrap(), None);
    assert!(names(repo, 1).await.is_empty());
    let garbage = repo.garbage(None, 10).await.unwrap();
    assert_eq!(garbage.iter().map(|piece| (piece.hash, piece.format)).collect::<Vec<_>>(), [(hash(1), Format::Png)]);
    assert!(garbage[0].since_secs > 1_700_000_000);
}

async fn purging(repo: &dyn Repo) {
    repo.add_aliases(vec![new("p2.png", 5), new("p1.png", 5), new("q.png", 6)]).await.unwrap();
    assert!(repo.add_variant(&hash(5), &variant_key(64), variant(1)).await.unwrap());
    let purged = repo.purge(&hash(5)).await.unwrap().unwrap();
    assert_eq!(purged, [Alias::asked("p2.png"), Alias::asked("p1.png")]);
    assert_eq!(repo.purge(&hash(5)).await.unwrap(), None);
    assert!(!is_alias(repo, "p1.png").await && !is_alias(repo, "p2.png").await);
    assert!(is_alias(repo, "q.png").await, "a neighbour stays");
    assert_eq!(repo.uploaded(&upload(5)).await.unwrap(), None);
    assert_eq!(repo.variant(&hash(5), &variant_key(64)).await.unwrap(), None);
    repo.add_aliases(vec![new("p1.png", 6)]).await.unwrap();
    assert_eq!(names(repo, 6).await, ["q.png", "p1.png"], "a name that was purged is free again");
}

async fn garbage_waits_and_comes_back(repo: &dyn Repo) {
    let waiting = async || repo.garbage(None, 10).await.unwrap().iter().map(|piece| piece.hash).collect::<Vec<_>>();
    assert_eq!(waiting().await, [hash(1), hash(5)]);
    let first = repo.garbage(None, 1).await.unwrap()[0].hash;
    let later = repo.garbage(Some(first), 10).await.unwrap();
    assert!(later.iter().all(|piece| piece.hash > first) && later.len() + 1 == waiting().await.len());
    repo.add_aliases(vec![new("again.png", 1)]).await.unwrap();
    assert_eq!(waiting().await, [hash(5)], "an original that is back is no garbage");
    assert_eq!(names(repo, 1).await, ["again.png"]);
    assert_eq!(repo.uploaded(&upload(1)).await.unwrap(), Some(hash(1)));
    assert_eq!(repo.variant(&hash(1), &variant_key(64)).await.unwrap(), None, "its variants are not");
    repo.forget_garbage(vec![hash(5)]).await.unwrap();
    assert!(waiting().await.is_empty());
}

async fn variants_belong_to_their_original(repo: &dyn Repo) {
    assert!(!repo.add_variant(&hash(5), &variant_key(64), variant(1)).await.unwrap(), "the original is gone");
    assert_eq!(repo.variant(&hash(5), &variant_key(64)).await.unwrap(), None);
    for side in [6, 64, 640] {
        assert!(repo.add_variant(&hash(6), &variant_key(side), variant(side)).await.unwrap());
    }
    assert!(repo.add_variant(&hash(6), &variant_key(64), variant(65)).await.unwrap());
    for (side, expected) in [(6, Some(variant(6))), (64, Some(variant(65))), (640, Some(variant(640))), (65, None)] {
        assert_eq!(repo.variant(&hash(6), &variant_key(side)).await.unwrap(), expected);
    }
    assert_eq!(repo.variant(&hash(4), &variant_key(64)).await.unwrap(), None);
    let some = vec![(hash(6), variant_key(64)), (hash(6), variant_key(65)), (hash(5), variant_key(6))];
    repo.remove_variants(some.clone()).await.unwrap();
    repo.remove_variants(some).await.unwrap();
    assert_eq!(repo.variant(&hash(6), &variant_key(64)).await.unwrap(), None);
    assert_eq!(repo.variant(&hash(6), &variant_key(6)).await.unwrap(), Some(variant(6)));
}

async fn variants_are_listed_and_their_uses_noted(repo: &dyn Repo) {
    let row =
        |side: u32, used_secs| VariantRow { hash: hash(6), key: variant_key(side), record: variant(side), used_secs };
    let made_secs = variant(6).created_secs;
    let listed = async || repo.variants_of(&hash(6)).await.unwrap();
    assert_eq!(listed().await, [row(6, made_secs), row(640, made_secs)]);
    let far = Hash::from_bytes([0xee; 32]);
    repo.add_aliases(vec![NewAlias { hash: far, ..new("far.png", 60) }]).await.unwrap();
    repo.add_variant(&far, &variant_key(1), variant(1)).await.unwrap();
    assert_eq!(repo.variants_under(0).await.unwrap(), listed().await, "the others' hashes begin with another byte");
    assert_eq!(repo.variants_under(0xee).await.unwrap().len(), 1);
    assert!(repo.variants_under(0xef).await.unwrap().is_empty());
    let uses = [(6, made_secs + 10), (65, made_secs + 20)].map(|(side, secs)| (hash(6), variant_key(side), secs));
    repo.use_variants(uses.to_vec()).await.unwrap();
    assert_eq!(listed().await, [row(6, made_secs + 10), row(640, made_secs)], "one that is gone does not come back");
    assert_eq!(repo.variant(&hash(6), &variant_key(6)).await.unwrap(), Some(variant(6)));
    assert!(repo.add_variant(&hash(6), &variant_key(6), variant(6)).await.unwrap());
    assert_eq!(listed().await[0], row(6, made_secs), "one that is made anew has not been asked for since");
    assert!(repo.purge(&far).await.unwrap().is_some());
    repo.forget_garbage(vec![far]).await.unwrap();
}

async fn looks_belong_to_their_original(repo: &dyn Repo) {
    let looks = |red| Looks {
        blurhash: "L".to_owned(),
        thumbhash: "T".to_owned(),
        dominant: [red, 0, 0],
        palette: vec![[red, 0, 0]],
        opaque: true,
        saliency: Saliency::new(1, &[red]),
    };
    assert!(!repo.add_looks(&hash(5), looks(1)).await.unwrap(), "the original is gone");
    assert_eq!(repo.looks(&hash(5)).await.unwrap(), None);
    let far = Hash::from_bytes([0xee; 32]);
    repo.add_aliases(vec![NewAlias { hash: far, ..new("far.png", 60) }]).await.unwrap();
    assert_eq!(repo.looks(&far).await.unwrap(), None);
    assert!(repo.add_looks(&far, looks(1)).await.unwrap());
    assert!(repo.add_looks(&far, looks(2)).await.unwrap());
    assert_eq!(repo.looks(&far).await.unwrap(), Some(looks(2)), "the later one");
    assert!(repo.purge(&far).await.unwrap().is_some());
    assert_eq!(repo.looks(&far).await.unwrap(), None, "it goes with its original");
    repo.forget_garbage(vec![far]).await.unwrap();
}

async fn proxies_belong_to_their_original(repo: &dyn Repo) {
    let record = |n| ProxyRecord { divisor: 8, size_bytes: n, crc32: 7, created_secs: 1_700_000_002 };
    assert!(!repo.add_proxy(&hash(5), record(1)).await.unwrap(), "the original is gone");
    assert_eq!(repo.proxy(&hash(5)).await.unwrap(), None);
    assert!(repo.add_proxy(&hash(6), record(1)).await.unwrap());
    assert!(repo.add_proxy(&hash(6), record(2)).await.unwrap());
    assert_eq!(repo.proxy(&hash(6)).await.unwrap(), Some(record(2)), "the later one");
    let far = Hash::from_bytes([0xee; 32]);
    repo.add_aliases(vec![NewAlias { hash: far, ..new("far.png", 60) }]).await.unwrap();
    assert!(repo.add_proxy(&far, record(3)).await.unwrap());
    assert_eq!(repo.proxies_under(0).await.unwrap(), [hash(6)]);
    assert_eq!(repo.proxies_under(0xee).await.unwrap(), [far]);
    assert!(repo.proxies_under(0xef).await.unwrap().is_empty());
    repo.remove_proxies(vec![hash(6), hash(5)]).await.unwrap();
    assert_eq!(repo.proxy(&hash(6)).await.unwrap(), None);
    assert!(repo.purge(&far).await.unwrap().is_some());
    assert_eq!(repo.proxy(&far).await.unwrap(), None, "it goes with its original");
    assert!(repo.proxies_under(0xee).await.unwrap().is_empty());
    repo.forget_garbage(vec![far]).await.unwrap();
}

async fn remote_pictures_go_with_their_alias(repo: &dyn Repo) {
    let at = async |from: u8| repo.remote(&url(from)).await.unwrap();
    let named = |alias: &str, used_secs| Some(RemoteRecord { alias: Alias::asked(alias), used_secs });
    assert_eq!(at(1).await, None);
    repo.add_aliases(vec![remote("r1.png", 70, 1), remote("r2.png", 70, 2), new("r3.png", 70)]).await.unwrap();
    assert_eq!((at(1).await, at(2).await), (named("r1.png", 70), named("r2.png", 70)));
    assert_eq!(repo.alias(&Alias::asked("r1.png")).await.unwrap().unwrap().remote.unwrap().url, url(1));
    assert!(repo.alias(&Alias::asked("r3.png")).await.unwrap().unwrap().remote.is_none());
    // An address has one alias; who comes second is told which, and nothing of the batch is there.
    for batch in
        [vec![new("r4.png", 71), remote("r5.png", 71, 1)], vec![remote("r4.png", 71, 3), remote("r5.png", 71, 3)]]
    {
        let taken = if batch[0].remote.is_some() { "r4.png" } else { "r1.png" };
        let error = repo.add_aliases(batch).await.unwrap_err();
        assert!(matches!(&error, RepoError::AliasTaken(alias) if alias.as_str() == taken), "{error}");
        assert!(!is_alias(repo, "r4.png").await && at(3).await.is_none());
    }
    repo.use_remotes(vec![(url(1), 90), (url(2), 60), (url(3), 90)]).await.unwrap();
    assert_eq!((at(1).await, at(2).await, at(3).await), (named("r1.png", 90), named("r2.png", 70), None));
    assert_eq!(repo.remotes_under(1).await.unwrap(), [(url(1), named("r1.png", 90).unwrap())]);
    assert!(repo.remotes_under(3).await.unwrap().is_empty());
    assert_eq!(repo.drop_alias(&Alias::asked("r1.png")).await.unwrap(), Removal::AliasGone);
    assert_eq!((at(1).await, at(2).await), (None, named("r2.png", 70)));
    // Whoever has fetched it anew may name it.
    repo.add_aliases(vec![remote("r1.png", 72, 1)]).await.unwrap();
    assert_eq!(at(1).await, named("r1.png", 72));
    assert!(repo.purge(&hash(70)).await.unwrap().is_some());
    assert_eq!((at(1).await, at(2).await), (named("r1.png", 72), None));
    assert_eq!(repo.drop_alias(&Alias::asked("r1.png")).await.unwrap(), Removal::OriginalGone(hash(72)));
    assert_eq!(at(1).await, None);
    repo.forget_garbage(vec![hash(70), hash(72)]).await.unwrap();
}

async fn something_may_stand_in(repo: &dyn Repo) {
    assert_eq!(repo.stand_in().await.unwrap(), None);
    for alias in [Some(Alias::asked("gone.png")), Some(Alias::asked("other.png")), None] {
        repo.set_stand_in(alias.clone()).await.unwrap();
        assert_eq!(repo.stand_in().await.unwrap(), alias);
    }
}

async fn one_upload_two_originals(repo: &dyn Repo) {
    // The same upload becomes other bytes under a later version of the program: the later one counts.
    let mut later = new("u2.png", 8);
    later.original.upload = upload(7);
    repo.add_aliases(vec![new("u1.png", 7)]).await.unwrap();
    repo.add_aliases(vec![later]).await.unwrap();
    assert_eq!(repo.uploaded(&upload(7)).await.unwrap(), Some(hash(8)));
    assert_eq!(remove(repo, "u1.png").await, Removal::OriginalGone(hash(7)));
    assert_eq!(repo.uploaded(&upload(7)).await.unwrap(), Some(hash(8)));
    assert_eq!(remove(repo, "u2.png").await, Removal::OriginalGone(hash(8)));
    assert_eq!(repo.uploaded(&upload(7)).await.unwrap(), None);
}

async fn names_of_every_kind(repo: &dyn Repo) {
    let names: Vec<String> =
        ["ünï çødé.png", "a b\".png", "x", &"é".repeat(127), &"n".repeat(255)].map(str::to_owned).to_vec();
    repo.add_aliases(names.iter().map(|name| new(name, 9)).collect()).await.unwrap();
    assert_eq!(repo.purge(&hash(9)).await.unwrap().unwrap().len(), names.len());
    for name in names {
        assert!(!is_alias(repo, &name).await, "{name}");
    }
}

async fn closing(repo: &dyn Repo) {
    repo.close().await.unwrap();
    assert!(!repo.is_ready());
    assert!(matches!(repo.add_aliases(vec![new("late.png", 1)]).await, Err(RepoError::Stopped)));
    assert!(matches!(repo.alias(&Alias::asked("again.png")).await, Err(RepoError::Stopped)));
    assert!(matches!(repo.purge(&hash(1)).await, Err(RepoError::Stopped)));
    repo.close().await.unwrap();
}
