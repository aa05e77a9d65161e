//! The variants in the order of their last use. Nothing but the order: no files, no rows, no time of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::{domain::Hash, store::VariantName};

/// A variant, in 48 bytes whatever its key.
pub type Id = (Hash, VariantName);

/// How much later than was noted a use has to be, in seconds, to be noted again.
const GRAIN_SECS: u64 = 60;

const MICROS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    size_bytes: u64,
    used_micros: u64,
    noted_secs: u64,
}

/// One that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) id: Id,
    pub(super) size_bytes: u64,
    /// Its last use when it was chosen.
    pub(super) used_micros: u64,
}

/// About 200 bytes a variant. Every change is some steps down a tree.
#[derive(Debug, Default)]
pub(super) struct Order {
    entries: BTreeMap<Id, Entry>,
    /// By last use, in microseconds since 1970, and then by name.
    by_use: BTreeSet<(u64, Id)>,
    /// Used since that was noted last.
    unnoted: BTreeSet<Id>,
}

impl Order {
    /// Adds a variant, or says anew what is known of it. `noted_secs` is the last use that its row says.
    pub(super) fn insert(&mut self, id: Id, size_bytes: u64, used_micros: u64, noted_secs: u64) {
        self.remove(&id);
        self.entries.insert(id, Entry { size_bytes, used_micros, noted_secs });
        self.by_use.insert((used_micros, id));
    }

    /// Notes that a variant was used; one that is not known stays so.
    pub(super) fn touch(&mut self, id: &Id, now_micros: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if now_micros <= entry.used_micros {
            return;
        }
        self.by_use.remove(&(entry.used_micros, *id));
        self.by_use.insert((now_micros, *id));
        entry.used_micros = now_micros;
        if now_micros / MICROS >= entry.noted_secs + GRAIN_SECS {
            self.unnoted.insert(*id);
        }
    }

    pub(super) fn remove(&mut self, id: &Id) {
        if let Some(entry) = self.entries.remove(id) {
            self.by_use.remove(&(entry.used_micros, *id));
            self.unnoted.remove(id);
        }
    }

    /// Removes every variant of an original.
    pub(super) fn remove_of(&mut self, hash: Hash) {
        self.remove_all(&self.under(hash, hash));
    }

    /// Makes `found` all that is known of variants whose hashes begin with the byte `first`: each with its size and with the
    /// last use that its row says. A later one that is known already stays.
    pub(super) fn replace(&mut self, first: u8, found: &BTreeMap<Id, (u64, u64)>) {
        let mut ends = [[0; 32], [0xff; 32]];
        ends.iter_mut().for_each(|end| end[0] = first);
        let known = self.under(Hash::from_bytes(ends[0]), Hash::from_bytes(ends[1]));
        let gone: Vec<Id> = known.into_iter().filter(|id| !found.contains_key(id)).collect();
        self.remove_all(&gone);
        for (id, &(size_bytes, noted_secs)) in found {
            let used = self.entries.get(id).map_or(0, |entry| entry.used_micros);
            self.insert(*id, size_bytes, used.max(noted_secs * MICROS), noted_secs);
        }
    }

    fn under(&self, from: Hash, to: Hash) -> Vec<Id> {
        let [low, high] = VariantName::ENDS;
        self.entries.range((from, low)..=(to, high)).map(|(id, _)| *id).collect()
    }

    fn remove_all(&mut self, ids: &[Id]) {
        ids.iter().for_each(|id| self.remove(id));
    }

    /// The variants that were not used for the longest time: at most `limit`, and no more than come to `bytes`.
    pub(super) fn oldest(&self, limit: usize, bytes: u64) -> Vec<Victim> {
        let mut sum = 0;
        let mut victims = Vec::new();
        for (used_micros, id) in self.by_use.iter().take(limit) {
            if sum >= bytes {
                break;
            }
            let size_bytes = self.entries.get(id).map_or(0, |entry| entry.size_bytes);
            sum += size_bytes;
            victims.push(Victim { id: *id, size_bytes, used_micros: *used_micros });
        }
        victims
    }

    /// The variants that were not used since `micros`, at most `limit`.
    pub(super) fn unused_since(&self, micros: u64, limit: usize) -> Vec<Victim> {
        let mut victims = self.oldest(limit, u64::MAX);
        victims.retain(|victim| victim.used_micros < micros);
        victims
    }

    /// Whether it was not used since it was chosen, and is there.
    pub(super) fn is_still_due(&self, victim: &Victim) -> bool {
        self.entries.get(&victim.id).is_some_and(|entry| entry.used_micros == victim.used_micros)
    }

    /// At most `limit` variants whose last use is not noted, each with it in seconds. They count as noted from now on.
    pub(super) fn note(&mut self, limit: usize) -> Vec<(Id, u64)> {
        let mut noted = Vec::new();
        while noted.len() < limit
            && let Some(id) = self.unnoted.pop_first()
        {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.noted_secs = entry.used_micros / MICROS;
                noted.push((id, entry.noted_secs));
            }
        }
        noted
    }

    /// Variants in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.by_use.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::VariantKey;

    fn id(n: u8) -> Id {
        (Hash::from_bytes([n / 4; 32]), VariantName::of(&VariantKey::stored(&format!("thumbnail={}&jpg", n % 4))))
    }

    fn ids(victims: &[Victim]) -> Vec<Id> {
        victims.iter().map(|victim| victim.id).collect()
    }

    #[test]
    fn the_one_not_used_for_longest_is_first_and_a_use_moves_it_behind() {
        let mut order = Order::default();
        for n in 0..4 {
            order.insert(id(n), 10, 100 + u64::from(n), 0);
        }
        order.touch(&id(0), 200);
        order.touch(&id(1), 50);
        order.touch(&id(9), 300);
        assert_eq!(ids(&order.oldest(9, u64::MAX)), [id(1), id(2), id(3), id(0)]);
        assert_eq!(ids(&order.oldest(9, 11)), [id(1), id(2)], "as many as it takes");
        assert_eq!(ids(&order.oldest(1, 99)), [id(1)]);
        assert_eq!(ids(&order.unused_since(103, 9)), [id(1), id(2)]);
        let chosen = order.oldest(1, 1)[0];
        assert!(order.is_still_due(&chosen));
        order.touch(&id(1), 300);
        assert!(!order.is_still_due(&chosen));
        order.remove(&id(1));
        assert!(!order.is_still_due(&Victim { used_micros: 300, ..chosen }));
    }

    #[test]
    fn uses_are_noted_once_a_grain_and_some_at_a_time() {
        let mut order = Order::default();
        let secs = |secs: u64| secs * MICROS;
        for n in 0..3 {
            order.insert(id(n), 1, secs(1000), 1000);
            order.touch(&id(n), secs(1000 + GRAIN_SECS - 1));
        }
        assert_eq!(order.note(9), []);
        for n in 0..3 {
            order.touch(&id(n), secs(1000 + GRAIN_SECS));
        }
        assert_eq!(order.note(2).len(), 2);
        assert_eq!(order.note(9).len(), 1);
        assert_eq!(order.note(9), []);
        order.touch(&id(0), secs(1000 + 2 * GRAIN_SECS));
        order.remove(&id(0));
        assert_eq!(order.note(9), []);
    }

    #[test]
    fn what_is_found_on_the_disk_replaces_what_was_known_under_its_byte() {
        let mut order = Order::default();
        for n in 0..8 {
            order.insert(id(n), 1, 5 * MICROS, 5);
        }
        let found = BTreeMap::from([(id(0), (2, 3)), (id(1), (2, 9)), (id(3), (2, 1))]);
        order.replace(0, &found);
        assert_eq!(order.len(), 3 + 4);
        let oldest = order.oldest(9, u64::MAX);
        assert_eq!(oldest.iter().find(|one| one.id == id(0)).unwrap().used_micros, 5 * MICROS, "the later one stays");
        assert_eq!(oldest.last().unwrap().id, id(1));
        assert_eq!(oldest.iter().map(|one| one.size_bytes).sum::<u64>(), 3 * 2 + 4);
        order.remove_of(id(4).0);
        assert_eq!(order.len(), 3);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u8, u64),
        Touch(u8, u64),
        Remove(u8),
        RemoveOf(u8),
    }

    proptest! {
        #[test]
        fn it_is_in_the_order_that_sorting_gives(ops in prop::collection::vec(prop_oneof![
            (0..16_u8, 0..40_u64).prop_map(|(n, at)| Op::Insert(n, at)),
            (0..16_u8, 0..40_u64).prop_map(|(n, at)| Op::Touch(n, at)),
            (0..16_u8).prop_map(Op::Remove),
            (0..16_u8).prop_map(Op::RemoveOf),
        ], 0..60)) {
            let mut order = Order::default();
            let mut model: BTreeMap<Id, u64> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Insert(n, at) => {
                        order.insert(id(n), 1, at, 0);
                        model.insert(id(n), at);
                    }
                    Op::Touch(n, at) => {
                        order.touch(&id(n), at);
                        model.entry(id(n)).and_modify(|used| *used = at.max(*used));
                    }
                    Op::Remove(n) => {
                        order.remove(&id(n));
                        model.remove(&id(n));
                    }
                    Op::RemoveOf(n) => {
                        order.remove_of(id(n).0);
                        model.retain(|(hash, _), _| *hash != id(n).0);
                    }
                }
            }
            let mut sorted: Vec<(u64, Id)> = model.into_iter().map(|(id, used)| (used, id)).collect();
            sorted.sort();
            let found: Vec<(u64, Id)> = order.oldest(99, u64::MAX).iter().map(|one| (one.used_micros, one.id)).collect();
            prop_assert_eq!(found, sorted);
        }
    }
}
