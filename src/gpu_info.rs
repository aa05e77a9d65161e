//! `glimt gpu-info`: the adapters there are, the engine that would be used and why, and where jobs would go. And the probe: what
//! this program does when it is asked to open a device in a process of its own.

use std::{
    ffi::OsString,
    fmt::{self, Write as _},
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::{Options, ProbeOf},
    pixels::{
        Backend, EngineOptions, Engines, Layout, Op, Plan, PlanLimits, Size,
        gpu::{self, Probe, Want, probe},
    },
};

/// Prints what there is and what would be done with it. Fails when the engine asked for cannot be had.
pub fn run(backend: Option<Backend>, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    let configured = || Options::from_env(env).ok().and_then(|options| options.backend);
    let backend = backend.or_else(configured).unwrap_or_default();
    let mut page = String::new();
    // Writing to a string does not fail.
    let outcome = describe(backend, &mut page).unwrap_or(Ok(()));
    let _unseen = io::stdout().write_all(page.as_bytes());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(said) => {
            let _unheard = writeln!(io::stderr(), "{said}");
            ExitCode::FAILURE
        }
    }
}

/// Opens a device, or all drivers, and says on stdout what came of it.
pub fn probe(what: ProbeOf) -> ExitCode {
    let (verdict, said) = match what {
        ProbeOf::Hardware => probe::open(Want::Hardware),
        ProbeOf::Software => probe::open(Want::Software),
        ProbeOf::Adapters => (probe::Verdict::Works, adapters()),
    };
    let told = writeln!(io::stdout(), "{said}");
    match u8::try_from(verdict as i32) {
        Ok(code) if told.is_ok() => ExitCode::from(code),
        Ok(_) | Err(_) => ExitCode::FAILURE,
    }
}

/// Each adapter in two lines.
fn adapters() -> String {
    let lines = gpu::adapters().into_iter().map(|adapter| {
        let kind = adapter.want.map_or_else(|| "not used".to_owned(), |want| want.to_string());
        let caps = adapter.caps;
        format!(
            "{}: {kind}, {}\n  a binding {}, a buffer {}, {} workgroups a dimension",
            adapter.name,
            adapter.driver,
            Bytes(caps.max_binding_bytes),
            Bytes(caps.max_buffer_bytes),
            caps.max_groups
        )
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }
}

fn describe(backend: Backend, page: &mut String) -> Result<Result<(), String>, fmt::Error> {
    let probe = Probe::of_this_program();
    let listed = match probe.as_ref().map(Probe::adapters) {
        Some(Ok(Some(said))) => said,
        Some(Err(error)) => error.to_string(),
        Some(Ok(None)) | None => adapters(),
    };
    writeln!(page, "Adapters\n{}\n", indented(&listed))?;
    let options = EngineOptions { probe, ..EngineOptions::default() };
    let engines = match Engines::start(backend, &options) {
        Ok(engines) => engines,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            return Ok(Err(format!("{error}{}", source.unwrap_or_default())));
        }
    };
    writeln!(page, "Engine, for --backend {backend}\n  {}\n  {}\n", engines.describe(), engines.reason())?;
    // Where no device is used, one that could be shows what it would take.
    let mut weighed = match engines.chosen() {
        Backend::Cpu => Engines::start(Backend::Software, &options).ok(),
        Backend::Auto | Backend::Gpu | Backend::Software => Some(engines),
    };
    if let Some(weighed) = &mut weighed {
        weighed.calibrate();
        table(weighed, page)?;
    }
    Ok(Ok(()))
}

/// What each engine is expected to take for common jobs.
fn table(engines: &Engines, page: &mut String) -> fmt::Result {
    const SIZES: [(&str, Size); 4] = [
        ("0.5 MP", Size::new(816, 612)),
        ("2 MP", Size::new(1632, 1224)),
        ("12 MP", Size::new(4000, 3000)),
        ("50 MP", Size::new(8160, 6120)),
    ];
    const JOBS: [(&str, &[Op]); 4] = [
        ("thumbnail=256", &[Op::fit(256)]),
        ("thumbnail=1024", &[Op::fit(1024)]),
        ("blur=3", &[Op::Blur { sigma: 3.0 }]),
        ("blur=20", &[Op::Blur { sigma: 20.0 }]),
    ];
    let device = engines.chosen();
    writeln!(page, "Expected milliseconds for RGB when nothing waits, from jobs measured just now")?;
    writeln!(page, "  {:<24}{:>10}{:>10}  sooner on", "job", "cpu", device.name())?;
    for (pixels, size) in SIZES {
        for (name, ops) in JOBS {
            let plan = Plan::new(ops, size, &PlanLimits::default()).ok().filter(|plan| !plan.only_moves());
            let Some([cpu, other]) = plan.and_then(|plan| engines.expected_secs(&plan, Layout::Rgb)) else {
                continue;
            };
            let sooner = if other < cpu { device } else { Backend::Cpu };
            let (cpu, other) = (cpu * 1e3, other * 1e3);
            writeln!(page, "  {:<24}{cpu:>10.1}{other:>10.1}  {sooner}", format!("{pixels} {name}"))?;
        }
    }
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Bytes for people: whole mebibytes, rounded down.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}
