//! A bounded memory of two ages: what is asked for moves to the younger, and once that is full the older one goes as a whole.
//! So what is in use stays, whatever else comes, and nothing is searched for what could go.

use ahash::AHashMap;
use std::borrow::Borrow;
use std::hash::Hash;

/// What is remembered, each thing with the octets that it counts for.
#[derive(Debug)]
pub struct Ages<K, V> {
    young: AHashMap<K, (V, usize)>,
    old: AHashMap<K, (V, usize)>,
    /// Of the younger age.
    bytes: usize,
    most: Most,
}

/// What one age may have.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    pub entries: usize,
    pub bytes: usize,
}

impl<K: Hash + Eq, V: Clone> Ages<K, V> {
    pub fn new(most: Most) -> Self {
        Self { young: AHashMap::new(), old: AHashMap::new(), bytes: 0, most }
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = self.old.remove_entry(key)?;
        self.put(key, value.clone(), bytes);
        Some(value)
    }

    /// Remember something that counts for so many octets.
    pub fn put(&mut self, key: K, value: V, bytes: usize) {
        if self.young.len() >= self.most.entries || self.bytes + bytes > self.most.bytes {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if let Some((_, before)) = self.young.insert(key, (value, bytes)) {
            self.bytes -= before;
        }
        self.bytes += bytes;
    }

    /// Entries of both ages, and octets of the younger.
    #[cfg(test)]
    pub fn size(&self) -> (usize, usize) {
        (self.young.len() + self.old.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ages, Most};

    /// However much comes, what is remembered is bounded, and what is used stays.
    #[test]
    fn what_is_remembered_is_bounded() {
        let mut ages = Ages::new(Most { entries: 100, bytes: 10_000 });
        ages.put("used".to_owned(), 7, 4);
        for number in 0..1_000 {
            ages.put(number.to_string(), number, 10);
            assert_eq!(ages.get("used"), Some(7), "{number}");
            assert!(ages.size().0 <= 201 && ages.size().1 <= 10_000);
        }
        assert_eq!(ages.get("1"), None);
        for number in 0..100 {
            ages.put(format!("large {number}"), number, 3_000);
            assert!(ages.size().1 <= 10_000, "{number}");
            assert_eq!(ages.get(&*format!("large {number}")), Some(number));
        }
        assert!(ages.size().0 <= 6);
    }

    /// What comes again counts once.
    #[test]
    fn the_same_again() {
        let mut ages = Ages::new(Most { entries: 10, bytes: 100 });
        for number in 0..50 {
            ages.put("a", number, 60);
            assert_eq!((ages.get("a"), ages.size().1), (Some(number), 60));
        }
    }
}
