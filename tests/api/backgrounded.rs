//! What a client does not wait for: uploads that are claimed later, downloads likewise, and variants that are made ahead.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    app::{App, KEY},
    binary::Running,
    client::{Answer, Client, Uploaded, sent},
    form::Form,
    pictures::{animated_gif, decoded, jpeg, png},
    remote::{Remote, response},
};

const NOWHERE: &str = "6d3b2f3f-7b29-4d9a-868e-b269423f4d6c";

async fn post(app: &Client, query: &str, form: Form) -> Answer {
    sent(form.on(app.request("POST", &format!("/image/backgrounded{query}")))).await
}

/// The ids of a `202`, its body held to the byte.
#[track_caller]
fn ids(answer: &Answer) -> Vec<String> {
    answer.is(202);
    let json = answer.json();
    let uploads = json["uploads"].as_array().unwrap();
    let ids: Vec<String> = uploads.iter().map(|one| one["upload_id"].as_str().unwrap().to_owned()).collect();
    let shown: Vec<String> = ids.iter().map(|id| format!(r#"{{"upload_id":"{id}"}}"#)).collect();
    assert_eq!(answer.shown_whole(), format!(r#"{{"msg":"ok","uploads":[{}]}}"#, shown.join(",")));
    for id in &ids {
        assert_eq!(id.len(), 36, "{id}");
    }
    ids
}

async fn claim(app: &Client, id: &str) -> Answer {
    app.get(&format!("/image/backgrounded/claim?upload_id={id}")).await
}

/// The file of a claim that was answered `200`.
#[track_caller]
fn file(answer: &Answer) -> Uploaded {
    answer.is(200);
    let json = answer.json();
    assert_eq!(json["msg"], "ok");
    let [file] = &json["files"].as_array().unwrap()[..] else { panic!("{json}") };
    assert!(file["details"]["width"].as_u64().unwrap() > 0 && file["details"]["created_at"].is_string());
    let text = |key: &str| file[key].as_str().unwrap().to_owned();
    Uploaded { file: text("file"), delete_token: text("delete_token") }
}

/// What lies in the spool.
fn spooled(app: &App) -> usize {
    std::fs::read_dir(app.data().join("backgrounded")).unwrap().count()
}

#[tokio::test]
async fn an_upload_is_accepted_and_what_came_of_it_claimed_once() {
    let app = App::start().await;
    let pictures = [jpeg(1, 60, 40), png(2, 50, 30)];
    let accepted = ids(&post(&app, "", Form::files(pictures.clone())).await);
    assert_eq!(accepted.len(), 2);
    let mut files = Vec::new();
    for (id, picture) in accepted.iter().zip(&pictures) {
        // By however many at a time: one of them has it.
        let claims = futures_util::future::join_all((0..4).map(|_| claim(&app, id))).await;
        let (told, others): (Vec<_>, Vec<_>) = claims.iter().partition(|answer| answer.status == 200);
        assert_eq!((told.len(), others.len()), (1, 3));
        for other in others {
            other.error(400);
            assert_eq!(other.json()["code"], "already-claimed");
        }
        let uploaded = file(told[0]);
        assert_eq!(&app.original(&uploaded.file).await.body, picture);
        claim(&app, id).await.error(400);
        files.push(uploaded);
    }
    let [jpg, png] = &files[..] else { panic!("two") };
    assert!(jpg.file.ends_with(".jpg") && png.file.ends_with(".png"));
    assert_eq!(spooled(&app), 0, "nothing of it is left");
    app.delete(jpg).await;
    app.stop_with(std::slice::from_ref(png)).await;
}

#[tokio::test]
async fn one_that_is_refused_says_why_to_whoever_claims_it() {
    let app = App::start().await;
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255]], 40, 30);
    for (query, bytes, code) in [
        ("", b"no picture".to_vec(), "not-an-image"),
        ("?max_width=10", png(1, 50, 30), "validate-width"),
        ("?allow_animation=false", moving, "media-disallowed"),
        ("", b"\0\0\0\x18ftypmp42".to_vec(), "video-disabled"),
    ] {
        let accepted = ids(&post(&app, query, Form::new().file("a", &bytes)).await);
        let answer = claim(&app, &accepted[0]).await;
        answer.error(422);
        assert_eq!(answer.json()["code"], code);
        claim(&app, &accepted[0]).await.error(400);
    }
    // Steps are done, and limits kept.
    let accepted = ids(&post(&app, "?resize=20&max_width=50", Form::new().file("a", &png(1, 50, 30))).await);
    let uploaded = file(&claim(&app, &accepted[0]).await);
    assert_eq!(decoded(&app.original(&uploaded.file).await.body).width(), 20);
    app.delete(&uploaded).await;
    app.stored().settles_at(0, 0).await;
    assert_eq!(spooled(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn what_can_be_told_at_once_is() {
    let app = App::with(|config| config.max_file_size_bytes = 1000).await;
    let small = Form::new().file("a", &png(1, 5, 3));
    for (query, form, status, code) in [
        ("?max_widht=3", small, 400, "invalid-query"),
        ("", Form::new().text("other", "a"), 400, "no-files"),
        ("", Form::files(vec![png(1, 5, 3); 11]), 400, "too-many-files"),
        ("", Form::new().file("a", &[0; 1001]), 413, "file-too-large"),
    ] {
        let answer = post(&app, query, form).await;
        answer.error(status);
        assert_eq!(answer.json()["code"], code);
    }
    for (id, code) in [("", "invalid-query"), ("../../lock", "invalid-query"), (NOWHERE, "already-claimed")] {
        let answer = claim(&app, id).await;
        answer.error(400);
        assert_eq!(answer.json()["code"], code, "{id}");
    }
    assert_eq!(app.get("/image/backgrounded/claim").await.json()["code"], "missing-parameter");
    app.send("GET", "/image/backgrounded").await.error(405);
    assert_eq!(spooled(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_download_is_received_and_claimed_likewise() {
    let picture = jpeg(1, 60, 40);
    let remote = Remote::serving([("/a.jpg", response("200 OK", &[], &picture))]).await;
    let app = App::with(|config| config.download_allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let get = |path: &str, query: &str| format!("/image/download?url={}&backgrounded={query}", remote.url(path));
    let accepted = ids(&app.get(&get("/a.jpg", "true&resize=30")).await);
    let uploaded = file(&claim(&app, &accepted[0]).await);
    assert_eq!(decoded(&app.original(&uploaded.file).await.body).width(), 30);
    app.get(&get("/a.jpg", "false")).await.is(201);
    app.get(&get("/a.jpg", "yes")).await.error(400);
    app.get(&get("/missing", "true")).await.error(502);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn jobs_and_what_came_of_them_survive_a_restart() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let claimed = ids(&post(&app, "", Form::new().file("a", &picture)).await).remove(0);
    let waiting = ids(&post(&app, "", Form::new().file("a", &png(2, 50, 30))).await).remove(0);
    let refused = ids(&post(&app, "", Form::new().file("a", b"no picture")).await).remove(0);
    let uploaded = file(&claim(&app, &claimed).await);
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    // As if the server had been killed before it had begun this one: the job as it is accepted.
    let spool = data.path().join("backgrounded");
    std::fs::write(spool.join(format!("{NOWHERE}.picture")), &picture).unwrap();
    let note = format!(
        r#"{{"glimt_job":1,"since_micros":1,"runs":0,"work":{{"kind":"upload","id":"{NOWHERE}","stem":"later","token":"JFvFhqJA98","query":[["resize","30"]]}}}}"#
    );
    std::fs::write(spool.join(format!("{NOWHERE}.job")), &note).unwrap();
    // And one of a picture that was named already, of which the outcome did not come to be noted.
    let again = NOWHERE.replace("6d3b", "7d3b");
    std::fs::write(spool.join(format!("{again}.picture")), &picture).unwrap();
    let (stem, token) = (uploaded.file.split('.').next().unwrap(), &uploaded.delete_token);
    let named = note.replace(NOWHERE, &again).replace("later", stem).replace("JFvFhqJA98", token);
    std::fs::write(spool.join(format!("{again}.job")), named.replace(r#"["resize","30"]"#, "")).unwrap();
    // One that was never accepted, and one that was not written to its end.
    std::fs::write(spool.join("8d3b2f3f-7b29-4d9a-868e-b269423f4d6c.picture"), b"x").unwrap();
    std::fs::write(spool.join("9d3b2f3f-7b29-4d9a-868e-b269423f4d6c.job.new"), b"{").unwrap();
    // And one that ended three runs.
    let fatal = NOWHERE.replace("6d3b", "ad3b");
    std::fs::write(spool.join(format!("{fatal}.picture")), &picture).unwrap();
    let begun = note.replace(NOWHERE, &fatal).replace(r#""runs":0"#, r#""runs":3"#);
    std::fs::write(spool.join(format!("{fatal}.job")), begun).unwrap();

    let app = App::on(data, |_config| {}).await;
    let later = file(&claim(&app, NOWHERE).await);
    assert_eq!((later.file.as_str(), later.delete_token.as_str()), ("later.jpg", "JFvFhqJA98"));
    assert_eq!(decoded(&app.original("later.jpg").await.body).width(), 30);
    assert_eq!(file(&claim(&app, &again).await), uploaded, "named once");
    assert_eq!(claim(&app, &fatal).await.json()["code"], "internal-error");
    assert!(file(&claim(&app, &waiting).await).file.ends_with(".png"));
    let answer = claim(&app, &refused).await;
    answer.error(422);
    assert_eq!(answer.json()["code"], "not-an-image");
    claim(&app, &claimed).await.error(400);
    assert_eq!(spooled(&app), 0, "what was never accepted is gone");
    app.delete(&later).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn a_claim_waits_for_what_is_not_done_and_not_for_ever() {
    let app = App::start().await;
    let data = app.stop_keeping(&[]).await;
    let spool = data.path().join("backgrounded");
    // Its picture cannot be read: that may pass, and is tried again for longer than a claim waits.
    let note = format!(
        r#"{{"glimt_job":1,"since_micros":1,"runs":0,"work":{{"kind":"upload","id":"{NOWHERE}","stem":"s","token":"t","query":[]}}}}"#
    );
    std::fs::write(spool.join(format!("{NOWHERE}.job")), note).unwrap();
    let app = App::on(data, |_config| {}).await;
    let begun = Instant::now();
    let answer = claim(&app, NOWHERE).await;
    answer.is(204);
    assert!(answer.body.is_empty());
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(20), "{waited:?}");
    // Whoever waits is told as soon as it is there.
    std::fs::write(spool_of(&app, "picture"), jpeg(1, 30, 20)).unwrap();
    file(&claim_until_done(&app).await);
    app.stop().await;
}

fn spool_of(app: &App, extension: &str) -> std::path::PathBuf {
    app.data().join("backgrounded").join(format!("{NOWHERE}.{extension}"))
}

async fn claim_until_done(app: &App) -> Answer {
    for _ in 0..6 {
        let answer = claim(app, NOWHERE).await;
        if answer.status != 204 {
            return answer;
        }
    }
    panic!("it is never done");
}

#[tokio::test]
async fn a_variant_is_made_ahead() {
    let app = App::with(|config| config.api_key = Some(KEY.into())).await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let ahead = |ext: &str, src: &str| format!("/image/process_backgrounded.{ext}?src={src}&thumbnail=64&blur=2");
    for ext in ["webp", "avif"] {
        let answer = app.get(&ahead(ext, &uploaded.file)).await;
        answer.is(202);
        assert!(answer.body.is_empty() && !answer.has("content-type"), "{:?}", answer.headers);
    }
    app.stored().keeps(2).await;
    // It is there: details of a variant are told of one that was made.
    let path = format!("/image/details/process.webp?src={}&thumbnail=64&blur=2", uploaded.file);
    assert_eq!(app.get(&path).await.json()["width"], 64);
    app.get(&ahead("webp", &uploaded.file)).await.is(202);
    assert_eq!(spooled(&app), 0);
    // The name is looked up, and the query read.
    let answer = app.get(&ahead("webp", "gone.png")).await;
    answer.error(400);
    assert_eq!(answer.json()["code"], "unknown-alias");
    app.get(&ahead("tiff", &uploaded.file)).await.error(400);
    app.get(&format!("{}&resize=x", ahead("webp", &uploaded.file))).await.error(400);
    app.get("/image/process_backgrounded.webp?thumbnail=64").await.error(404);
    app.send("POST", &ahead("webp", &uploaded.file)).await.error(405);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn codes_are_those_of_0_5_where_it_is_asked_for() {
    let app = App::with(|config| config.compat = glimt::domain::Compat::V05).await;
    let accepted = ids(&post(&app, "", Form::new().file("a", &png(1, 30, 20))).await);
    let uploaded = file(&claim(&app, &accepted[0]).await);
    assert_eq!(uploaded.file.split('.').next().unwrap().len(), 36, "{uploaded:?}");
    let accepted = ids(&post(&app, "", Form::new().file("a", b"no picture")).await);
    assert_eq!(claim(&app, &accepted[0]).await.json()["code"], Value::from("not-an-image"));
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn whatever_was_accepted_is_there_after_a_kill() {
    let data = tempfile::TempDir::new().unwrap();
    let (mut accepted, mut claimed) = (Vec::<(String, Vec<u8>)>::new(), 0);
    for round in 0..5_u32 {
        let mut server = Running::on(data.path(), |_command| {}).await;
        for (id, picture) in accepted.drain(..) {
            let uploaded = file(&claim(&server, &id).await);
            assert_eq!(server.original(&uploaded.file).await.body, picture);
            claimed += 1;
        }
        let uploads = (0..16).map(|n| {
            let picture = png(100 * round + n, 40, 30);
            let form = Form::new().file("a", &picture);
            let request = form.on(server.request("POST", "/image/backgrounded"));
            async move { (request.send().await, picture) }
        });
        let pid = server.id();
        let kill = async {
            tokio::time::sleep(Duration::from_millis(u64::from(10 + 15 * round))).await;
            let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
            assert!(killed.success());
        };
        let (answers, ()) = tokio::join!(futures_util::future::join_all(uploads), kill);
        for (answer, picture) in answers {
            // What was cut off is nothing that anybody relies on.
            let Ok(answer) = answer else { continue };
            let status = answer.status().as_u16();
            let Ok(body) = answer.bytes().await else { continue };
            if status == 202 {
                let json: Value = serde_json::from_slice(&body).unwrap();
                accepted.push((json["uploads"][0]["upload_id"].as_str().unwrap().to_owned(), picture));
            }
        }
        server.kill();
    }
    assert!(claimed >= 8, "only {claimed} were accepted in time to tell anything");
}

#[tokio::test]
async fn what_nobody_claims_for_a_day_goes_and_takes_its_picture_along() {
    let app = App::start().await;
    let pictures = [jpeg(1, 60, 40), jpeg(2, 60, 40)];
    let accepted = ids(&post(&app, "", Form::files(pictures)).await);
    let kept = file(&claim(&app, &accepted[0]).await);
    let forgotten = file(&claim(&app, &accepted[1]).await);
    let data = app.stop_keeping(&[kept.clone(), forgotten.clone()]).await;
    // As if neither had been claimed, one of them for long.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (id, Uploaded { file, delete_token }, since) in
        [(&accepted[0], &kept, now - 23 * 3600), (&accepted[1], &forgotten, now - 25 * 3600)]
    {
        let outcome = format!(
            r#"{{"glimt_outcome":1,"since_secs":{since},"outcome":{{"stored":{{"alias":"{file}","token":"{delete_token}"}}}}}}"#
        );
        std::fs::write(data.path().join("backgrounded").join(format!("{id}.outcome")), outcome).unwrap();
    }
    let app = App::on(data, |_config| {}).await;
    app.stored().settles_at(1, 0).await;
    app.get(&format!("/image/original/{}", forgotten.file)).await.error(404);
    claim(&app, &accepted[1]).await.error(400);
    assert_eq!(file(&claim(&app, &accepted[0]).await), kept);
    app.stop_with(&[kept]).await;
}
