//! An operator who decides which variants are made.

use glimt::{
    config::Config,
    domain::{Preset, Secret},
    service::signing::Signing,
};
use tempfile::TempDir;

use crate::{
    app::App,
    binary::{Running, glimt, output},
    pictures::{decoded, jpeg, png},
};

const KEY: &str = "a key that nobody guesses";

fn with_presets(config: &mut Config) {
    for (name, query) in
        [("avatar", "cover=40x40&format=webp"), ("small", "thumbnail=50"), ("plain", "format=png&blur=2")]
    {
        config.presets.insert(name.to_owned(), Preset::parse(query).unwrap());
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signing() -> Signing {
    Signing::new(vec![Secret::from(KEY)])
}

#[tokio::test]
async fn a_preset_is_a_short_name_for_a_variant() {
    let app = App::with(with_presets).await;
    let uploaded = app.upload(&jpeg(1, 300, 200)).await;
    let avatar = app.get(&format!("/image/preset/avatar/{}", uploaded.file)).await;
    avatar.is_image("image/webp");
    let same = app.process("webp", &uploaded.file, "cover=40x40").await;
    assert_eq!((avatar.header("etag"), &avatar.body), (same.header("etag"), &same.body));
    let small = app.get_with(&format!("/image/preset/small/{}", uploaded.file), &[("accept", "image/webp")]).await;
    assert_eq!(small.header("vary"), "accept");
    assert_eq!(decoded(&small.body).width(), 50);
    let said = app.get(&format!("/image/preset/large/{}", uploaded.file)).await.error(404);
    assert!(said.contains("\"large\"") && said.contains("avatar, plain, small"), "{said}");
    app.get("/image/preset/avatar/nothere.png").await.error(404);
    app.send("DELETE", &format!("/image/preset/avatar/{}", uploaded.file)).await.error(405);
    app.stop().await;
    let none = App::start().await;
    assert!(none.get("/image/preset/x/y.png").await.error(404).contains("there are none"));
    none.stop().await;
}

#[tokio::test]
async fn only_what_presets_make_is_made() {
    let app = App::with(|config| {
        with_presets(config);
        config.only_presets = true;
    })
    .await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    app.get(&format!("/image/preset/avatar/{}", uploaded.file)).await.is_image("image/webp");
    // The same by its long name, however it is spelt; a preset without a format in all of them.
    app.process("webp", &uploaded.file, "blur=0&cover=40x40").await.is_image("image/webp");
    for extension in ["png", "jpg", "webp"] {
        let small = app.process(extension, &uploaded.file, "thumbnail=50").await;
        assert_eq!(decoded(&small.body).width(), 50);
    }
    for (extension, query) in
        [("png", "cover=40x40"), ("webp", "cover=41x40"), ("webp", "thumbnail=50&quality=9"), ("jpg", "")]
    {
        let path = format!("/image/process.{extension}?src={}&{query}", uploaded.file);
        // Twice: nothing of it is in memory after the first.
        for _ in 0..2 {
            let said = app.get(&path).await.error(403);
            assert!(said.contains("only: /image/preset/<name>/<file> with one of avatar, plain, small"), "{said}");
        }
    }
    app.original(&uploaded.file).await.is_image("image/png");
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_signed_is_not_made() {
    let app = App::with(|config| {
        with_presets(config);
        config.require_signature = true;
        config.signing_keys = vec![Secret::from(KEY)];
    })
    .await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let path = format!("/image/process.webp?src={}&thumbnail=77", uploaded.file);
    let said = app.get(&path).await.error(403);
    assert!(said.contains("signature="), "{said}");
    let signed = signing().sign(&path, None).unwrap();
    app.get(&signed).await.is_image("image/webp");
    // It is in memory by now: unsigned it is refused all the same, and signed it is a hit.
    app.get(&path).await.error(403);
    app.get(&signed).await.is_image("image/webp");
    app.get(&format!("/{signed}")).await.is_image("image/webp");
    app.get(&signed.replace("77", "78")).await.error(403);
    let said = app.get(&signing().sign(&path, Some(1_000_000)).unwrap()).await.error(403);
    assert!(
        said.contains("counted until 1000000, it is 17") || said.contains("counted until 1000000, it is 18"),
        "{said}"
    );
    app.get(&signing().sign(&path, Some(4_000_000_000)).unwrap()).await.is_image("image/webp");
    // Presets and originals need none.
    app.get(&format!("/image/preset/avatar/{}", uploaded.file)).await.is_image("image/webp");
    app.original(&uploaded.file).await.is_image("image/png");
    // What is signed and wrong is told why.
    let wrong = signing().sign(&path.replace("77", "big"), None).unwrap();
    assert!(app.get(&wrong).await.error(400).contains("thumbnail=big"));
    app.stop().await;
}

#[tokio::test]
async fn a_signature_opens_what_presets_close() {
    let app = App::with(|config| {
        with_presets(config);
        config.only_presets = true;
        config.signing_keys = vec![Secret::from("another key"), Secret::from(KEY)];
    })
    .await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let path = format!("/image/process.png?src={}&thumbnail=33", uploaded.file);
    app.get(&path).await.error(403);
    let signed = app.get(&signing().sign(&path, None).unwrap()).await;
    assert_eq!(decoded(&signed.body).width(), 33);
    app.stop().await;
}

/// The key in a file, with the one before it, as an operator would have it.
fn in_a_file(data: &std::path::Path) -> std::path::PathBuf {
    let file = data.join("keys");
    std::fs::write(&file, format!("{KEY}\nthe key of last year\n")).unwrap();
    file
}

#[tokio::test]
async fn the_program_signs_what_it_serves() {
    let data = TempDir::new().unwrap();
    let keys = in_a_file(data.path());
    let toml = data.path().join("glimt.toml");
    let text = format!(
        "require-signature = true\nsigning-key-file = {:?}\n[preset]\nthumb = \"thumbnail=20&format=png\"\n",
        keys.to_str().unwrap()
    );
    std::fs::write(&toml, text).unwrap();
    let server = Running::on(&data.path().join("data"), |command| {
        command.arg("--config").arg(&toml);
    })
    .await;
    let uploaded = server.upload(&png(1, 90, 60)).await;
    assert_eq!(decoded(&server.get(&format!("/image/preset/thumb/{}", uploaded.file)).await.body).width(), 20);
    let path = format!("/image/process.png?src={}&thumbnail=30", uploaded.file);
    server.get(&path).await.error(403);
    let sign = |args: &[&str]| {
        let run = output(glimt().arg("sign").args(args));
        (run.status.success(), text_of(&run.stdout), text_of(&run.stderr))
    };
    let (well, signed, _) = sign(&[&path, "--config", toml.to_str().unwrap(), "--expires-in", "15m"]);
    assert!(well && signed.contains("&expires="), "{signed}");
    assert_eq!(decoded(&server.get(signed.trim()).await.body).width(), 30);
    // A whole URL comes back as one; the key of last year is still good.
    let url = format!("https://pictures.example{path}");
    let (well, signed, _) = sign(&[&url, "--signing-key", "the key of last year"]);
    let signed = signed.trim().strip_prefix("https://pictures.example").unwrap().to_owned();
    assert!(well && !signed.contains("expires"));
    assert_eq!(decoded(&server.get(&signed).await.body).width(), 30);
    server.stop().await;
    for (args, said) in [
        (&["image/process.png"][..], "is no path"),
        (&[&*path], "there is no key to sign with"),
        (&[&*path, "--signing-key", "short"], "a signing key has 5 bytes, it must have 16 at least"),
        (&[&*path, "--signing-key-file", "/nonexistent"], "/nonexistent with a key cannot be read"),
        (&[&*path, "--expires-in", "1w"], "\"1w\" is no time"),
        (&["https://pictures.example", "--signing-key", KEY], "is no path"),
    ] {
        let (well, _, error) = sign(args);
        assert!(!well && error.contains(said) && !error.contains("short"), "{args:?}: {error}");
    }
}

#[test]
fn what_makes_no_sense_is_told_before_anything_starts() {
    let data = TempDir::new().unwrap();
    let path = data.path().to_str().unwrap();
    for (args, said) in [
        (&["--only-presets"][..], "only-presets is given without a preset"),
        (&["--require-signature"], "require-signature is given without signing-key"),
        (&["--preset", "a=thumnail=9"], "the preset \"a\" is not right: \"thumnail\" is no filter"),
        (&["--preset", "a b=blur=9"], "a name has 1 to 64 letters"),
        (&["--preset", "a=blur=9", "--preset", "a=blur=8"], "it is there twice"),
        (&["--preset", "blur"], "a preset is a name, an equals sign and a query"),
        (&["--signing-key", "0123456789abcdef", "--signing-key-file", "/x"], "both signing-key and signing-key-file"),
        (&["--signing-key", "0123456789abcde"], "a signing key has 15 bytes, it must have 16 at least"),
    ] {
        let run = output(glimt().args(["--path", path, "--addr", "127.0.0.1:0"]).args(args));
        let error = text_of(&run.stderr);
        assert!(!run.status.success() && error.contains(said), "{args:?}: {error}");
        assert!(!error.contains("0123456789"), "{error}");
    }
}
