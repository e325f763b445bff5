//! A small cache of pictures fetched from S3, so that a popular picture is fetched once a minute. Not moka, for the
//! reason in services/single_flight.rs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;

/// Total size of the cached pictures in bytes; enough for some hundred.
const CAPACITY: usize = 8 << 20;
/// Upper bound for how long a picture is still served after another instance deleted it.
const MAX_AGE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Recent(Mutex<State>);

#[derive(Default)]
struct State {
    pictures: HashMap<String, Bytes>,
    /// Key, fetch time and length in bytes, oldest first.
    order: VecDeque<(String, Instant, usize)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        let mut state = self.lock();
        state.shrink(Instant::now());
        state.pictures.get(key).cloned()
    }

    pub(super) fn put(&self, key: &str, picture: &Bytes) {
        let mut state = self.lock();
        if picture.len() <= CAPACITY && state.pictures.insert(key.to_owned(), picture.clone()).is_none() {
            state.order.push_back((key.to_owned(), Instant::now(), picture.len()));
            state.bytes += picture.len();
            state.shrink(Instant::now());
        }
    }

    /// Call it when this instance deletes a picture.
    pub(super) fn remove(&self, key: &str) {
        let mut state = self.lock();
        if state.pictures.remove(key).is_some() {
            let removed = state.order.iter().position(|(other, ..)| other == key);
            if let Some((_, _, length)) = removed.and_then(|at| state.order.remove(at)) {
                state.bytes -= length;
            }
        }
    }

    /// Ignores poisoning: a panic leaves the cache as it was before or after the change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shrink(&mut self, now: Instant) {
        while let Some((_, fetched, _)) = self.order.front()
            && (self.bytes > CAPACITY || now.saturating_duration_since(*fetched) > MAX_AGE)
        {
            if let Some((key, _, length)) = self.order.pop_front() {
                self.pictures.remove(&key);
                self.bytes -= length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_its_capacity_and_nothing_for_long() {
        let recent = Recent::default();
        let megabyte = Bytes::from(vec![0; 1 << 20]);
        for n in 0..20 {
            recent.put(&n.to_string(), &megabyte);
        }
        assert_eq!((recent.get("11"), recent.get("12")), (None, Some(megabyte.clone())));
        assert_eq!(recent.lock().bytes, CAPACITY);
        recent.remove("19");
        assert_eq!((recent.get("19"), recent.lock().bytes), (None, CAPACITY - megabyte.len()));
        recent.lock().shrink(Instant::now() + 2 * MAX_AGE);
        let state = recent.lock();
        assert_eq!((state.bytes, state.order.len(), state.pictures.len()), (0, 0, 0));
    }
}
