//! A URL that may be asked: read, checked, its literal address included.
//!
//! The url crate does the normalising that attacks rely on others not doing: `0x7f000001`, `017700000001`, `127.1`,
//! `2130706433`, full-width digits and percent signs in a host all become the address they mean, so that one check
//! sees them all. A host that stays a name is checked by the resolver, when its addresses are known.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use super::{address::is_allowed, error::FetchError};

/// Longest URL, in bytes, before and after normalising.
pub const MAX_URL_BYTES: usize = 2048;

/// Where to go next: a checked URL and the host to name in messages.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Normalised, without a fragment.
    pub(super) url: Url,
    /// As the URL has it.
    pub(super) host: String,
}

impl Target {
    /// What a client asked for.
    ///
    /// # Errors
    /// [`FetchError`] of the client's fault.
    pub(super) fn parse(text: &str, allow: &[IpNet]) -> Result<Self, FetchError> {
        check_length(text)?;
        Self::check(Url::parse(text).map_err(FetchError::Unreadable)?, allow)
    }

    /// What this one redirects to. A refused address is the client's fault wherever it comes up, so that nobody
    /// learns from the status whether a redirect was followed; all else that is wrong is the remote's.
    ///
    /// # Errors
    /// [`FetchError::Refused`], or [`FetchError::Redirect`] with the cause.
    pub(super) fn redirect(&self, location: Option<&str>, allow: &[IpNet]) -> Result<Self, FetchError> {
        let wrong = |cause: String| FetchError::Redirect { host: self.host.clone(), cause };
        let location = location.ok_or_else(|| wrong("no place is named".to_owned()))?;
        let next = check_length(location)
            .and_then(|()| self.url.join(location).map_err(FetchError::Unreadable))
            .and_then(|url| Self::check(url, allow));
        next.map_err(|error| if matches!(error, FetchError::Refused { .. }) { error } else { wrong(error.to_string()) })
    }

    fn check(mut url: Url, allow: &[IpNet]) -> Result<Self, FetchError> {
        check_length(url.as_str())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme { got: url.scheme().chars().take(20).collect() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Credentials);
        }
        let literal = match url.host().ok_or(FetchError::NoHost)? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        let host = url.host_str().ok_or(FetchError::NoHost)?.to_owned();
        if literal.is_some_and(|address| !is_allowed(address, allow)) {
            return Err(FetchError::Refused { host });
        }
        url.set_fragment(None);
        Ok(Self { url, host })
    }
}

fn check_length(text: &str) -> Result<(), FetchError> {
    if text.len() > MAX_URL_BYTES {
        return Err(FetchError::TooLong { got: text.len(), max: MAX_URL_BYTES });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host a URL is refused for, or what else became of it.
    fn refused(url: &str) -> Option<String> {
        match Target::parse(url, &[]) {
            Err(FetchError::Refused { host }) => Some(host),
            Ok(_) | Err(_) => None,
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_the_address() {
        let spellings = [
            ("http://127.0.0.1/", "127.0.0.1"),
            ("https://127.0.0.1:8443/x.jpg", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://127.0.1/", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f000001/", "127.0.0.1"),
            ("http://0X7F000001/", "127.0.0.1"),
            ("http://017700000001/", "127.0.0.1"),
            ("http://0177.0.0.1/", "127.0.0.1"),
            ("http://0x7f.0.0.0x1/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://%31%32%37.0.0.1/", "127.0.0.1"),
            ("http://１２７.０.０.１/", "127.0.0.1"),
            ("http://127。0。0。1/", "127.0.0.1"),
            ("http://①②⑦.0.0.1/", "127.0.0.1"),
            ("http:127.0.0.1/", "127.0.0.1"),
            ("http:\\\\127.0.0.1\\x", "127.0.0.1"),
            ("http:///127.0.0.1/", "127.0.0.1"),
            (" \thttp://127.0.0.1/", "127.0.0.1"),
            ("http://127.0\t.0.1/", "127.0.0.1"),
            ("HTTP://127.0.0.1/", "127.0.0.1"),
            ("http://0/", "0.0.0.0"),
            ("http://0.0.0.0/", "0.0.0.0"),
            ("http://10.0.0.1/", "10.0.0.1"),
            ("http://172.16.5.4/", "172.16.5.4"),
            ("http://192.168.1.1/admin", "192.168.1.1"),
            ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
            ("http://2852039166/", "169.254.169.254"),
            ("http://0xa9fea9fe/", "169.254.169.254"),
            ("http://100.100.100.200/", "100.100.100.200"),
            ("http://192.0.0.192/", "192.0.0.192"),
            ("http://168.63.129.16/", "168.63.129.16"),
            ("http://255.255.255.255/", "255.255.255.255"),
            ("http://[::]/", "[::]"),
            ("http://[::1]/", "[::1]"),
            ("http://[0:0:0:0:0:0:0:1]/", "[::1]"),
            ("http://[::127.0.0.1]/", "[::7f00:1]"),
            ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
            ("http://[::ffff:8.8.8.8]/", "[::ffff:808:808]"),
            ("http://[64:ff9b::7f00:1]/", "[64:ff9b::7f00:1]"),
            ("http://[2002:7f00:1::]/", "[2002:7f00:1::]"),
            ("http://[2001:0:7f00:1::]/", "[2001:0:7f00:1::]"),
            ("http://[fd00:ec2::254]/", "[fd00:ec2::254]"),
            ("http://[fe80::1]/", "[fe80::1]"),
            ("http://[ff02::1]/", "[ff02::1]"),
        ];
        for (url, host) in spellings {
            assert_eq!(refused(url).as_deref(), Some(host), "{url}");
        }
    }

    #[test]
    fn names_and_public_addresses_go_on() {
        for url in [
            "http://example.org/a.jpg",
            "https://example.org:8443/a?b#c",
            "http://8.8.8.8/",
            "http://0x08080808/",
            "http://[2606:4700::1111]/",
            "http://localhost/",
            "http://127.0.0.1.example.org/",
        ] {
            let target = Target::parse(url, &[]).unwrap();
            assert!(target.url.fragment().is_none(), "{url}");
        }
        // A name is no address, however it looks: the resolver has the word on it.
        assert_eq!(Target::parse("http://LOCALHOST./", &[]).unwrap().host, "localhost.");
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        let long = format!("http://example.org/{}", "a".repeat(2030));
        for (url, says) in [
            ("", "the URL cannot be read"),
            ("example.org/a.jpg", "the URL cannot be read"),
            ("//example.org/a.jpg", "the URL cannot be read"),
            ("http://", "the URL cannot be read"),
            ("http://[::1", "the URL cannot be read"),
            ("http://[fe80::1%25eth0]/", "the URL cannot be read"),
            ("http://256.1.1.1/", "the URL cannot be read"),
            ("http://1.2.3.4.5/", "the URL cannot be read"),
            ("http://exa mple.org/", "the URL cannot be read"),
            ("http://example.org:99999/", "the URL cannot be read"),
            ("file:///etc/passwd", "the URL begins with file:"),
            ("ftp://example.org/a.jpg", "the URL begins with ftp:"),
            ("gopher://127.0.0.1:70/", "the URL begins with gopher:"),
            ("data:image/png;base64,AAAA", "the URL begins with data:"),
            ("javascript:alert(1)", "the URL begins with javascript:"),
            ("localhost:8080", "the URL begins with localhost:"),
            ("http://user@example.org/", "the URL has a user name"),
            ("http://user:secret@example.org/", "the URL has a user name"),
            ("http://:secret@example.org/", "the URL has a user name"),
            ("http://example.org@127.0.0.1/", "the URL has a user name"),
            (&long, "the URL has 2049 bytes, the limit is 2048"),
        ] {
            let error = Target::parse(url, &[]).unwrap_err();
            assert!(error.to_string().starts_with(says), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{url}: {error}");
            assert_eq!(error.fault(), super::super::Fault::Client, "{url}");
        }
    }

    #[test]
    fn a_url_that_grows_past_the_limit_when_normalised_is_too_long() {
        let url = format!("http://example.org/{}", "é".repeat(1000));
        assert!(url.len() < MAX_URL_BYTES);
        assert_eq!(Target::parse(&url, &[]).unwrap_err(), FetchError::TooLong { got: 6019, max: 2048 });
    }

    #[test]
    fn redirects_are_checked_like_urls() {
        let start = Target::parse("https://example.org/a/b.jpg", &[]).unwrap();
        for (location, url) in [
            ("c.jpg", "https://example.org/a/c.jpg"),
            ("/c.jpg?x=1#y", "https://example.org/c.jpg?x=1"),
            ("//other.example/c", "https://other.example/c"),
            ("http://example.org/c", "http://example.org/c"),
        ] {
            assert_eq!(start.redirect(Some(location), &[]).unwrap().url.as_str(), url);
        }
        for location in ["http://127.0.0.1/", "//10.0.0.1/x", "//0x7f.1/", "https://[::1]/"] {
            let error = start.redirect(Some(location), &[]).unwrap_err();
            assert!(matches!(error, FetchError::Refused { .. }), "{location}: {error}");
        }
        for location in [Some("ftp://example.org/"), Some("http://a:b@example.org/"), Some("http://["), None] {
            let error = start.redirect(location, &[]).unwrap_err();
            assert!(matches!(&error, FetchError::Redirect { host, .. } if host == "example.org"), "{error}");
        }
    }
}
