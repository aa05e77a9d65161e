//! How the child shuts itself off. Nothing of it can be taken back.

use std::{collections::BTreeMap, fs, io};

use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Arg, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::Layer;

/// What a child may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Memory beyond what it holds already.
    pub(super) memory_bytes: u64,
    /// Processor time; `None` is not limited.
    pub(super) cpu_secs: Option<u64>,
}

/// Memory beside the picture: the decoder's tables, and what the allocator keeps in hand.
const SLACK_BYTES: u64 = 48 << 20;

/// The newest rules that are known here; an older kernel enforces those that it has.
const RULES: ABI = ABI::V10;

/// Puts up all layers but those that are left out, for good; for each of [`Layer::ALL`] whether it is in force, or in words why not.
pub(super) fn shut(limits: Limits, without: &[Layer]) -> [Result<(), String>; 3] {
    // Asked while there still is a /proc.
    let own_bytes = own_bytes();
    Layer::ALL.map(|layer| {
        if without.contains(&layer) {
            return Err("it was left out".to_owned());
        }
        match layer {
            Layer::Landlock => hide_files(),
            Layer::Limits => match &own_bytes {
                Ok(own_bytes) => bound(limits, *own_bytes).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Layer::Seccomp => forbid_calls(),
        }
    })
}

/// Limits of the process. Memory is what it has now and so much more; a call that would take more fails, and the allocator ends the
/// process.
fn bound(limits: Limits, own_bytes: u64) -> io::Result<()> {
    let at_most = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let memory = own_bytes.saturating_add(limits.memory_bytes).saturating_add(SLACK_BYTES);
    setrlimit(Resource::As, at_most(memory))?;
    if let Some(secs) = limits.cpu_secs {
        setrlimit(Resource::Cpu, at_most(secs))?;
    }
    let none =
        [Resource::Core, Resource::Fsize, Resource::Memlock, Resource::Msgqueue, Resource::Nofile, Resource::Nproc];
    for resource in none {
        setrlimit(resource, at_most(0))?;
    }
    // Neither does it outlive its parent, nor can another process of the same user look into it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Addresses that this process uses already.
fn own_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix("kB"));
    let kibibytes = kibibytes.and_then(|text| text.trim().parse::<u64>().ok());
    kibibytes.map(|kibibytes| kibibytes * 1024).ok_or_else(|| io::Error::other("/proc does not say how large it is"))
}

/// No file system and no network: rules that allow nothing.
fn hide_files() -> Result<(), String> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(RULES)))
        .and_then(|rules| rules.scope(Scope::from_all(RULES)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err(format!("the kernel does not have it ({:?})", status.landlock)),
    }
}

/// The calls that are left. All others fail with `EPERM`: a later C library that tries something new and does without is to lose no
/// picture, and who has taken the decoder over gets as little from a call that fails as from an end.
fn forbid_calls() -> Result<(), String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
    let filter = SeccompFilter::new(
        allowed().map_err(|error| error.to_string())?,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        architecture,
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

/// What decoding needs: memory that is not code, the clock, locks, random numbers for tables, its own end, and two descriptors. Any
/// that the parent may have left open besides are of no use.
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let is = |at, is, value| SeccompCondition::new(at, Arg::Dword, is, value);
    let no_code = || is(2, Is::MaskedEq(u64::from(libc::PROT_EXEC.unsigned_abs())), 0);
    let no_file = is(4, Is::Eq, u64::from(u32::MAX))?;
    let (own, abort) = (u64::from(getpid().as_raw_nonzero().get().unsigned_abs()), libc::SIGABRT.unsigned_abs());
    let mut allowed = BTreeMap::from([
        (libc::SYS_read, vec![SeccompRule::new(vec![is(0, Is::Eq, 0)?])?]),
        (libc::SYS_write, vec![SeccompRule::new(vec![is(0, Is::Eq, 1)?])?, SeccompRule::new(vec![is(0, Is::Eq, 2)?])?]),
        (libc::SYS_mmap, vec![SeccompRule::new(vec![no_code()?, no_file])?]),
        (libc::SYS_mprotect, vec![SeccompRule::new(vec![no_code()?])?]),
        // What the C library ends a process with.
        (libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, Is::Eq, own)?, is(2, Is::Eq, u64::from(abort))?])?]),
    ]);
    let free = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_gettimeofday,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        // A fault is told by taking its handler away and faulting again.
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ];
    allowed.extend(free.map(|call| (call, Vec::new())));
    Ok(allowed)
}
