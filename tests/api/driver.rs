//! A Vulkan driver that ends every process that opens it: compiled here, and loaded by the real loader.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    binary::{Running, glimt, output},
    pictures::png,
};

/// A driver's entry point, called by the loader before anything else.
const ABORTS: &str = "#include <stdlib.h>
int vk_icdNegotiateLoaderICDInterfaceVersion(unsigned *version) { (void)version; abort(); }
";

/// Compiles the driver and describes it to the loader.
fn driver(folder: &Path) -> PathBuf {
    let (source, library, manifest) =
        (folder.join("driver.c"), folder.join("libdriver.so"), folder.join("driver.json"));
    fs::write(&source, ABORTS).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
    assert!(built.success());
    let described = serde_json::json!({
        "file_format_version": "1.0.0",
        "ICD": { "library_path": library, "api_version": "1.3.0" },
    });
    fs::write(&manifest, described.to_string()).unwrap();
    manifest
}

/// Has the loader open this driver and no other.
fn with<'c>(manifest: &Path, command: &'c mut Command) -> &'c mut Command {
    command.env("VK_DRIVER_FILES", manifest).env("VK_ICD_FILENAMES", manifest)
}

/// Whether there is a loader that opens drivers. Says so where there is none; where there must be, that is an error.
fn is_loaded(manifest: &Path) -> bool {
    let opened = output(with(manifest, glimt().args(["probe", "software"])));
    let aborted = opened.status.signal() == Some(6);
    let required = std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(aborted || !required, "the driver was opened and did not abort: {opened:?}");
    if !aborted {
        println!("skipped: no Vulkan loader");
    }
    aborted
}

#[tokio::test]
async fn a_driver_that_aborts_costs_the_server_its_device_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let manifest = driver(folder.path());
    if !is_loaded(&manifest) {
        return;
    }
    let data = folder.path().join("data");
    let server = Running::on(&data, |command| {
        with(&manifest, command.env("GLIMT_BACKEND", "auto"));
    })
    .await;
    let uploaded = server.upload(&png(1, 40, 30)).await;
    server.process("png", &uploaded.file, "thumbnail=16").await.is_image("image/png");
    let log = server.stop().await;
    assert!(log.contains("the driver cannot be opened") && log.contains("signal: 6"), "{log}");

    let named = output(with(&manifest, glimt().arg("--path").arg(&data).args(["--backend", "software"])));
    assert_eq!(named.status.code(), Some(1), "asked for by name it is an error, not a crash: {named:?}");
    let info = output(with(&manifest, glimt().arg("gpu-info")));
    let said = String::from_utf8_lossy(&info.stdout).into_owned();
    assert_eq!(info.status.code(), Some(0), "{info:?}");
    assert!(said.contains("signal: 6") && said.contains("cpu (chosen by auto)"), "{said}");
}

#[test]
fn gpu_info_tells_adapters_choice_and_costs() {
    let info = output(glimt().args(["gpu-info", "--backend", "auto"]));
    let said = String::from_utf8_lossy(&info.stdout).into_owned();
    assert_eq!(info.status.code(), Some(0), "{info:?}");
    assert!(said.starts_with("Adapters\n  ") && said.contains("\nEngine, for --backend auto\n  "), "{said}");
    if std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1") {
        assert!(said.contains("llvmpipe") && said.contains("\n  12 MP thumbnail=256 "), "{said}");
    }
    let missing = output(with(Path::new("/nonexistent.json"), glimt().args(["gpu-info", "--backend", "gpu"])));
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("the gpu engine did not start: no hardware adapter; found: none"), "{said}");
}
