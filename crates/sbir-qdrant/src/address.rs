//! Where a gallery is: `qdrant://HOST[:PORT][,HOST[:PORT]…]/NAME`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use sbir_gallery::{Error, Result};

/// The port that a Qdrant server listens on for gRPC.
const PORT: u16 = 6334;
/// The most nodes that an address may list.
const MOST_NODES: usize = 64;
/// The longest name: the server makes a folder of it, with a digest behind.
const LONGEST_NAME: usize = 128;

/// The nodes of a server and the gallery's name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) hosts: Vec<Host>,
    pub(crate) name: String,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
    port: u16,
}

impl Address {
    /// Reads an address.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let bad = |problem: &str| Error::BadAddress {
            gallery: redacted(url),
            problem: format!("{problem}; it is qdrant://HOST[:PORT][,HOST[:PORT]…]/NAME"),
        };
        let rest = url.strip_prefix("qdrant://").ok_or_else(|| bad("not an address of Qdrant"))?;
        if rest.contains('@') {
            return Err(bad(
                "a user or a key has no place in an address, where histories and process lists \
                 show it: set QDRANT_API_KEY",
            ));
        }
        let (hosts, name) = rest.split_once('/').ok_or_else(|| bad("it has no name"))?;
        let hosts = hosts
            .split(',')
            .map(|host| Host::parse(host).ok_or_else(|| bad("it has no sound host")))
            .collect::<Result<Vec<_>>>()?;
        if hosts.len() > MOST_NODES {
            return Err(bad("it has too many hosts"));
        }
        // What the server takes for an alias, and no more than can stand in a file's name.
        let sound = !name.is_empty()
            && name.len() <= LONGEST_NAME
            && !name.starts_with(['.', '-'])
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !sound {
            return Err(bad("a name has up to 128 of the characters A–Z a–z 0–9 _ - ."));
        }
        Ok(Self { hosts, name: name.to_owned() })
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let (name, port) = if let Some(rest) = text.strip_prefix('[') {
            let (inner, port) = rest.split_once(']')?;
            inner.parse::<Ipv6Addr>().ok()?;
            (format!("[{inner}]"), port.strip_prefix(':').or(port.is_empty().then_some(""))?)
        } else {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            let sound = !name.is_empty()
                && name.len() <= 253
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            (sound.then(|| name.to_owned())?, port)
        };
        let port = if port.is_empty() && !text.ends_with(':') {
            PORT
        } else {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            port.parse().ok().filter(|port| *port != 0 && digits)?
        };
        Some(Self { name, port })
    }

    /// Whether it is this machine, so that nobody between can read along.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("qdrant://")?;
        for (place, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if place > 0 { "," } else { "" })?;
        }
        write!(f, "/{}", self.name)
    }
}

/// What was typed, as one short line without what may be a secret: what stands before an `@`, and what follows a `?` or
/// a `#`.
fn redacted(url: &str) -> String {
    let (head, tail) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let scheme = head.split_once("://").map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|scheme| !scheme.contains('@'));
    let scheme = scheme.map_or_else(String::new, |scheme| format!("{scheme}://"));
    let shown = match head.rsplit_once('@') {
        // The secret may end at this `@`, or begin at the `?` before it.
        _ if tail.contains('@') => format!("{scheme}…"),
        Some((_, rest)) => format!("{scheme}…@{rest}"),
        None => head.to_owned(),
    };
    shown.chars().take(200).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = Address::parse("qdrant://a:1,b-2.example,[::1]:7,127.0.0.1/photos.of-me_2");
        let address = address.unwrap();
        assert_eq!(
            address.to_string(),
            "qdrant://a:1,b-2.example:6334,[::1]:7,127.0.0.1:6334/photos.of-me_2"
        );
        assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        let loopback: Vec<_> = address.hosts.iter().map(Host::is_loopback).collect();
        assert_eq!(loopback, [false, false, true, true]);
        assert!(Address::parse("qdrant://LOCALHOST/a").unwrap().hosts[0].is_loopback());
        assert!(!Address::parse("qdrant://127.0.0.1.example/a").unwrap().hosts[0].is_loopback());
    }

    #[test]
    fn others_are_refused() {
        for url in [
            "",
            "a",
            "http://a/b",
            "qdrant://",
            "qdrant://a",
            "qdrant:///b",
            "qdrant://a/",
            "qdrant://a,/b",
            "qdrant://a:/b",
            "qdrant://a:0/b",
            "qdrant://a:65536/b",
            "qdrant://a:+1/b",
            "qdrant://a:1:2/b",
            "qdrant://::1/b",
            "qdrant://[::1/b",
            "qdrant://[::1]x/b",
            "qdrant://a/b/c",
            "qdrant://a/b?c",
            "qdrant://a/b#c",
            "qdrant://a/.b",
            "qdrant://a/ä",
            "qdrant://a b/c",
            "qdrant://a/b\n",
            &format!("qdrant://a/{}", "b".repeat(129)),
            &format!("qdrant://{}/b", vec!["a"; 65].join(",")),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(matches!(error, Error::BadAddress { .. }), "{url}: {error:?}");
            assert_eq!(error.to_string().lines().count(), 1, "{url}");
        }
    }

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for url in [
            "qdrant://sesame@a/b",
            "qdrant://u:sesame@a/b",
            "sesame@a/b",
            "x://sesame@b",
            "sesame@x://b",
            "qdrant://a/b?api_key=sesame",
            "qdrant://a/b#sesame",
            "qdrant://a?api_key=sesame",
            "a/b?api_key=sesame",
            "sesame@a/b?c",
            // An `@` and a `?` in either order, inside the secret and before it.
            "qdrant://a/b?api_key=x@sesame",
            "qdrant://a/b?api_key=sesame@x",
            "qdrant://u:sesame?x@a/b",
            "qdrant://u:x?sesame@a/b",
            "a?sesame=x://@b",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("sesame"), "{error}");
        }
        let error = Address::parse("qdrant://u:sesame@a/b").unwrap_err().to_string();
        assert!(error.contains("QDRANT_API_KEY"), "{error}");
        let error = Address::parse("qdrant://a/b?api_key=sesame").unwrap_err().to_string();
        assert!(error.starts_with("qdrant://a/b: "), "{error}");
    }
}
