//! Where options come from, what wins, and what is refused.

use std::io::Write as _;

use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::{cli::Cli, pixels::EngineOptions};

fn resolve(args: &[&str], env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let cli = Cli::try_parse_from(std::iter::once("glimt").chain(args.iter().copied())).unwrap();
    Config::resolve(cli.options, &|name| {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = resolve(&["--path", "/data"], &[]).unwrap();
    assert_eq!(config.addr.to_string(), "0.0.0.0:8080");
    assert_eq!(config.max_file_size_bytes, 40 * 1024 * 1024);
    assert!(config.format.is_none() && config.whitelist.is_none() && config.api_key.is_none());
    assert!(!config.skip_validate_imports && config.download);
    assert_eq!(config.vram_budget_bytes, EngineOptions::default().max_device_bytes);
}

#[test]
fn the_vram_budget_is_read_from_everywhere_in_mebibytes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "path = '/file'\nvram-budget = 16").unwrap();
    let file = ("GLIMT_CONFIG", file.path().to_str().unwrap());
    let budget = |args: &[&str], env: &[(&str, &str)]| resolve(args, env).unwrap().vram_budget_bytes;
    assert_eq!(budget(&[], &[file]), 16 * MEBIBYTE);
    assert_eq!(budget(&[], &[file, ("GLIMT_VRAM_BUDGET", "300")]), 300 * MEBIBYTE);
    assert_eq!(budget(&["--vram-budget", "1048576"], &[file, ("GLIMT_VRAM_BUDGET", "300")]), 1 << 40);
}

#[test]
fn encoders_are_read_from_everywhere() {
    use crate::domain::{Chroma, Effort};
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "path = '/file'\njpeg-quality = 1\njpeg-chroma = '444'\npng-effort = 'small'").unwrap();
    let env = [("GLIMT_CONFIG", file.path().to_str().unwrap()), ("GLIMT_WEBP_EFFORT", "fast")];
    let encoders = resolve(&["--webp-quality", "100", "--jpeg-effort", "small"], &env).unwrap().encoders;
    assert_eq!((encoders.jpeg.quality.get(), encoders.webp.quality.get()), (1, 100));
    assert_eq!((encoders.jpeg.effort, encoders.webp.effort), (Effort::Small, Effort::Fast));
    assert_eq!((encoders.jpeg.chroma, encoders.png.effort), (Chroma::Full, Effort::Small));
    assert_eq!(resolve(&["-p", "/d"], &[]).unwrap().encoders, Encoders::default());
    for got in ["0", "101"] {
        let told = resolve(&["-p", "/d", "--webp-quality", got], &[]).unwrap_err().to_string();
        assert_eq!(told, format!("webp-quality is {got}, it must be between 1 and 100"));
    }
    assert!(resolve(&["-p", "/d"], &[("GLIMT_JPEG_CHROMA", "422")]).is_err());
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "path = '/file'\nmax-file-size = 1\nformat = 'png'\nqueue = 3").unwrap();
    let file = file.path().to_str().unwrap();
    let env = [("GLIMT_CONFIG", file), ("PICTRS_MAX_FILE_SIZE", "2"), ("PICTRS_FORMAT", "webp")];
    let config = resolve(&["-m", "3"], &env).unwrap();
    assert_eq!(config.max_file_size_bytes, 3 * MEBIBYTE);
    assert_eq!(config.format, Some(OutputFormat::Webp));
    assert_eq!(config.queue, 3);
    assert_eq!(config.path, PathBuf::from("/file"));
    assert_eq!(config.stop_timeout, Duration::from_secs(20));
}

#[test]
fn our_prefix_beats_the_old_one_and_an_empty_variable_is_not_given() {
    let env = [("PICTRS_PATH", "/old"), ("GLIMT_PATH", "/new"), ("GLIMT_ADDR", ""), ("PICTRS_ADDR", "[::1]:1")];
    let config = resolve(&[], &env).unwrap();
    assert_eq!(config.path, PathBuf::from("/new"));
    assert_eq!(config.addr.to_string(), "[::1]:1");
}

#[test]
fn whitelists_are_split_and_unknown_names_are_told() {
    let env = [("PICTRS_PATH", "/d"), ("PICTRS_FILTER_WHITELIST", "identity, thumbnail sepia")];
    let config = resolve(&[], &env).unwrap();
    assert_eq!(config.whitelist.clone().unwrap().into_iter().collect::<Vec<_>>(), ["identity", "sepia", "thumbnail"]);
    assert_eq!(config.unknown_filters(), [("sepia", None)]);
    let config = resolve(&["-p", "/d", "-w", "thumbnial"], &[]).unwrap();
    assert_eq!(config.unknown_filters(), [("thumbnial", Some("thumbnail"))]);
    let config = resolve(&["-w", "thumbnail", "blur", "-p", "/d"], &[]).unwrap();
    assert_eq!(config.whitelist.unwrap().len(), 2);
}

#[test]
fn an_empty_api_key_enables_nothing_and_a_key_is_never_printed() {
    assert!(resolve(&["-p", "/d", "--api-key", ""], &[]).unwrap().api_key.is_none());
    let config = resolve(&["-p", "/d"], &[("PICTRS_API_KEY", "hunter2")]).unwrap();
    assert!(config.api_key.as_ref().unwrap().matches(b"hunter2"));
    assert!(!config.api_key.as_ref().unwrap().matches(b"hunter3"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn an_api_key_may_stand_in_a_file_of_its_own() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let args = ["-p", "/d", "--api-key-file", &path];
    assert!(resolve(&args, &[]).unwrap_err().to_string().contains("is empty"));
    writeln!(file, "hunter 2").unwrap();
    let config = resolve(&args, &[]).unwrap();
    assert!(config.api_key.as_ref().unwrap().matches(b"hunter 2"), "without its line's end");
    let told = resolve(&args, &[("PICTRS_API_KEY", "x")]).unwrap_err().to_string();
    assert!(told.starts_with("both api-key and api-key-file"), "{told}");
    let told = resolve(&["-p", "/d"], &[("GLIMT_API_KEY_FILE", "/nonexistent.key")]).unwrap_err().to_string();
    assert!(told.contains("/nonexistent.key"), "{told}");
}

#[test]
fn what_is_wrong_is_named() {
    let told = |args: &[&str], env: &[(&str, &str)]| resolve(args, env).unwrap_err().to_string();
    assert!(told(&[], &[]).contains("--path"));
    assert_eq!(told(&["-p", "/d", "-m", "0"], &[]), "max-file-size is 0, it must be between 1 and 4096");
    for (got, said) in [("15", "15, it must be between 16 and 1048576"), ("1048577", "1048577, it must be")] {
        assert!(told(&["-p", "/d", "--vram-budget", got], &[]).starts_with(&format!("vram-budget is {said}")));
    }
    for (given, missing) in [("tls-cert", "tls-key"), ("tls-key", "tls-cert")] {
        let half = told(&["-p", "/d", &format!("--{given}"), "x.pem"], &[]);
        assert_eq!(half, format!("{given} is given without {missing}"));
    }
    for (got, right) in [
        ("https://a.example/", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("a.example", "https://example.org"),
        ("ftp://a.example", "https://example.org"),
    ] {
        let wrong = told(&["-p", "/d", "--cors-origin", "*", got], &[]);
        assert_eq!(wrong, format!("cors-origin has {got:?}, it must be * or an origin as {right}"));
    }
    assert!(told(&["-p", "/d"], &[("PICTRS_ADDR", "nowhere")]).contains("PICTRS_ADDR"));
    assert!(told(&["-p", "/d"], &[("GLIMT_NO_DOWNLOAD", "maybe")]).contains("GLIMT_NO_DOWNLOAD"));
    assert!(told(&["--config", "/nonexistent.toml"], &[]).contains("/nonexistent.toml"));
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{text}").unwrap();
    file
}

fn told_of_file(text: &str) -> String {
    let file = file(text);
    let path = file.path().to_str().unwrap();
    let told = resolve(&["-p", "/d", "--config", path], &[]).unwrap_err().to_string();
    told.strip_prefix(&format!("the configuration file {path} is not right: ")).unwrap().to_owned()
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line_and_what_may_be_meant() {
    assert_eq!(
        told_of_file("path = '/d'\n\n# x\nmax-file-siz = 1\nqueue = 2\nTLS_CERT = 'x'\n[server]\nport = 1"),
        "line 4: \"max-file-siz\" is no option; the nearest is max-file-size; \
         line 6: \"TLS_CERT\" is no option; the nearest is tls-cert; line 7: \"server\" is no option"
    );
    // Asked for where the file is named, and not in it.
    assert!(told_of_file("config = 'x'").starts_with("line 1: \"config\" is no option"));
    for (line, said) in [
        ("backend = 'sofware'", "\"sofware\" is none of auto, gpu, software, cpu; the nearest is software"),
        ("png-effort = 'FAST'", "\"FAST\" is none of fast, balanced, small; the nearest is fast"),
        ("jpeg-chroma = '44'", "\"44\" is none of auto, 420, 444; the nearest is 444"),
        ("format = 'wepb'", "\"wepb\" is none of jpg, png, webp; the nearest is webp"),
        ("compat = '0.6'", "\"0.6\" is none of 0.2, 0.5; the nearest is 0.2"),
        ("sandbox = 'onn'", "\"onn\" is none of auto, on, off; the nearest is on"),
        ("queue = 'many'", "expected i64"),
        ("queue = ", "TOML parse error at line 2, column 9"),
    ] {
        let told = told_of_file(&format!("path = '/d'\n{line}\n"));
        assert!(told.contains(said) && told.contains("line 2"), "{line}: {told}");
    }
    for line in ["signing-key = 271828", "api-key = 271828", "api-key = \"hunter2", "api-key = ['hunter2']"] {
        let told = told_of_file(&format!("path = '/d'\n{line}\n"));
        assert_eq!(told, "line 2: what is given there is no text in quotes");
    }
}

/// Options that are numbers, by what the help calls their value.
fn numbers() -> Vec<String> {
    let command = Cli::command();
    let is_number = |arg: &&clap::Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|name| ["N", "MB", "MP", "PX", "MIB", "SECS", "MS", "HOURS"].contains(&name.as_str()))
    };
    command.get_arguments().filter(is_number).filter_map(clap::Arg::get_long).map(str::to_owned).collect()
}

#[test]
fn a_number_that_no_option_takes_is_told_with_option_value_and_limits() {
    let numbers = numbers();
    assert!(numbers.len() >= 25, "{numbers:?}");
    for long in numbers {
        for got in ["-1", "4611686018427387904"] {
            let variable = format!("GLIMT_{}", long.replace('-', "_").to_uppercase());
            let file = file(&format!("{long} = {got}"));
            let flag = resolve(&["-p", "/d", &format!("--{long}"), got], &[]);
            let variable = resolve(&["-p", "/d"], &[(&variable, got)]);
            let filed = resolve(&["-p", "/d", "--config", file.path().to_str().unwrap()], &[]);
            for refused in [flag, variable, filed] {
                let told = refused.unwrap_err().to_string();
                let said = told
                    .strip_prefix(&format!("{long} is {got}, it must be between "))
                    .unwrap_or_else(|| panic!("{told}"));
                let (min, max) = said.split_once(" and ").unwrap();
                assert!(min.parse::<u64>().unwrap() < max.parse::<u64>().unwrap(), "{told}");
            }
        }
        let variable = format!("GLIMT_{}", long.replace('-', "_").to_uppercase());
        let told = resolve(&["-p", "/d"], &[(&variable, "lots")]).unwrap_err().to_string();
        assert!(told.starts_with(&format!("the environment variable {variable} cannot be read: \"lots\": ")), "{told}");
    }
}

/// Every option, with a value that is not its default.
const OTHERS: &str = "
addr = '127.0.0.1:1'\npath = '/data \"1\"'\nformat = 'webp'\nmax-file-size = 1\nwhitelist = ['blur', 'quality']
skip-validate-imports = true\ncompat = '0.5'\nbackend = 'cpu'\njpeg-quality = 1\njpeg-effort = 'small'\njpeg-chroma = '444'
png-effort = 'balanced'\nwebp-quality = 2\nwebp-effort = 'fast'\navif-quality = 3\navif-effort = 'small'
avif-budget-millis = 4\nmax-pixels = 5\nmax-side = 6\nmax-frames = 7\nmax-animation-pixels = 8\nmax-decoded-size = 65
max-metadata-size = 10\nsandbox = 'off'\nworkers = 11\nworker-nice = 12\nqueue = 13\nmax-wait = 14\nmemory-limit = 66
vram-budget = 67\ncache-size = 15\nhot-cache = 16\ncache-age = 17\nproxy-size = 18\nrequest-timeout = 19
variants-per-picture = 20\nvariants-per-sec = 21\nmax-connections = 22\nkeep-alive-timeout = 23\ntls-cert = 'c.pem'
tls-key = 'k.pem'\nmax-requests = 24\nmax-uploads = 25\ndownload-allow = ['10.1.0.0/16']\nno-download = true
stop-timeout = 26
no-ui = true
read-only = true
metrics-addr = '127.0.0.1:2'
cors-origin = ['https://a.example']
opentelemetry-url = 'http://localhost:4318'
remote-age = 27
external-validation = 'http://localhost:8076'
external-validation-timeout = 28
log-format = 'json'
only-presets = true
require-signature = true
preset = { avatar = 'thumbnail=64&format=webp', b = '' }
";

fn effective(args: &[&str], env: &[(&str, &str)]) -> Effective {
    let cli = Cli::try_parse_from(std::iter::once("glimt").chain(args.iter().copied())).unwrap();
    let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    Effective::of(cli.options, &lookup).unwrap()
}

#[test]
fn what_is_printed_gives_the_same_configuration_again() {
    let keys = file("a key of sixteen bytes\n");
    let others = file(&format!("{OTHERS}signing-key-file = {:?}\n", keys.path()));
    let others = others.path().to_str().unwrap();
    let all_defaults = format!("{:?}", resolve(&["-p", "/d"], &[]).unwrap());
    for args in [&["-p", "/d"][..], &["--config", others], &["-p", "/d", "-w"], &["-p", "/d", "--memory-limit", "100"]]
    {
        let args = if args.ends_with(&["-w"]) { &["-p", "/d", "--whitelist="][..] } else { args };
        let printed = effective(args, &[]).to_string();
        let again = file(&printed);
        let again = resolve(&["--config", again.path().to_str().unwrap()], &[]).unwrap();
        assert_eq!(format!("{again:?}"), format!("{:?}", resolve(args, &[]).unwrap()), "{printed}");
    }
    // Nothing of it was forgotten: every option is another than the default.
    let (defaults, other) =
        (effective(&["-p", "/d"], &[]).to_string(), effective(&["--config", others], &[]).to_string());
    assert!(!all_defaults.is_empty());
    for (a, b) in defaults.lines().zip(other.lines()) {
        let value = |line: &str| line.split(" #").next().unwrap().trim().to_owned();
        let is_key = a.starts_with("#api-key") || a.starts_with("#signing-key ");
        assert_eq!(value(a) == value(b), is_key, "{a} | {b}");
        assert_eq!(b.contains("# file: "), !is_key, "{b}");
        assert_eq!(a.contains("# flag"), a.starts_with("path"), "{a}");
    }
}

#[test]
fn each_value_is_told_with_where_it_came_from_and_no_secret_is() {
    let filed = file("queue = 3\nmax-wait = 4\nformat = 'png'\napi-key = 'hunter1'\n");
    let path = filed.path().to_str().unwrap();
    let env = [
        ("GLIMT_CONFIG", path),
        ("GLIMT_ADDR", ""),
        ("PICTRS_ADDR", "[::1]:1"),
        ("PICTRS_PATH", "/old"),
        ("GLIMT_PATH", "/new"),
        ("GLIMT_MAX_WAIT", "5"),
        ("PICTRS_API_KEY", "hunter2"),
        ("GLIMT_SIGNING_KEY", "hunter-of-sixteen-bytes,hunter-of-sixteen-bytes-2"),
        ("GLIMT_PRESET", "small=thumbnail=64 soft=blur=3"),
    ];
    let effective = effective(&["--format", "webp"], &env);
    let of = |key: &str| effective.source(key).unwrap().to_string();
    assert_eq!(of("addr"), "environment: PICTRS_ADDR");
    assert_eq!(of("path"), "environment: GLIMT_PATH");
    assert_eq!(of("max-wait"), "environment: GLIMT_MAX_WAIT");
    assert_eq!(of("api-key"), "environment: PICTRS_API_KEY");
    assert_eq!((of("queue"), of("format")), (format!("file: {path}"), "flag".to_owned()));
    assert_eq!(of("workers"), "default");
    let printed = effective.to_string();
    assert!(!printed.contains("hunter"), "{printed}");
    let line =
        |begin: &str| printed.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{printed}"));
    assert_eq!(line("max-wait"), format!("{:36} # environment: GLIMT_MAX_WAIT", "max-wait = 5"));
    assert_eq!(line("#api-key "), format!("{:36} # environment: PICTRS_API_KEY", "#api-key = \"(hidden)\""));
    assert!(line("#signing-key ").contains("[\"(hidden)\", \"(hidden)\"]"), "{printed}");
    assert!(line("preset").starts_with("preset = { small = \"thumbnail=64\", soft = \"blur=3\" }"), "{printed}");
    assert_eq!(line("#tls-cert"), format!("{:36} # not set", "#tls-cert ="));
    assert!(!Effective::of(Options::default(), &|_| None).unwrap().has_path());
}
