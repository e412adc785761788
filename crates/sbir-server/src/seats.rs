//! How many connections each address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of each address.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    most: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place among those of its address.
#[derive(Debug)]
pub(crate) struct Seat {
    of: Option<(IpAddr, Seats)>,
}

impl Seats {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place, unless the address has as many as one may have. This machine's own are not counted.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Seat> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Some(Seat { of: None });
        }
        let mut taken = self.lock();
        let count = taken.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat { of: Some((address, self.clone())) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((address, seats)) = &self.of else { return };
        let mut taken = seats.lock();
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let seats = Seats::new(2);
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = seats.take(one).unwrap();
        let _second = seats.take(one).unwrap();
        assert!(seats.take(one).is_none());
        // The same address as IPv6 writes it.
        assert!(seats.take("::ffff:10.0.0.1".parse().unwrap()).is_none());
        assert!(seats.take(two).is_some());
        drop(first);
        assert!(seats.take(one).is_some());
        assert_eq!(seats.lock().len(), 1);
    }

    #[test]
    fn this_machine_has_as_many_as_it_wants() {
        let seats = Seats::new(1);
        let held: Vec<_> = (0..9).map(|_| seats.take([127, 0, 0, 1].into()).unwrap()).collect();
        assert_eq!((held.len(), seats.lock().len()), (9, 0));
    }
}
