//! Computes how many requests a worker may work on at a time, from how long they queue. Pure: the caller measures.
//!
//! Like CoDel (RFC 8289), it looks at the shortest delay of an interval: a burst leaves moments without a queue, an
//! overload does not. The limit then follows Little's law: half the requests in progress queue half as long.

use std::time::Duration;

/// What an overloaded worker refuses, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Lists and feeds.
    List,
    /// Profiles, and the pages around a single row.
    Profile,
    /// Log-ins, posts and all other changes.
    Write,
}

/// A queue this long is an overload, however few requests are in it.
const OVERLOAD: Duration = Duration::from_millis(250);
/// Target queueing delay during an overload: too short to be noticed, but the worker never lacks work.
const TARGET: Duration = Duration::from_millis(10);
/// From this delay on, even refusals are late and accepted requests miss the 2 s that a visitor waits, so writes are
/// refused as well.
const WRITE_OVERLOAD: Duration = Duration::from_secs(1);
/// Bounds what a sudden flood can queue before the first measurement: 2 s if each request takes 15 ms.
const INITIAL_LIMIT: usize = 128;
/// Twice the database connections of a worker, so that none of them lacks work.
const MIN_LIMIT: usize = 8;
/// Intervals without a refusal after which an overload is over.
const RECOVERY_INTERVALS: u32 = 10;

/// What was measured during one interval.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The shortest queueing delay.
    pub delay: Duration,
    /// The most lists and profiles in progress.
    pub peak: usize,
    pub refused: bool,
}

/// The limit of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    limit: usize,
    /// Intervals since the last sign of an overload.
    calm: u32,
    refuses_writes: bool,
}

impl Default for Controller {
    fn default() -> Controller {
        Controller { limit: INITIAL_LIMIT, calm: RECOVERY_INTERVALS, refuses_writes: false }
    }
}

impl Controller {
    /// Whether a request may start while this many lists and profiles are in progress. Writes are not counted: most of
    /// the time they wait for a password hash or for the client's picture, which does not load the worker.
    pub fn admits(&self, class: Class, in_progress: usize) -> bool {
        match class {
            Class::List => in_progress < self.limit,
            Class::Profile => in_progress < self.limit + self.limit / 2,
            Class::Write => !self.refuses_writes,
        }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn end_interval(&mut self, measured: Measured) {
        let Measured { delay, peak, refused } = measured;
        self.refuses_writes = delay >= WRITE_OVERLOAD;
        self.calm = if refused || delay > OVERLOAD { 0 } else { self.calm.saturating_add(1) };
        if self.calm >= RECOVERY_INTERVALS {
            self.limit = self.limit.max(INITIAL_LIMIT);
        } else if delay > TARGET {
            let fitting = self.limit.min(peak) as f64 * TARGET.as_secs_f64() / delay.as_secs_f64();
            self.limit = (fitting as usize).max(MIN_LIMIT);
        } else if refused {
            self.limit += self.limit / 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const CLASSES: [Class; 3] = [Class::List, Class::Profile, Class::Write];
    const STEP: Duration = Duration::from_micros(100);

    /// A worker that answers one request after the other, in simulated time.
    struct Simulation {
        service: Duration,
        controller: Controller,
        now: Duration,
        /// Class and time of arrival.
        queue: VecDeque<(Class, Duration)>,
        /// Lists and profiles in the queue.
        in_progress: usize,
        /// Time that the worker has for its next request.
        spare: Duration,
        /// Fractions of requests that arrive next, by class.
        arriving: [f64; 3],
        measured: Measured,
        outcome: Outcome,
    }

    #[derive(Default)]
    struct Outcome {
        answered: [u32; 3],
        refused: [u32; 3],
        times: Vec<Duration>,
    }

    const NOTHING: Measured = Measured { delay: Duration::MAX, peak: 0, refused: false };

    impl Simulation {
        fn new(service: Duration) -> Simulation {
            Simulation {
                service,
                controller: Controller::default(),
                now: Duration::ZERO,
                queue: VecDeque::new(),
                in_progress: 0,
                spare: Duration::ZERO,
                arriving: [0.0; 3],
                measured: NOTHING,
                outcome: Outcome::default(),
            }
        }

        /// Lists, profiles and writes arrive at these multiples of what the worker can answer.
        fn run(&mut self, seconds: u64, loads: [f64; 3]) -> Outcome {
            self.outcome = Outcome::default();
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                self.now += STEP;
                for (index, class) in CLASSES.into_iter().enumerate() {
                    self.arriving[index] += loads[index] * STEP.as_secs_f64() / self.service.as_secs_f64();
                    while self.arriving[index] >= 1.0 {
                        self.arriving[index] -= 1.0;
                        self.arrive(class);
                    }
                }
                self.work();
                self.measured.delay = self.measured.delay.min(self.service * self.queue.len() as u32);
                if self.now.as_millis().is_multiple_of(100) && self.now.subsec_micros().is_multiple_of(1000) {
                    self.controller.end_interval(std::mem::replace(&mut self.measured, NOTHING));
                }
            }
            std::mem::take(&mut self.outcome)
        }

        fn arrive(&mut self, class: Class) {
            if self.controller.admits(class, self.in_progress) {
                self.queue.push_back((class, self.now));
                self.in_progress += usize::from(class != Class::Write);
                self.measured.peak = self.measured.peak.max(self.in_progress);
            } else {
                self.outcome.refused[class as usize] += 1;
                self.measured.refused = true;
            }
        }

        fn work(&mut self) {
            self.spare += STEP;
            while self.spare >= self.service {
                let Some((class, arrived)) = self.queue.pop_front() else {
                    self.spare = self.service;
                    return;
                };
                self.spare -= self.service;
                self.in_progress -= usize::from(class != Class::Write);
                self.outcome.answered[class as usize] += 1;
                self.outcome.times.push(self.now - arrived);
            }
        }

        /// Number of requests that the worker can answer in this time.
        fn capacity(&self, seconds: u64) -> f64 {
            Duration::from_secs(seconds).as_secs_f64() / self.service.as_secs_f64()
        }
    }

    fn p99(times: &mut [Duration]) -> Duration {
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }

    /// The same constants for a fast machine, a slow one and a slow database.
    #[test]
    fn at_ten_times_the_load_only_lists_are_refused_and_no_capacity_is_lost() {
        for micros in [100, 1000, 20_000] {
            let mut worker = Simulation::new(Duration::from_micros(micros));
            let loads = [10.0, 0.2, 0.2];
            worker.run(3, loads);
            let mut outcome = worker.run(5, loads);
            let answered: u32 = outcome.answered.iter().sum();
            assert!(f64::from(answered) > 0.95 * worker.capacity(5), "{micros} us: {answered} answered");
            assert_eq!(outcome.refused[1..], [0, 0], "{micros} us");
            assert!(outcome.refused[0] > 8 * answered, "{micros} us");
            let (p99, most) =
                (p99(&mut outcome.times), (2 * TARGET).max(worker.service * 2 * MIN_LIMIT as u32));
            assert!(p99 <= most, "{micros} us: p99 {p99:?}");
        }
    }

    #[test]
    fn profiles_go_before_lists_and_writes_before_both() {
        let mut worker = Simulation::new(Duration::from_millis(1));
        worker.run(2, [5.0, 5.0, 0.5]);
        let outcome = worker.run(5, [5.0, 5.0, 0.5]);
        assert_eq!(outcome.refused[2], 0);
        assert!(outcome.answered[0] < outcome.answered[1] / 20, "{:?}", outcome.answered);
        assert!(f64::from(outcome.answered[1]) > 0.45 * worker.capacity(5), "{:?}", outcome.answered);
    }

    #[test]
    fn all_is_normal_as_soon_as_the_load_is() {
        let mut worker = Simulation::new(Duration::from_millis(1));
        worker.run(5, [10.0, 0.0, 0.0]);
        assert!(worker.controller.limit() < INITIAL_LIMIT);
        let refused = worker.run(2, [0.7, 0.0, 0.1]).refused;
        assert!(refused[0] < 10 && refused[1..] == [0, 0], "only while the queue was full: {refused:?}");
        assert_eq!(worker.controller.limit(), INITIAL_LIMIT);
    }

    #[test]
    fn a_limit_that_a_stall_has_lowered_grows_again_under_load() {
        let mut worker = Simulation::new(Duration::from_micros(100));
        let stall = Duration::from_millis(900);
        worker.controller.end_interval(Measured { delay: stall, peak: 100, refused: false });
        assert_eq!(worker.controller.limit(), MIN_LIMIT);
        worker.run(2, [10.0, 0.0, 0.0]);
        assert!(worker.controller.limit() > 5 * MIN_LIMIT, "{:?}", worker.controller);
    }

    #[test]
    fn neither_a_burst_nor_a_short_queue_is_an_overload() {
        let mut worker = Simulation::new(Duration::from_micros(500));
        for _ in 0..INITIAL_LIMIT / 2 {
            worker.arrive(Class::List);
        }
        assert_eq!(worker.run(5, [0.8, 0.0, 0.0]).refused, [0, 0, 0]);
        let mut controller = Controller::default();
        for _ in 0..100 {
            controller.end_interval(Measured { delay: OVERLOAD, peak: 100, refused: false });
        }
        assert!(controller.admits(Class::List, 100));
    }

    #[test]
    fn writes_are_refused_when_even_they_cannot_be_answered_and_until_they_can() {
        let mut worker = Simulation::new(Duration::from_millis(1));
        let outcome = worker.run(10, [1.0, 1.0, 3.0]);
        assert!(outcome.refused[2] > 0, "{:?}", outcome.refused);
        let longest = outcome.times.iter().max().unwrap();
        assert!(*longest < Duration::from_secs(4), "{longest:?}");
        worker.run(4, [0.0, 0.0, 0.5]);
        assert_eq!(worker.run(2, [0.2, 0.2, 0.5]).refused, [0, 0, 0]);
    }
}
