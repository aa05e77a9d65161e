//! The answers that a page shows, held against those that its commands got.

use serde_json::Value;

/// Keys whose values are the same everywhere; of the others the kind is compared.
const EXACT: [&str; 6] = ["code", "content_type", "device", "engine", "format", "msg"];

/// How `real` differs from the JSON that is `shown`: keys, kinds, and the values of [`EXACT`] ones. Of a list that is shown with
/// anything in it the first elements are compared.
pub(super) fn json(shown: &str, real: &str) -> Result<(), String> {
    let read = |what: &str, text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| format!("{what} is no JSON: {error}: {text}"))
    };
    alike("", &read("what is shown", shown)?, &read("the answer", real)?)
}

fn alike(at: &str, shown: &Value, real: &Value) -> Result<(), String> {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            if names(shown) != names(real) {
                return Err(format!("{at}: shown with the keys {:?}, answered with {:?}", names(shown), names(real)));
            }
            shown.iter().try_for_each(|(key, value)| {
                let at = format!("{at}.{key}");
                if EXACT.contains(&key.as_str()) && value != &real[key] {
                    return Err(format!("{at}: shown as {value}, answered as {}", real[key]));
                }
                alike(&at, value, &real[key])
            })
        }
        (Value::Array(shown), Value::Array(real)) => match (shown.first(), real.first()) {
            (Some(shown), Some(real)) => alike(&format!("{at}[0]"), shown, real),
            (None, _) => Ok(()),
            (Some(_), None) => Err(format!("{at}: shown with elements, answered without")),
        },
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => Ok(()),
        _ => Err(format!("{at}: shown as {shown}, answered as {real}")),
    }
}

/// Whether `real` is `shown`, in which `...` is whatever stands there.
fn fits(shown: &str, real: &str) -> bool {
    let mut parts = shown.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = real.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// How the head that curl wrote differs from what is `shown`: the status line, and each header that is shown.
pub(super) fn head(shown: &str, real: &str) -> Result<(), String> {
    let real: Vec<&str> = real.lines().map(str::trim_end).collect();
    let mut lines = shown.lines();
    let status = lines.next().unwrap_or_default();
    if real.first().map(|line| line.trim_end()) != Some(status) {
        return Err(format!("shown as {status:?}, answered as {:?}", real.first()));
    }
    for line in lines {
        if !real.iter().any(|real| fits(line, real)) {
            return Err(format!("{line:?} is shown, and is not among {real:?}"));
        }
    }
    Ok(())
}

/// Which line that is `shown` is none that was printed.
pub(super) fn lines(shown: &str, real: &str) -> Result<(), String> {
    match shown.lines().find(|line| !real.lines().any(|real| fits(line, real))) {
        Some(line) => Err(format!("{line:?} is shown, and is not among what was printed:\n{real}")),
        None => Ok(()),
    }
}

#[test]
fn answers_that_differ_are_told() {
    json(r#"{"a":["x"],"msg":"ok"}"#, r#"{"a":["y","z"],"msg":"ok"}"#).unwrap();
    for (shown, real, told) in [
        (r#"{"msg":"ok"}"#, r#"{"msg":"no"}"#, ".msg"),
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, "answered with [\"a\", \"b\"]"),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, ".a: shown as 1"),
        (r#"{"a":[{"b":1}]}"#, r#"{"a":[{"c":1}]}"#, ".a[0]"),
        (r#"{"a":[1]}"#, r#"{"a":[]}"#, "without"),
        ("{}", "", "the answer is no JSON"),
        ("{", "{}", "what is shown is no JSON"),
    ] {
        let error = json(shown, real).unwrap_err();
        assert!(error.contains(told), "{told:?} is not in {error}");
    }

    let real = "HTTP/2 200 \r\netag: \"ab\"\r\nx: 1/9\r\n\r\n";
    head("HTTP/2 200\netag: \"...\"\nx: .../9", real).unwrap();
    assert!(head("HTTP/2 404", real).is_err());
    assert!(head("HTTP/2 200\netag: ...", real).is_ok());
    assert!(head("HTTP/2 200\nx: .../8", real).is_err());
    assert!(head("HTTP/2 200\nx: ", real).is_err());

    lines("a\nc", "a\nb\nc").unwrap();
    assert!(lines("a\nd", "a\nb\nc").is_err());
    assert!(fits("a...c...e", "abcde") && !fits("a...e...c", "abcde") && !fits("abc", "abcd"));
}
