//! Where options come from, what wins, and what is refused.

use std::io::Write as _;

use clap::Parser as _;

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
    assert_eq!(config.unknown_filters(), ["sepia"]);
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
    assert!(told(&["-p", "/d"], &[("PICTRS_ADDR", "nowhere")]).contains("PICTRS_ADDR"));
    assert!(told(&["-p", "/d"], &[("GLIMT_NO_DOWNLOAD", "maybe")]).contains("GLIMT_NO_DOWNLOAD"));
    assert!(told(&["--config", "/nonexistent.toml"], &[]).contains("/nonexistent.toml"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "max-file-siz = 1").unwrap();
    assert!(told(&["--config", file.path().to_str().unwrap()], &[]).contains("max-file-siz"));
}
