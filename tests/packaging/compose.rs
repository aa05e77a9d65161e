//! docker/compose.yml: both profiles, one image.

use std::{collections::BTreeSet, path::PathBuf};

use glimt::config::Config;

use crate::{is_there, options::asked_of_the_environment, plain, text, top};

/// Lines of a YAML file that say something, each its indent and text. Comments behind a value are not known here.
fn yaml_lines(yaml: &str) -> Vec<(usize, &str)> {
    let lines = yaml.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.map(|line| (line.len() - line.trim_start().len(), line.trim())).collect()
}

/// The lines below `key`, which stands alone on its line (an anchor may follow), at any depth.
fn below<'a>(lines: &'a [(usize, &'a str)], key: &str) -> &'a [(usize, &'a str)] {
    let is_key = |text: &str| text.strip_prefix(key).is_some_and(|rest| rest == ":" || rest.starts_with(": &"));
    let Some(at) = lines.iter().position(|(_, text)| is_key(text)) else { return &[] };
    let rest = &lines[at + 1..];
    let end = rest.iter().position(|(indent, _)| *indent <= lines[at].0).unwrap_or(rest.len());
    &rest[..end]
}

/// The value of `key` among `lines`, at the outermost depth of these.
fn value<'a>(lines: &[(usize, &'a str)], key: &str) -> Option<&'a str> {
    let outer = lines.first()?.0;
    let own = lines.iter().filter(|(indent, _)| *indent == outer);
    own.filter_map(|(_, text)| text.strip_prefix(key)?.strip_prefix(": ")).next()
}

/// The keys among `lines`, at the outermost depth of these.
fn keys<'a>(lines: &[(usize, &'a str)]) -> Vec<&'a str> {
    let outer = lines.first().map_or(0, |line| line.0);
    lines.iter().filter(|line| line.0 == outer).filter_map(|line| line.1.split_once(':').map(|(key, _)| key)).collect()
}

/// Checked: no tabs; each service has one profile, and these are `cpu` and `nvidia`; each takes the shared block, which
/// builds from a Dockerfile that is there, with a context that is the top of the repository; the data's mount point;
/// the port; the names of `GLIMT_*` variables; that a graceful stop has its time. Not checked: that it is YAML, that it
/// is what compose accepts, and whether the devices and capabilities asked for do what is wanted of them.
#[test]
fn compose_has_both_profiles_of_one_image() {
    let yaml = text("docker/compose.yml");
    assert!(!yaml.contains('\t'), "there is a tab in it");
    let lines = yaml_lines(&yaml);

    let services = below(&lines, "services");
    let names = keys(services);
    let mut profiles = BTreeSet::new();
    for name in &names {
        let service = below(services, name);
        assert_eq!(value(service, "<<"), Some("*glimt"), "{name}");
        let profile = value(service, "profiles").unwrap();
        let command = format!("--profile {}", profile.trim_matches(['[', ']']));
        assert!(text("docs/deployment.md").contains(&command), "docs/deployment.md does not say {command}");
        if profile == "[nvidia]" {
            // Without it the container toolkit leaves Vulkan out.
            let capabilities = value(below(service, "environment"), "NVIDIA_DRIVER_CAPABILITIES").unwrap();
            assert!(capabilities.split(',').any(|capability| capability == "graphics"), "{capabilities}");
        }
        profiles.insert(profile);
        assert!(below(service, "build").is_empty(), "{name} is built in a way of its own");
        for variable in keys(below(service, "environment")).iter().filter(|key| key.starts_with("GLIMT_")) {
            assert!(asked_of_the_environment().contains(*variable), "{variable} is not read");
        }
    }
    assert_eq!(names.len(), 2);
    assert_eq!(profiles, BTreeSet::from(["[cpu]", "[nvidia]"]));

    let shared = below(&lines, "x-glimt");
    assert!(yaml.contains("\nx-glimt: &glimt\n"));
    let build = below(shared, "build");
    let context = plain(&top().join("docker").join(value(build, "context").unwrap()));
    assert_eq!(context, top());
    assert!(is_there(&context.join(value(build, "dockerfile").unwrap())));

    let defaults = Config::new(PathBuf::from("/mnt"));
    assert_eq!(below(shared, "volumes")[0].1, "- glimt:/mnt");
    assert!(below(shared, "ports")[0].1.ends_with(&format!(":{}\"", defaults.addr.port())));
    let grace = value(shared, "stop_grace_period").and_then(|text| text.strip_suffix('s')).unwrap();
    assert!(grace.parse::<u64>().unwrap() > defaults.stop_timeout.as_secs());
}

#[test]
fn yaml_is_read_by_its_indents() {
    let lines = yaml_lines("# no: 1\na: &b\n  c: 1\n  d:\n    c: 2\n  e: 3\n\nc: 4\n");
    assert_eq!(keys(&lines), ["a", "c"]);
    assert_eq!(keys(below(&lines, "a")), ["c", "d", "e"]);
    assert_eq!(value(below(&lines, "a"), "c"), Some("1"));
    assert_eq!(value(below(&lines, "d"), "c"), Some("2"));
    assert_eq!(value(below(&lines, "d"), "e"), None);
    assert!(below(&lines, "f").is_empty());
}
