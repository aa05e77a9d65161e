//! The board under shuttle: its source is compiled again with shuttle's lock, and every order is tried in which threads may come to it, as far
//! as chance goes that far.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use shuttle::{sync::Condvar, thread};

mod sync {
    pub(super) use shuttle::sync::{Arc, Mutex, MutexGuard};
}

#[path = "board.rs"]
#[expect(clippy::duplicate_mod, reason = "the same source with another lock is what the model is about")]
mod board;

use board::Board;
use sync::{Arc, Mutex};

/// A computation: whether it was stopped, and its answer.
#[derive(Default)]
struct Task {
    state: Mutex<(bool, Option<u64>)>,
    changed: Condvar,
}

struct House {
    board: Arc<Board<&'static str, Arc<Task>>>,
    /// Computations that have answered.
    answered: Arc<Mutex<BTreeSet<u64>>>,
    tasks: Arc<Mutex<Vec<thread::JoinHandle<()>>>>,
}

impl Clone for House {
    fn clone(&self) -> Self {
        Self { board: Arc::clone(&self.board), answered: Arc::clone(&self.answered), tasks: Arc::clone(&self.tasks) }
    }
}

impl House {
    fn new() -> Self {
        Self { board: Arc::default(), answered: Arc::default(), tasks: Arc::default() }
    }

    /// A computation that takes a while, ends unless it was stopped before, and takes itself off the board before it answers.
    fn compute(&self, number: u64, task: &Arc<Task>) {
        thread::yield_now();
        if task.state.lock().unwrap().0 {
            return;
        }
        // From here on it can be stopped no more, as a task that is at its last step.
        thread::yield_now();
        self.board.end(&"key", number);
        self.answered.lock().unwrap().insert(number);
        task.state.lock().unwrap().1 = Some(number);
        task.changed.notify_all();
    }

    fn begin(&self, number: u64) -> Arc<Task> {
        let task = Arc::new(Task::default());
        let (house, its) = (self.clone(), Arc::clone(&task));
        let running = thread::spawn(move || house.compute(number, &its));
        self.tasks.lock().unwrap().push(running);
        task
    }

    /// A caller, who leaves at once or waits for the answer. Returns the number of the computation that answered.
    fn call(&self, leaves: bool) -> Option<u64> {
        let (seat, task) =
            self.board.join("key", |number| self.begin(number), |task| task.state.lock().unwrap().0 = true);
        let stopped = task.state.lock().unwrap().0;
        assert!(!stopped, "joined what is stopped");
        if leaves {
            thread::yield_now();
            drop(seat);
            return None;
        }
        let mut state = task.state.lock().unwrap();
        while state.1.is_none() {
            assert!(!state.0, "stopped while somebody waits");
            state = task.changed.wait(state).unwrap();
        }
        let answer = state.1;
        drop(state);
        drop(seat);
        answer
    }
}

/// Callers of each kind at once, then one more. Shuttle fails a run in which somebody waits for ever.
fn callers(leaving: usize, waiting: usize) {
    let house = House::new();
    let threads: Vec<_> = (0..leaving + waiting)
        .map(|index| {
            let house = house.clone();
            thread::spawn(move || {
                let before = house.answered.lock().unwrap().clone();
                let answer = house.call(index < leaving);
                assert!(answer.is_none_or(|number| !before.contains(&number)), "an answer from before the question");
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let tasks = std::mem::take(&mut *house.tasks.lock().unwrap());
    tasks.into_iter().for_each(|task| task.join().unwrap());
    assert_eq!((house.board.len(), house.board.waiting(&"key")), (0, 0), "something stays on the board");
}

#[test]
fn nobody_joins_what_is_stopped_waits_for_ever_or_gets_an_answer_of_before() {
    let runs = AtomicUsize::new(0);
    let model = move || {
        runs.fetch_add(1, Ordering::Relaxed);
        callers(2, 2);
    };
    shuttle::check_random(model, 20_000);
    shuttle::check_pct(|| callers(3, 2), 5_000, 3);
}

/// Two who wait at the same time share one computation, whoever else has left, and whatever of it is still ending: the computation
/// does not end before both have joined.
#[test]
fn those_who_wait_at_the_same_time_wait_for_the_same() {
    let model = || {
        let house = House::new();
        let joined = Arc::new((Mutex::new(0), Condvar::new()));
        let leaver = house.clone();
        let leaver = thread::spawn(move || leaver.call(true));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (house, joined) = (house.clone(), Arc::clone(&joined));
                thread::spawn(move || {
                    let (seat, task) = house.board.join(
                        "key",
                        |number| slow(&house, &joined, number),
                        |task| task.state.lock().unwrap().0 = true,
                    );
                    *joined.0.lock().unwrap() += 1;
                    joined.1.notify_all();
                    let mut state = task.state.lock().unwrap();
                    while state.1.is_none() {
                        state = task.changed.wait(state).unwrap();
                    }
                    drop(seat);
                    state.1
                })
            })
            .collect();
        leaver.join().unwrap();
        let answers: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        // One that was joined by the leaver first may have ended before the waiters came: then the first of them began the next.
        let tasks = std::mem::take(&mut *house.tasks.lock().unwrap());
        tasks.into_iter().for_each(|task| task.join().unwrap());
        let begun_by_waiters = answers.iter().flatten().filter(|number| **number > 1).collect::<BTreeSet<_>>();
        assert!(begun_by_waiters.len() <= 1, "{answers:?}");
    };
    shuttle::check_random(model, 20_000);
}

/// A computation that does not answer before both waiters have joined something.
fn slow(house: &House, joined: &Arc<(Mutex<u32>, Condvar)>, number: u64) -> Arc<Task> {
    let task = Arc::new(Task::default());
    let (house_, its, joined) = (house.clone(), Arc::clone(&task), Arc::clone(joined));
    let running = thread::spawn(move || {
        let mut count = joined.0.lock().unwrap();
        while *count < 2 {
            count = joined.1.wait(count).unwrap();
        }
        drop(count);
        house_.compute(number, &its);
    });
    house.tasks.lock().unwrap().push(running);
    task
}
