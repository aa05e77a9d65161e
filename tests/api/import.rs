//! The operator moves pictures in from an older host, names and all.

use crate::{
    app::{App, KEY},
    client::sent,
    form::Form,
    pictures::{jpeg, png},
    raw,
};

#[tokio::test]
async fn every_path_under_internal_needs_the_key() {
    let keyless = App::start().await;
    let empty = App::with(|config| config.api_key = Some("".into())).await;
    let keyed = App::with_key().await;
    let paths = [
        ("POST", "/internal/import"),
        ("POST", "/internal/purge?alias=x.png"),
        ("GET", "/internal/aliases?alias=x.png"),
        ("GET", "/internal/filename?alias=x.png"),
        ("GET", "/internal"),
        ("GET", "/internal/"),
        ("GET", "/internal/unknown/path"),
        ("GET", "//internal/filename?alias=x.png"),
        ("GET", "//internal/unknown"),
        ("DELETE", "/internal/purge"),
        ("PUT", "/internal/import"),
        ("GET", "/internal/aliases"),
    ];
    for (app, keys) in [
        (&keyless, &["", KEY, "x"][..]),
        (&empty, &["", "x"]),
        (&keyed, &["", "wrong", "an api ke", "an api keyy", "An Api Key"]),
    ] {
        for (method, path) in paths {
            let mut answers = vec![app.send(method, path).await];
            for key in keys {
                answers.push(app.keyed(key, method, path).await);
            }
            for answer in answers {
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.shown());
                assert_eq!(answer.error(401), "Invalid API Key");
            }
        }
        // A right key anywhere else does not count.
        sent(app.request("GET", &format!("/internal/filename?alias=x.png&api_key={KEY}"))).await.error(401);
        sent(app.request("GET", "/internal/filename?alias=x.png").header("Authorization", KEY)).await.error(401);
    }
    for app in [keyless, empty, keyed] {
        app.stop().await;
    }
}

#[tokio::test]
async fn a_body_without_the_key_is_not_stored() {
    let app = App::with_key().await;
    app.import("wrong", Form::new().file("asdf.png", &png(1, 10, 10))).await.error(401);
    app.stored().is_idle().await;
    app.stored().holds_nothing();
    app.keyed(KEY, "GET", "/internal/filename?alias=asdf.png").await.error(404);
    app.stop().await;
}

#[tokio::test]
async fn an_import_keeps_its_name() {
    let app = App::with_key().await;
    let picture = png(1, 10, 10);
    let names = [
        "asdf.png",
        "no-extension",
        "my cat.jpg",
        "Kätzchen 猫.png",
        "a;b=c&d.png",
        "50%.png",
        "x+y.png",
        &"a".repeat(255),
    ];
    for name in names {
        let files = app.import(KEY, Form::new().file(name, &picture)).await.uploaded();
        assert_eq!(files[0].file, name);
        let path: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = app.get(&format!("/image/original/{path}")).await;
        answer.is_image("image/png");
        assert_eq!(answer.body, picture);
        app.get(&format!("/image/process.png?src={path}")).await.is_image("image/png");
        let filename = app.keyed(KEY, "GET", &format!("/internal/filename?alias={path}")).await;
        assert_eq!(filename.body, format!(r#"{{"filename":"{}","msg":"ok"}}"#, app.stored().only_filename()));
    }
    app.stop().await;
}

#[tokio::test]
async fn an_import_is_deleted_with_its_token_like_any_other() {
    let app = App::with_key().await;
    let files = app.import(KEY, Form::new().file("asdf.png", &png(1, 10, 10))).await.uploaded();
    app.delete(&files[0]).await;
    app.get("/image/original/asdf.png").await.error(404);
    app.stored().settles_at(0, 0).await;
    // And its name is free again.
    let files = app.import(KEY, Form::new().file("asdf.png", &png(2, 10, 10))).await.uploaded();
    app.stop_with(&files).await;
}

#[tokio::test]
async fn several_imports_in_one_form_keep_their_order() {
    let app = App::with_key().await;
    let form =
        Form::new().file("b.png", &png(1, 10, 10)).file("a.jpg", &jpeg(1, 10, 10)).file("c.png", &png(1, 10, 10));
    let files = app.import(KEY, form).await.uploaded();
    assert_eq!(files.iter().map(|file| &file.file[..]).collect::<Vec<_>>(), ["b.png", "a.jpg", "c.png"]);
    assert_eq!(app.stored().originals().len(), 2);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_nothing_is_stored() {
    let app = App::with_key().await;
    let (mine, yours) = (png(1, 10, 10), png(2, 10, 10));
    let uploaded = app.upload(&mine).await;
    let imported = app.import(KEY, Form::new().file("asdf.png", &mine)).await.uploaded().remove(0);
    for name in [&uploaded.file, "asdf.png"] {
        // The same bytes or others, alone or among good ones.
        for form in [
            Form::new().file(name, &yours),
            Form::new().file(name, &mine),
            Form::new().file("fresh.png", &yours).file(name, &yours),
        ] {
            let msg = app.import(KEY, form).await.error(400);
            assert!(msg.contains(name), "{msg:?} does not say which name");
            app.stored().is_idle().await;
            app.stored().settles_at(1, 0).await;
        }
        assert_eq!(app.original(name).await.body, mine);
    }
    app.get("/image/original/fresh.png").await.error(404);
    // Twice in one form is taken, too.
    app.import(KEY, Form::new().file("twin.png", &yours).file("twin.png", &png(3, 9, 9))).await.error(400);
    app.get("/image/original/twin.png").await.error(404);
    app.stored().settles_at(1, 0).await;
    app.stop_with(&[uploaded, imported]).await;
}

#[tokio::test]
async fn two_who_import_the_same_name_at_once_get_one_name() {
    let app = App::with_key().await;
    let forms: Vec<_> = (0..8).map(|i| Form::new().file("asdf.png", &png(i, 10, 10))).collect();
    let answers = futures_util::future::join_all(forms.into_iter().map(|form| app.import(KEY, form))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(400)), (1, 7));
    let files = answers.iter().find(|answer| answer.status == 201).unwrap().uploaded();
    app.original("asdf.png").await;
    app.stored().settles_at(1, 0).await;
    app.stop_with(&files).await;
}

#[tokio::test]
async fn names_that_no_file_should_have_are_refused() {
    let app = App::with_key().await;
    let long = "a".repeat(256);
    let names: [&[u8]; 14] = [
        b"a/b.png",
        b"/etc/passwd",
        b"../up.png",
        b"..",
        b".",
        b".hidden",
        b"a\\\\b.png",
        b"a\0b.png",
        b"a\x01b.png",
        b"a\x7fb.png",
        b"",
        b"caf\xe9.png",
        b"\xff\xfe",
        long.as_bytes(),
    ];
    for name in names {
        let disposition = [br#"form-data; name="images[]"; filename=""#, name, b"\""].concat();
        let answer = app.import(KEY, Form::new().disposition(&disposition, &png(1, 10, 10))).await;
        assert_eq!(answer.status, 400, "{}: {}", String::from_utf8_lossy(name), answer.shown());
        answer.error(400);
        app.stored().is_idle().await;
        app.stored().holds_nothing();
    }
    // No name at all is no name to keep.
    app.import(KEY, Form::new().disposition(b"form-data; name=\"images[]\"", &png(1, 10, 10))).await.error(400);
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn imports_are_validated_unless_the_operator_says_otherwise() {
    let picture = jpeg(1, 200, 150);
    let damaged = &picture[..picture.len() / 2];
    let strict = App::with_key().await;
    strict.import(KEY, Form::new().file("damaged.jpg", damaged)).await.error(400);
    strict.stored().is_idle().await;
    strict.stored().holds_nothing();
    strict.stop().await;

    let trusting = App::with(|config| {
        config.api_key = Some(KEY.into());
        config.skip_validate_imports = true;
    })
    .await;
    let files = trusting.import(KEY, Form::new().file("damaged.jpg", damaged)).await.uploaded();
    let answer = trusting.original("damaged.jpg").await;
    answer.is_image("image/jpeg");
    // What cannot be decoded cannot be processed, and that is not a fault of ours.
    let variant = trusting.get("/image/process.png?src=damaged.jpg&thumbnail=10").await;
    if variant.status != 200 {
        variant.error(400);
    }
    // A user's upload is validated all the same.
    trusting.post(Form::new().file("damaged.jpg", damaged)).await.error(400);
    trusting.stop_with(&files).await;
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_the_key() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    for path in [
        "/%69nternal/purge",
        "/internal%2fpurge",
        "/internal/%70urge",
        "/INTERNAL/purge",
        "/./internal/purge",
        "/image/../internal/purge",
        "/internal;x/purge",
        "/internal//purge",
        "///internal/purge",
        "////internal////purge",
        "/internal/purge/",
        "http://localhost/internal/purge",
        "http://localhost//internal/purge",
    ] {
        let line = format!("POST {path}?alias={} HTTP/1.1", uploaded.file);
        let answer = raw::ask(app.port, line.as_bytes()).await;
        answer.error_in(&[400, 401, 404]);
        app.original(&uploaded.file).await;
    }
    // A key beside a right one, or a right one with a space around it, as proxies trim it.
    let purge = format!("/internal/filename?alias={}", uploaded.file);
    sent(app.request("GET", &purge).header("X-Api-Token", format!("{KEY},{KEY}"))).await.error(401);
    sent(app.request("GET", &purge).header("x-api-token", KEY)).await.is(200);
    app.stop_with(&[uploaded]).await;
}
