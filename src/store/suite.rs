//! The contract of [`Store`]: every backend calls [`passes`] on an empty store.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{Class, Held, Listed, Staging, Store, StoreKey, StoredFile};
use crate::domain::{Filter, Format, Hash, OutputFormat, Variant};

/// The hash whose 32 bytes are all `n`.
pub(crate) fn hash(n: u8) -> Hash {
    Hash::from_bytes([n; 32])
}

/// The key of the original `hash(n)`, a JPEG.
pub(crate) fn original(n: u8) -> StoreKey {
    StoreKey::Original { hash: hash(n), format: Format::Jpg }
}

/// The key of a variant of `hash(n)`.
pub(crate) fn variant(n: u8, side: u32) -> StoreKey {
    let variant = Variant::new(&[Filter::Thumbnail(side)], OutputFormat::Webp).unwrap();
    StoreKey::Variant { hash: hash(n), key: variant.key(), format: OutputFormat::Webp }
}

/// The key of the proxy of `hash(n)`.
pub(crate) fn proxy(n: u8) -> StoreKey {
    StoreKey::Proxy { hash: hash(n) }
}

/// Bytes that no shift or swap of pieces leaves equal.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
}

/// Panics where `store`, which must be empty, does not keep the contract.
pub(crate) async fn passes(store: &dyn Store, staging: &Staging) {
    absent_things_are_absent(store).await;
    what_is_put_is_read(store, staging).await;
    ranges_are_exact(store).await;
    listing_and_deleting(store).await;
    counting(store, staging).await;
}

async fn absent_things_are_absent(store: &dyn Store) {
    assert!(store.list().await.unwrap().is_empty());
    for key in [original(1), variant(1, 64), proxy(1)] {
        assert!(store.read(&key).await.unwrap().is_none());
        assert!(store.stream(&key, 0..1, 1).await.unwrap().is_none());
        store.delete(&key).await.unwrap();
    }
    store.delete_variants(&hash(1)).await.unwrap();
}

async fn what_is_put_is_read(store: &dyn Store, staging: &Staging) {
    let bytes = pattern(700_000);
    let staged = staging.write_pieces_blocking(bytes.chunks(1000)).unwrap();
    let path = staged.path().to_owned();
    store.put_file(&original(1), staged).await.unwrap();
    assert!(!path.try_exists().unwrap(), "a staged file that was put is gone");
    assert!(store.read(&original(1)).await.unwrap().unwrap() == bytes);
    store.put_bytes(&variant(1, 64), Bytes::from_static(b"small")).await.unwrap();
    store.put_bytes(&variant(1, 128), Bytes::new()).await.unwrap();
    assert_eq!(store.read(&variant(1, 64)).await.unwrap().unwrap(), "small");
    assert_eq!(store.read(&variant(1, 128)).await.unwrap().unwrap(), "");
    store.put_bytes(&variant(1, 64), Bytes::from_static(b"replaced")).await.unwrap();
    assert_eq!(store.read(&variant(1, 64)).await.unwrap().unwrap(), "replaced");
    assert!(store.read(&variant(1, 32)).await.unwrap().is_none());
}

async fn ranges_are_exact(store: &dyn Store) {
    let bytes = store.read(&original(1)).await.unwrap().unwrap();
    let length = bytes.len() as u64;
    for range in [0..length, 0..0, 0..1, 5..70_000, 262_143..262_145, length - 1..length, length..length] {
        let stream = store.stream(&original(1), range.clone(), length).await.unwrap().unwrap();
        let got: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert!(got.iter().all(|piece| !piece.is_empty()));
        let slice = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        assert!(got.concat() == slice, "{range:?}");
        // The control: the comparison does see a shift by one.
        assert!(slice.len() < 2 || got.concat()[1..] != slice[..slice.len() - 1], "{range:?}");
    }
    assert!(store.stream(&original(1), 0..length + 1, length).await.is_err(), "past the end");
    for other in [length - 1, length + 1] {
        assert!(store.stream(&original(1), 0..1, other).await.unwrap().is_none(), "of another size");
    }
}

async fn listing_and_deleting(store: &dyn Store) {
    store.put_bytes(&original(2), Bytes::from_static(b"two")).await.unwrap();
    store.put_bytes(&variant(3, 64), Bytes::from_static(b"three")).await.unwrap();
    let listed = async || {
        let mut listed = store.list().await.unwrap();
        listed.sort();
        listed
    };
    let originals = |n: u8| Listed::Original(hash(n), Format::Jpg);
    let variants = |n: u8| Listed::VariantsOf(hash(n));
    assert_eq!(listed().await, [originals(1), originals(2), variants(1), variants(3)]);
    store.put_bytes(&proxy(1), Bytes::from_static(b"small")).await.unwrap();
    assert_eq!(listed().await, [originals(1), originals(2), variants(1), variants(3), Listed::ProxyOf(hash(1))]);
    store.delete(&original(1)).await.unwrap();
    assert_eq!(listed().await, [originals(2), variants(1), variants(3), Listed::ProxyOf(hash(1))]);
    store.delete(&proxy(1)).await.unwrap();
    assert_eq!(listed().await, [originals(2), variants(1), variants(3)]);
    assert!(store.read(&variant(1, 128)).await.unwrap().is_some());
    store.delete_variants(&hash(1)).await.unwrap();
    assert_eq!(listed().await, [originals(2), variants(3)]);
    assert!(store.read(&variant(1, 128)).await.unwrap().is_none());
    store.delete(&variant(3, 64)).await.unwrap();
    assert!(store.read(&variant(3, 64)).await.unwrap().is_none());
    store.put_bytes(&original(1), Bytes::from_static(b"again")).await.unwrap();
    assert_eq!(store.read(&original(1)).await.unwrap().unwrap(), "again");
}

async fn counting(store: &dyn Store, staging: &Staging) {
    let files = async |first: u8| {
        let mut files = store.files(first).await.unwrap();
        files.sort();
        files
    };
    let sizes = |files: &[StoredFile]| files.iter().map(|file| (file.class, file.size_bytes)).collect::<Vec<_>>();
    for (n, side, size) in [(4, 1, 10), (4, 2, 20), (5, 1, 30)] {
        store.put_bytes(&variant(n, side), pattern(size).into()).await.unwrap();
    }
    store.put_bytes(&original(4), pattern(400).into()).await.unwrap();
    store.put_bytes(&proxy(4), pattern(50).into()).await.unwrap();
    let listed = files(4).await;
    assert_eq!(listed[0].hash, hash(4));
    let mut found = sizes(&listed);
    found.sort_unstable();
    let variants = [(Class::Variant, 10), (Class::Variant, 20)];
    assert_eq!(found, [[(Class::Original, 400)].as_slice(), &variants, &[(Class::Proxy, 50)]].concat());
    assert!(files(6).await.is_empty());
    assert_eq!(store.size(&variant(4, 2)).await.unwrap(), Some(20));
    assert_eq!(store.size(&variant(4, 3)).await.unwrap(), None);

    let usage = store.usage();
    let held = |class| usage.of(class);
    assert_eq!(held(Class::Variant), Held::default(), "nothing is counted before it is begun");
    usage.begin(4, &listed);
    usage.begin(5, &files(5).await);
    assert_eq!(held(Class::Variant), Held { files: 3, bytes: 60 });
    assert_eq!(held(Class::Original), Held { files: 1, bytes: 400 });
    assert_eq!(held(Class::Proxy), Held { files: 1, bytes: 50 });
    store.put_bytes(&variant(4, 2), pattern(25).into()).await.unwrap();
    store.put_file(&original(5), staging.write_pieces_blocking([b"five!".as_slice()]).unwrap()).await.unwrap();
    assert_eq!(held(Class::Variant), Held { files: 3, bytes: 65 }, "one was replaced");
    assert_eq!(held(Class::Original), Held { files: 2, bytes: 405 });
    for _ in 0..2 {
        store.delete(&variant(4, 1)).await.unwrap();
        store.delete(&original(5)).await.unwrap();
        assert_eq!(held(Class::Variant), Held { files: 2, bytes: 55 }, "what is gone is counted once");
        assert_eq!(held(Class::Original), Held { files: 1, bytes: 400 });
    }
    let one = files(5).await.remove(0);
    store.delete_file(&one).await.unwrap();
    store.delete_file(&one).await.unwrap();
    assert_eq!(held(Class::Variant), Held { files: 1, bytes: 25 });
    assert!(files(5).await.is_empty());
    store.put_bytes(&variant(4, 9), pattern(5).into()).await.unwrap();
    store.delete_variants(&hash(4)).await.unwrap();
    assert_eq!(held(Class::Variant), Held::default());
    let left = files(4).await;
    assert_eq!(sizes(&left), [(Class::Original, 400), (Class::Proxy, 50)]);
    store.delete_file(&left[1]).await.unwrap();
    assert_eq!(held(Class::Proxy), Held::default());
    assert!(store.read(&proxy(4)).await.unwrap().is_none());
}
