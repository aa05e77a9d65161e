//! Proxies on stores and repos in memory: which pictures have one, what there is room for, what is kept.

use super::*;
use crate::{
    domain::{Alias, DeleteToken},
    pixels::{Layout, Orientation, Picture, Pixmap},
    repo::{MemoryRepo, NewAlias, OriginalRecord, UploadKey},
    store::MemoryStore,
};

struct House {
    store: Arc<MemoryStore>,
    repo: Arc<MemoryRepo>,
    proxies: Arc<Proxies>,
}

fn house(size_px: u32) -> House {
    let (store, repo) = (Arc::<MemoryStore>::default(), Arc::<MemoryRepo>::default());
    let proxies = Arc::new(Proxies::new(size_px, store.clone(), repo.clone(), Arc::default()));
    House { store, repo, proxies }
}

fn hash(n: u8) -> Hash {
    Hash::from_bytes([n; 32])
}

fn details(format: Format, width: u32, height: u32) -> Details {
    Details { width, height, format, frames: 1 }
}

/// Grey, of so many bytes and a head.
fn proxy(width: u32, height: u32) -> Proxy {
    let pixels = Pixmap::new(width, height, Layout::Luma, vec![7; (width * height) as usize]).unwrap();
    let (picture, orientation) = (Picture::Packed(pixels), Orientation::UPRIGHT);
    Proxy { picture, orientation, divisor: 4, whole: Size::new(4 * width, 4 * height) }
}

impl House {
    async fn original(&self, n: u8) {
        let details = details(Format::Png, 1, 1);
        let original = OriginalRecord { details, size_bytes: 3, created_secs: 0, upload: UploadKey(hash(n)) };
        let alias = Alias::generate(Format::Png);
        let token = DeleteToken::generate().kept(&alias);
        self.repo.add_aliases(vec![NewAlias { alias, token, hash: hash(n), original, remote: None }]).await.unwrap();
    }

    fn held(&self) -> usize {
        HELD_MIB as usize - self.proxies.room.available_permits()
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.proxies.outcomes()[outcome as usize]
    }

    async fn is_there(&self, n: u8) -> bool {
        let file = self.store.size(&StoreKey::Proxy { hash: hash(n) }).await.unwrap().is_some();
        assert_eq!(self.repo.proxy(&hash(n)).await.unwrap().is_some(), file, "{n}");
        file
    }
}

#[test]
fn divisors_leave_enough_for_half_the_size() {
    let of = |size_px: u32, format, width, height| house(size_px).proxies.divisor(&details(format, width, height));
    for (width, wanted) in [(1919, None), (1920, Some(4)), (3839, Some(4)), (3840, Some(8)), (60_000, Some(8))] {
        assert_eq!(of(512, Format::Jpg, width, 40), of(512, Format::Jpg, 40, width), "{width}");
        assert_eq!(of(512, Format::Jpg, width, width), wanted, "{width}");
    }
    for (width, wanted) in [(1439, None), (1440, Some(3)), (1919, Some(3)), (1920, Some(4)), (40_000, Some(83))] {
        assert_eq!(of(512, Format::Webp, width, width), wanted, "{width}");
    }
    assert_eq!(of(1024, Format::Jpg, 4032, 3024), Some(4));
    assert_eq!(of(1024, Format::Png, 4032, 3024), Some(4));
    assert_eq!([0, 1].map(|size_px| of(size_px, Format::Png, 4032, 3024)), [None, None]);
    let moving = Details { frames: 2, ..details(Format::Webp, 4032, 3024) };
    assert_eq!(house(512).proxies.divisor(&moving), None);
    // A side that would come to less than a pixel of a thumbnail bears nothing.
    assert_eq!(of(512, Format::Png, 40_000, 1), None);
}

#[tokio::test]
async fn what_is_kept_is_found_from_the_first_moment_and_only_with_its_divisor() {
    let house = house(512);
    house.original(1).await;
    let new = house.proxies.hold(&proxy(40, 30)).unwrap();
    assert_eq!(house.held(), 1);
    house.proxies.keep(hash(1), new);
    assert_eq!(house.proxies.find(&hash(1), 4).await.unwrap(), Some(proxy(40, 30)), "it is on its way");
    house.proxies.settle().await;
    assert!(house.is_there(1).await);
    assert_eq!(house.held(), 0);
    assert!(house.proxies.under_way().is_empty());
    assert_eq!(house.proxies.find(&hash(1), 4).await.unwrap(), Some(proxy(40, 30)));
    assert_eq!(house.proxies.find(&hash(1), 8).await.unwrap(), None);
    assert_eq!(house.proxies.find(&hash(2), 4).await.unwrap(), None);
    assert_eq!([Outcome::Made, Outcome::Used, Outcome::Unfit].map(|of| house.count(of)), [1, 2, 1]);
}

#[tokio::test]
async fn one_whose_original_went_is_not_kept() {
    let house = house(512);
    house.original(1).await;
    house.repo.purge(&hash(1)).await.unwrap();
    house.proxies.keep(hash(1), house.proxies.hold(&proxy(40, 30)).unwrap());
    house.proxies.settle().await;
    assert!(!house.is_there(1).await);
    assert_eq!(house.count(Outcome::Made), 0);
}

#[tokio::test]
async fn there_is_room_for_so_many_bytes_and_the_rest_goes_without() {
    let house = house(512);
    // A head more than two MiB: three.
    let large = proxy(2048, 1024);
    let held: Vec<New> = std::iter::from_fn(|| house.proxies.hold(&large)).collect();
    assert_eq!((held.len(), house.held(), house.count(Outcome::Busy)), (10, 30, 1));
    assert!(house.proxies.hold(&proxy(40, 30)).is_some(), "there is room for small ones");
    drop(held);
    assert_eq!(house.held(), 0, "an upload that came to nothing gives its room back");
}
