//! An operator has a folder of pictures and wants them all in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    binary::{Running, glimt, output, text},
    client::Uploaded,
    pictures::{jpeg, png},
    stored::Stored,
};

/// Imports `from` into `data`; what it said on stdout and stderr, and its exit code.
fn import(from: &Path, data: &Path, more: &[&str]) -> (String, String, Option<i32>) {
    let run = output(glimt().arg("import").arg(from).arg("--path").arg(data).args(more).env("GLIMT_BACKEND", "cpu"));
    (text(&run.stdout), text(&run.stderr), run.status.code())
}

/// The alias and the token of each file that the list names.
fn listed(list: &Path) -> BTreeMap<PathBuf, Uploaded> {
    let list = fs::read_to_string(list).unwrap();
    let mut lines = list.lines();
    assert_eq!(lines.next(), Some("path\talias\tdelete token\tsha256"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), 4, "{line}");
            (PathBuf::from(cells[0]), Uploaded { file: cells[1].to_owned(), delete_token: cells[2].to_owned() })
        })
        .collect()
}

#[tokio::test]
async fn a_folder_of_pictures_is_taken_in_once_and_a_list_says_where_each_is() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let from = folder.path().canonicalize().unwrap();
    fs::create_dir_all(from.join("2024/summer")).unwrap();
    let pictures =
        [("b.png", png(1, 30, 20)), ("2024/a.jpg", jpeg(2, 40, 30)), ("2024/summer/no extension", jpeg(3, 50, 40))];
    for (name, bytes) in &pictures {
        fs::write(from.join(name), bytes).unwrap();
    }
    fs::write(from.join("again.png"), &pictures[0].1).unwrap();
    fs::write(from.join("notes.txt"), "no picture").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(from.join("b.png"), from.join("link.png")).unwrap();

    let (said, wrong, code) = import(&from, data.path(), &[]);
    assert_eq!((code, wrong.as_str()), (Some(0), ""), "{said}");
    assert!(said.starts_with("imported 4 pictures of "), "{said}");
    assert!(said.contains("0 there already, 1 files are no pictures, 0 refused\n"), "{said}");
    let list = data.path().join("import.tsv");
    let first = listed(&list);
    let order: Vec<PathBuf> =
        ["2024/a.jpg", "2024/summer/no extension", "again.png", "b.png"].map(|name| from.join(name)).into();
    assert_eq!(first.keys().cloned().collect::<Vec<PathBuf>>(), order);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600, "who reads it can delete");
    }

    // Again, with one more, one that changed and one that is damaged.
    fs::write(from.join("c.jpg"), jpeg(4, 60, 50)).unwrap();
    fs::write(from.join("b.png"), png(5, 30, 20)).unwrap();
    fs::write(from.join("broken.jpg"), &jpeg(6, 200, 150)[..2000]).unwrap();
    let (said, wrong, code) = import(&from, data.path(), &[]);
    assert_eq!(code, Some(1), "{said} {wrong}");
    assert!(said.contains("imported 2 pictures") && said.contains("3 there already"), "{said}");
    assert!(said.contains("1 refused (1 damaged)"), "{said}");
    assert!(wrong.starts_with(&format!("{}: ", from.join("broken.jpg").display())), "{wrong}");
    fs::remove_file(from.join("broken.jpg")).unwrap();
    let (said, wrong, code) = import(&from, data.path(), &[]);
    assert!(code == Some(0) && said.starts_with("imported 0 pictures of 0 bytes; 5 there already"), "{said} {wrong}");

    let all = listed(&list);
    assert_eq!(all.len(), 5);
    for (path, uploaded) in &first {
        assert_eq!(all[path].file == uploaded.file, !path.ends_with("b.png"), "{}", path.display());
    }
    let server = Running::on(data.path(), |_defaults| {}).await;
    for (path, uploaded) in &all {
        let served = server.original(&uploaded.file).await;
        assert_eq!(served.body, fs::read(path).unwrap(), "{}", path.display());
    }
    let gone = &all[&from.join("c.jpg")];
    let deleted =
        server.request("DELETE", &format!("/image/delete/{}/{}", gone.delete_token, gone.file)).send().await.unwrap();
    assert_eq!(deleted.status(), 204, "the token of the list is the picture's");
    server.stop().await;
    Stored::at(data.path()).is_consistent(&[]).await;
}

#[tokio::test]
async fn a_run_that_was_cut_off_is_gone_on_with_and_no_picture_gets_two_aliases() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let from = folder.path().canonicalize().unwrap();
    for number in 0..20 {
        fs::write(from.join(format!("{number:02}.jpg")), jpeg(number, 48, 36)).unwrap();
    }
    let list = folder.path().join("list of aliases.tsv");
    let run = |data: &Path| import(&from, data, &["--list", list.to_str().unwrap()]);
    let (said, wrong, code) = run(data.path());
    assert_eq!(code, Some(0), "{wrong}");
    assert!(said.contains("imported 20 pictures") && said.contains(list.to_str().unwrap()), "{said}");
    let first = listed(&list);
    // As a power cut leaves it after the last lines and before their aliases: the same list, and a directory without them.
    let lines = fs::read_to_string(&list).unwrap();
    let cut: String = lines.lines().take(8).flat_map(|line| [line, "\n"]).collect();
    fs::write(&list, format!("{cut}{}", &lines.lines().nth(8).unwrap()[..20])).unwrap();
    let other = TempDir::new().unwrap();
    let (said, wrong, code) = run(other.path());
    assert_eq!(code, Some(0), "{wrong}");
    assert!(said.contains("imported 20 pictures"), "none of them is there: {said}");
    let second = fs::read_to_string(&list).unwrap();
    let server = Running::on(other.path(), |_defaults| {}).await;
    for (number, (path, uploaded)) in first.iter().enumerate() {
        let known = second.contains(&format!("{}\t{}\t", path.display(), uploaded.file));
        assert_eq!(known, number < 7, "{}: an alias that was written is the one that is given", path.display());
        if known {
            assert_eq!(server.original(&uploaded.file).await.body, fs::read(path).unwrap());
        }
    }
    server.stop().await;
    let (said, ..) = run(other.path());
    assert!(said.contains("imported 0 pictures") && said.contains("20 there already"), "{said}");
}
