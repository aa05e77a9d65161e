//! A router among engines whose true costs it does not know.

use proptest::prelude::*;

use super::*;

/// A cpu engine and a device as they truly are. `wrong` is how far off the lines of the start are.
struct World {
    truth: [Line; 2],
    router: Router,
}

fn job(pixels: u64, taps: u64, channels: u64) -> Work {
    Work {
        source_pixels: pixels,
        channels,
        multiply_adds: pixels * taps,
        output_pixels: pixels / 20 + 1,
        up_bytes: pixels * channels,
        down_bytes: (pixels / 20 + 1) * 4,
    }
}

fn mixed() -> impl Iterator<Item = Work> {
    let mut state = 3_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    std::iter::from_fn(move || {
        let pixels = 20_000 << random(10);
        Some(job(pixels + random(pixels), [6, 14, 30, 60][usize::try_from(random(4)).unwrap()], 3 + random(2)))
    })
}

impl World {
    fn new(truth: [Line; 2], wrong: [f64; 2]) -> Self {
        let [cpu, device] = truth;
        let off = |line: Line, by: f64| Line { secs: line.secs.map(|secs| secs * by) };
        Self { truth, router: Router::new([off(cpu, wrong[0]), off(device, wrong[1])]) }
    }

    fn secs(&self, engine: Engine, work: &Work) -> f64 {
        of(&self.truth, engine).secs(&work.parts(engine))
    }

    /// Seconds for jobs one after the other: as routed, all on cpu, all on the device.
    fn run(&self, jobs: impl Iterator<Item = Work>) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for work in jobs {
            let ticket = self.router.choose(&work);
            let took = self.secs(ticket.choice().engine, &work);
            ticket.done(Duration::from_secs_f64(took));
            let [routed, cpu, device] = &mut sums;
            *routed += took;
            *cpu += self.secs(Engine::Cpu, &work);
            *device += self.secs(Engine::Device, &work);
        }
        sums
    }
}

/// About what SIMD on a core does.
const CPU: Line = Line { secs: [2e-5, 5e-10, 1e-10, 2e-9] };

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_a_mixed_load_it_is_never_a_tenth_slower_than_the_better_engine(
        latency in 1e-5_f64..5e-3,
        bytes in -11.0_f64..-8.0,
        adds in -12.0_f64..-9.0,
        wrong_cpu in -0.7_f64..0.7,
        wrong_device in -0.7_f64..0.7,
    ) {
        let device = Line { secs: [latency, 10_f64.powf(bytes), 10_f64.powf(adds), 10_f64.powf(bytes)] };
        // Lines up to five times off in either direction.
        let world = World::new([CPU, device], [10_f64.powf(wrong_cpu), 10_f64.powf(wrong_device)]);
        let [routed, cpu, device] = world.run(mixed().take(4000));
        prop_assert!(routed <= 1.1 * cpu.min(device), "{routed} {cpu} {device}");
    }
}

#[test]
fn without_corrections_it_would_be() {
    // The control: a device that is said to be ten times as fast as it is, and nothing learnt.
    let device = Line { secs: [1e-4, 1e-9, 1e-9, 1e-9] };
    let world = World::new([CPU, device], [1.0, 0.1]);
    let (mut routed, mut cpu) = (0.0, 0.0);
    for work in mixed().take(4000) {
        // Dropped at once: nothing is learnt.
        let engine = world.router.choose(&work).choice().engine;
        routed += world.secs(engine, &work);
        cpu += world.secs(Engine::Cpu, &work);
    }
    assert!(routed > 1.1 * cpu, "{routed} {cpu}");
}

#[test]
fn a_device_that_has_work_gets_no_more_than_it_does_sooner() {
    let device = Line { secs: [0.0, 0.0, 6e-11, 0.0] };
    let router = Router::new([Line { secs: [0.0, 0.0, 1e-10, 0.0] }, device]);
    let work = job(1_000_000, 10, 1);
    let sent: Vec<Ticket<'_>> = (0..4).map(|_| router.choose(&work)).collect();
    let engines: Vec<Engine> = sent.iter().map(|ticket| ticket.choice().engine).collect();
    // Alone 0.6 ms against 1 ms; the second would wait and be done after 1.2 ms.
    assert_eq!(engines, [Engine::Device, Engine::Cpu, Engine::Cpu, Engine::Cpu]);
    for ticket in sent {
        let took = Duration::from_secs_f64(ticket.choice().expected_secs);
        ticket.done(took);
    }
    assert_eq!(router.choose(&work).choice().engine, Engine::Device, "it is free again");
}

#[test]
fn an_engine_that_became_faster_is_found_out() {
    let slow = Line { secs: [0.0, 0.0, 2e-10, 0.0] };
    let world = World::new([Line { secs: [0.0, 0.0, 1e-10, 0.0] }, slow], [1.0, 1.0]);
    let work = job(1_000_000, 10, 1);
    world.run(std::iter::repeat_n(work, 200));
    assert_eq!(world.router.choose(&work).choice().engine, Engine::Cpu);
    let faster = World { truth: [world.truth[0], Line { secs: [0.0, 0.0, 2e-11, 0.0] }], router: world.router };
    faster.run(std::iter::repeat_n(work, 2000));
    assert_eq!(faster.router.choose(&work).choice().engine, Engine::Device);
}

#[test]
fn what_was_decided_can_be_read() {
    let world = World::new([CPU, Line { secs: [1e-3, 1e-10, 1e-12, 1e-10] }], [1.0, 1.0]);
    assert!(world.router.decisions().is_empty());
    world.run([job(30_000, 6, 3), job(12_000_000, 60, 3), job(12_000_000, 60, 3)].into_iter());
    let decisions = world.router.decisions();
    let told: Vec<(&str, [u64; 2])> = decisions.iter().map(|its| (its.kind.as_str(), its.jobs)).collect();
    assert_eq!(told, [("up to 0.06 MP, up to 12 taps a pixel", [1, 0]), ("up to 16 MP, over 40 taps a pixel", [0, 2])]);
    assert!(decisions[0].corrections[1].is_none() && decisions[0].last_secs[0].is_some());
    let correction = decisions[1].corrections[1].unwrap();
    assert!((correction - 1.0).abs() < 1e-6, "the line was right: {correction}");
}
