//! `glimt check`, `export` and `import`, as an operator runs them on a data directory while no server has it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    app::{App, KEY},
    binary::{self, Running, glimt},
    client::Uploaded,
    form::Form,
    pictures::{jpeg, png},
};

/// What the program says, and whether it is content.
fn run(arguments: &[&str], path: &Path) -> (bool, String, String) {
    let output = binary::output(glimt().args(arguments).arg("--path").arg(path).env("GLIMT_BACKEND", "cpu"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Files below a folder of the data directory.
fn files(path: &Path, folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![path.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

fn original_of(path: &Path, picture: &[u8]) -> PathBuf {
    let is_it = |file: &PathBuf| fs::read(file).unwrap() == picture;
    files(path, "originals").into_iter().find(is_it).unwrap()
}

#[tokio::test]
async fn a_check_finds_what_is_wrong_and_mends_it_and_touches_nothing_else() {
    let app = App::start().await;
    let pictures = [1, 2, 3].map(|seed| png(seed, 20, 20));
    let mut live = Vec::new();
    for picture in &pictures {
        live.push(app.upload(picture).await);
    }
    live.push(app.upload(&pictures[1]).await);
    for uploaded in &live[..3] {
        app.process("jpg", &uploaded.file, "thumbnail=10").await.is(200);
    }
    app.stored().keeps(3).await;
    let data = app.stop_keeping(&live).await;
    let path = data.path();
    let (fine, said, wrong) = run(&["check"], path);
    assert!(
        fine && said.contains("3 pictures") && said.contains("4 aliases, 3 variants: nothing is wrong"),
        "{said}{wrong}"
    );

    // One is lost, one is another of the same length, a variant is cut, and a file belongs to nothing.
    fs::remove_file(original_of(path, &pictures[0])).unwrap();
    let damaged = original_of(path, &pictures[1]);
    let mut bytes = pictures[1].clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let hash = original_of(path, &pictures[2]).file_stem().unwrap().to_str().unwrap().to_owned();
    let variant = files(path, "variants").into_iter().find(|file| file.to_str().unwrap().contains(&hash)).unwrap();
    fs::write(&variant, b"cut").unwrap();
    let nothing = "0".repeat(64);
    let orphan = path.join("originals/00/00").join(format!("{nothing}.png"));
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"nobody's").unwrap();
    let (fine, said, wrong) = run(&["check"], path);
    assert!(!fine && said.ends_with(": 4 faults\n"), "{said}{wrong}");
    for told in [
        format!("its bytes are not there; it is {}", live[0].file),
        format!(
            "its bytes are not what was stored ({0} of {0} bytes); it is {1}, {2}",
            bytes.len(),
            live[1].file,
            live[3].file
        ),
        format!("{hash}, "),
        format!("originals/{nothing}.png: a file of a picture that has no row"),
    ] {
        assert!(wrong.contains(&told), "{told:?} is not in {wrong}");
    }
    assert!(orphan.is_file() && damaged.is_file(), "a look changed something");

    let (fine, said, wrong) = run(&["check", "--repair"], path);
    assert!(fine && said.ends_with(": 4 faults, mended\n"), "{said}{wrong}");
    assert!(!orphan.is_file() && !damaged.is_file());
    let aside = path.join("damaged").join(damaged.file_name().unwrap());
    assert_eq!(fs::read(aside).unwrap(), bytes, "what was there is kept");
    let (fine, said, _) = run(&["check"], path);
    assert!(
        fine && said.starts_with("1 pictures") && said.ends_with("1 aliases, 0 variants: nothing is wrong\n"),
        "{said}"
    );

    let app = App::on(data, |_defaults| {}).await;
    for uploaded in [&live[0], &live[1], &live[3]] {
        app.get(&format!("/image/original/{}", uploaded.file)).await.error(404);
    }
    assert_eq!(app.original(&live[2].file).await.body, pictures[2]);
    app.process("jpg", &live[2].file, "thumbnail=10").await.is_image("image/jpeg");
    // It can be uploaded again like any other.
    let again = app.upload(&pictures[0]).await;
    app.stop_with(&[live.remove(2), again]).await;
}

#[tokio::test]
async fn a_check_of_nothing_and_of_what_is_in_use_is_refused() {
    let empty = TempDir::new().unwrap();
    let (fine, _, wrong) = run(&["check"], empty.path());
    assert!(!fine && wrong.ends_with("is no data directory of glimt\n"), "{wrong}");
    let server = Running::on(empty.path(), |_defaults| {}).await;
    for work in [&["check"][..], &["export", "/nowhere"]] {
        let (fine, _, wrong) = run(work, empty.path());
        assert!(!fine && wrong.contains("is in use by another process"), "{wrong}");
    }
    drop(server);
    // Files without a single row: then it is the rows that are lost.
    let lost = empty.path().join("originals/00/00").join(format!("{}.png", "0".repeat(64)));
    fs::create_dir_all(lost.parent().unwrap()).unwrap();
    fs::write(&lost, b"somebody's").unwrap();
    let (fine, _, wrong) = run(&["check", "--repair"], empty.path());
    assert!(!fine && wrong.contains("were the metadata lost? Nothing was deleted"), "{wrong}");
    assert!(lost.is_file());
}

#[tokio::test]
async fn what_is_exported_is_imported_with_its_names_and_tokens_and_twice_is_once() {
    let app = App::with_key().await;
    let pictures = [jpeg(1, 80, 60), png(2, 20, 20)];
    let mut live = vec![app.upload(&pictures[0]).await, app.upload(&pictures[0]).await];
    live.extend(app.import(KEY, Form::new().file("asdf.png", &pictures[1])).await.uploaded());
    let stored = app.original(&live[0].file).await;
    let data = app.stop_keeping(&live).await;
    let (archive, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let folder = archive.path().to_str().unwrap();

    // Metadata alone, for who copies files otherwise: nothing can be imported without them.
    let (fine, said, wrong) = run(&["export", folder], data.path());
    assert!(fine && said.starts_with("exported 2 pictures with 3 aliases, 0 bytes copied"), "{said}{wrong}");
    let metadata = fs::read_to_string(archive.path().join("metadata.jsonl")).unwrap();
    assert!(live.iter().all(|one| metadata.contains(&one.file) && !metadata.contains(&one.delete_token)), "{metadata}");
    let (fine, said, wrong) = run(&["import", folder], other.path());
    assert!(!fine && said.ends_with("0 there already, 2 passed over\n"), "{said}");
    assert_eq!(wrong.matches("its bytes are neither in the archive nor in the store").count(), 2, "{wrong}");

    // Begun again with the files, broken off (a file of another size), and again.
    let (fine, said, _) = run(&["export", folder, "--files"], data.path());
    assert!(fine && said.contains("0 there already"), "{said}");
    let cut = original_of(archive.path(), &pictures[1]);
    fs::write(&cut, b"cut").unwrap();
    let (fine, said, _) = run(&["export", folder, "--files"], data.path());
    assert!(fine && said.contains(&format!("{} bytes copied; 1 there already", pictures[1].len())), "{said}");
    let (fine, said, wrong) = run(&["import", folder], other.path());
    assert!(fine && said.starts_with("imported 2 pictures with 3 aliases") && wrong.is_empty(), "{said}{wrong}");
    let (fine, said, _) = run(&["import", folder], other.path());
    assert!(fine && said.starts_with("imported 2 pictures with 0 aliases, 0 bytes copied; 3 there already"), "{said}");

    let app = App::on(other, |config| config.api_key = Some(KEY.into())).await;
    let there = app.original(&live[1].file).await;
    assert_eq!((&there.body, there.header("last-modified")), (&stored.body, stored.header("last-modified")));
    let aliases = app.keyed(KEY, "GET", &format!("/internal/aliases?alias={}", live[1].file)).await;
    assert_eq!(aliases.body, format!(r#"{{"aliases":["{}","{}"],"msg":"ok"}}"#, live[0].file, live[1].file));
    app.delete(&live.remove(2)).await;
    app.stop_with(&live).await;
    drop(data);
}

#[tokio::test]
async fn a_damaged_archive_is_told_by_its_line_and_nothing_of_the_damaged_picture_comes_in() {
    let app = App::start().await;
    let pictures = [png(1, 20, 20), png(2, 20, 20)];
    let live = [app.upload(&pictures[0]).await, app.upload(&pictures[1]).await];
    let data = app.stop_keeping(&live).await;
    let archive = TempDir::new().unwrap();
    let folder = archive.path().to_str().unwrap();
    assert!(run(&["export", folder, "--files"], data.path()).0);
    fs::write(original_of(archive.path(), &pictures[0]), b"another").unwrap();
    let other = TempDir::new().unwrap();
    let (fine, said, wrong) = run(&["import", folder], other.path());
    assert!(
        !fine && said.contains("with 1 aliases") && wrong.contains("the bytes in the archive are not what was stored"),
        "{said}{wrong}"
    );

    let path = archive.path().join("metadata.jsonl");
    let metadata = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = metadata.lines().collect();
    for (text, told) in [
        (String::new(), "line 1: it is empty"),
        ("{}\n".to_owned(), "line 1: missing field"),
        (metadata.replace("\"glimt_archive\":1", "\"glimt_archive\":2"), "it is of version 2, this program reads 1"),
        (format!("{}\n{}\n", lines[0], lines[1]), "line 3: it ends after 1 of 2 pictures"),
        (format!("{}\n{}\n{{\"hash\"\n", lines[0], lines[1]), "line 3: "),
    ] {
        fs::write(&path, &text).unwrap();
        let (fine, _, wrong) = run(&["import", folder], other.path());
        assert!(!fine && wrong.contains(told), "{told:?} is not in {wrong}");
    }
    let (fine, _, wrong) = run(&["import", "/nonexistent/pictures"], other.path());
    assert!(!fine && wrong.contains("/nonexistent/pictures is no folder"), "{wrong}");
}

/// Its file, where that lies when it has a path of its own, its bytes, and its aliases with their tokens.
type Old<'a> = (&'a str, Option<&'a str>, &'a [u8], &'a [(&'a str, &'a str)]);

/// A data directory as pict-rs 0.2 (or 0.3, where a file has a path of its own) keeps it.
fn pictrs(pictures: &[Old<'_>]) -> TempDir {
    let data = TempDir::new().unwrap();
    let db = sled::open(data.path().join("sled/db-0.34")).unwrap();
    let (aliases, main, names) = ["alias", "main", "filename"].map(|name| db.open_tree(name).unwrap()).into();
    let paths = db.open_tree("path").unwrap();
    for (n, (name, path, bytes, known)) in pictures.iter().enumerate() {
        let hash = [u8::try_from(n).unwrap(); 32];
        main.insert(hash, name.as_bytes()).unwrap();
        names.insert(name.as_bytes(), &hash).unwrap();
        let file = data.path().join(path.map_or_else(|| format!("files/{name}"), str::to_owned));
        if let Some(path) = path {
            paths.insert(name.as_bytes(), path.as_bytes()).unwrap();
        }
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        for (id, (alias, token)) in known.iter().enumerate() {
            aliases.insert(alias.as_bytes(), &hash).unwrap();
            aliases.insert(format!("{alias}/id"), id.to_string().as_bytes()).unwrap();
            aliases.insert(format!("{alias}/delete"), token.as_bytes()).unwrap();
            main.insert([&hash[..], &[0], id.to_string().as_bytes()].concat(), alias.as_bytes()).unwrap();
        }
        // A variant, which is made again.
        main.insert([&hash[..], &[2], b"files/x"].concat(), &b"files/x"[..]).unwrap();
    }
    db.flush().unwrap();
    data
}

#[tokio::test]
async fn the_pictures_of_a_pict_rs_come_in_with_their_names_and_tokens() {
    let (first, second) = (jpeg(1, 60, 40), png(2, 20, 20));
    let old = pictrs(&[
        ("one.jpg", None, &first, &[("b.jpg", "token-b"), ("a.jpg", "token-a")]),
        ("two.png", Some("files/00/01/two.png"), &second, &[("c.png", "token-c")]),
        ("three.mp4", None, b"\0\0\0\x18ftypmp42", &[("d.mp4", "token-d")]),
    ]);
    let before = files(old.path(), "sled").len();
    let data = TempDir::new().unwrap();
    let from = old.path().to_str().unwrap();
    let (fine, said, wrong) = run(&["import", from], data.path());
    assert!(!fine && said.starts_with("imported 3 pictures with 3 aliases"), "{said}{wrong}");
    assert!(wrong.contains("three.mp4, known as d.mp4: "), "{wrong}");
    let (_, said, _) = run(&["import", from], data.path());
    assert!(
        said.starts_with("imported 3 pictures with 0 aliases, 0 bytes copied; 3 there already, 1 passed over"),
        "{said}"
    );
    assert_eq!(files(old.path(), "sled").len(), before, "it is only read");
    assert!(files(data.path(), "staging").is_empty());

    let app = App::on(data, |config| config.api_key = Some(KEY.into())).await;
    assert_eq!(app.original("c.png").await.body, second);
    let aliases = app.keyed(KEY, "GET", "/internal/aliases?alias=a.jpg").await;
    assert_eq!(aliases.body, r#"{"aliases":["b.jpg","a.jpg"],"msg":"ok"}"#);
    app.get("/image/original/d.mp4").await.error(404);
    let named = |file: &str, token: &str| Uploaded { file: file.to_owned(), delete_token: token.to_owned() };
    app.delete(&named("b.jpg", "token-b")).await;
    app.stop_with(&[named("a.jpg", "token-a"), named("c.png", "token-c")]).await;
}

#[tokio::test]
async fn a_copy_of_journal_and_originals_is_a_backup() {
    let app = App::start().await;
    let picture = png(1, 20, 20);
    let mut live = vec![app.upload(&picture).await];
    // As docs/backup.md has it, while the server runs and more comes in.
    let backup = TempDir::new().unwrap();
    let copy_originals = || {
        for file in files(app.data(), "originals") {
            let to = backup.path().join(file.strip_prefix(app.data()).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file, to).unwrap();
        }
    };
    copy_originals();
    live.push(app.upload(&png(2, 20, 20)).await);
    fs::copy(app.data().join("journal"), backup.path().join("journal")).unwrap();
    copy_originals();
    let later = app.upload(&png(3, 20, 20)).await;
    app.stop_with(&[live[0].clone(), live[1].clone(), later.clone()]).await;

    let app = App::on(backup, |_defaults| {}).await;
    assert_eq!(app.original(&live[0].file).await.body, picture);
    app.get(&format!("/image/original/{}", later.file)).await.error(404);
    let (fine, said, wrong) = {
        let data = app.stop_keeping(&live).await;
        run(&["check"], data.path())
    };
    assert!(fine && said.starts_with("2 pictures"), "{said}{wrong}");
}

#[tokio::test]
async fn no_secret_is_in_the_log() {
    let data = TempDir::new().unwrap();
    let key = data.path().join("key");
    fs::write(&key, "a key in a file\n").unwrap();
    let server = Running::on(&data.path().join("data"), |command| {
        command.arg("--api-key-file").arg(&key).env("RUST_LOG", "debug");
    })
    .await;
    let [kept, gone] = [server.upload(&png(1, 20, 20)).await, server.upload(&png(2, 20, 20)).await];
    server.keyed("a key in a file", "GET", &format!("/internal/aliases?alias={}", kept.file)).await.is(200);
    server.get(&format!("/image/delete/{}/unknown.png", kept.delete_token)).await.error(404);
    server.get(&format!("/image/delete/0000000000/{}", kept.file)).await.error(403);
    server.get("/image/download?url=http://name:hunter2@127.0.0.1/x.png").await.error(400);
    server.delete(&gone).await;
    let log = server.stop().await;
    for secret in [&kept.delete_token, &gone.delete_token, "a key in a file", "hunter2"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    assert!(log.contains(&format!("/image/delete/***/{}", gone.file)), "the control: {log}");
}
