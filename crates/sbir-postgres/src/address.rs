//! What names a gallery: `postgres://[user@]host[:port][,host…]/DATABASE[?schema=NAME&sslmode=…]`.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use sbir_gallery::{Error, Result};

/// PostgreSQL's port.
const PORT: u16 = 5432;
/// The longest name that PostgreSQL keeps whole, in bytes.
const MAX_NAME: usize = 63;
/// What is written as it is: letters, digits and what RFC 3986 leaves unreserved.
const ENCODED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const FORM: &str = "expected postgres://[user@]host[:port][,host…]/DATABASE[?schema=NAME]";

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Not at all: within one machine, or where the network is trusted.
    Plain,
    /// TLS, with the server's certificate checked against its name.
    Full,
}

/// An address that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) user: Option<String>,
    /// Names, addresses, or folders of sockets, each with a port.
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) database: String,
    pub(crate) schema: String,
    /// None where the address does not say.
    pub(crate) protection: Option<Protection>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::BadAddress`] with what is wrong; a password in it is never repeated.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let bad = |problem: String| Error::BadAddress { gallery: printable(url), problem };
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| bad(FORM.into()))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').ok_or_else(|| bad(FORM.into()))?;
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(bad("a password in an address stays in the history of commands and in the list of processes; \
                            leave it out and set PGPASSWORD, or write it to ~/.pgpass (or what PGPASSFILE names)"
                .into()));
        }
        let decode = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            let sound = text.ok().filter(|text| !text.contains(char::is_control));
            sound.map(String::from).ok_or_else(|| bad(FORM.into()))
        };
        let mut address = Self {
            user: user.map(decode).transpose()?.filter(|user| !user.is_empty()),
            hosts: Vec::new(),
            database: decode(database)?,
            schema: "sbir".into(),
            protection: None,
        };
        for host in hosts.split(',') {
            let (name, port) = host_and_port(host).ok_or_else(|| bad(FORM.into()))?;
            let name = decode(name)?;
            if name.is_empty() {
                return Err(bad(FORM.into()));
            }
            address.hosts.push((name, port));
        }
        if address.database.is_empty() || address.database.contains('/') {
            return Err(bad(format!("no database is named; {FORM}")));
        }
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = decode(value)?;
            match name {
                "schema" => address.schema = value,
                "sslmode" => address.protection = Some(protection(&value).map_err(&bad)?),
                "password" => {
                    return Err(bad(
                        "a password does not belong in an address; set PGPASSWORD".into()
                    ));
                }
                _ => {
                    let name = printable(name);
                    return Err(bad(format!(
                        "unknown parameter {name}; there are schema and sslmode"
                    )));
                }
            }
        }
        let schema = &address.schema;
        if schema.is_empty() || schema.len() > MAX_NAME || schema.starts_with("pg_") {
            let problem = format!(
                "schema={schema}: a schema's name has 1 to {MAX_NAME} bytes and does not begin with pg_"
            );
            return Err(bad(problem));
        }
        Ok(address)
    }

    /// The address without secrets: what was given, in one form.
    pub(crate) fn name(&self) -> String {
        let mut name = "postgres://".to_owned();
        if let Some(user) = &self.user {
            name.push_str(&encoded(user));
            name.push('@');
        }
        for (place, (host, port)) in self.hosts.iter().enumerate() {
            if place > 0 {
                name.push(',');
            }
            match host.contains(':') {
                true => name.push_str(&format!("[{host}]")),
                false => name.push_str(&encoded(host)),
            }
            if *port != PORT {
                name.push_str(&format!(":{port}"));
            }
        }
        name.push('/');
        name.push_str(&encoded(&self.database));
        let schema = (self.schema != "sbir").then(|| format!("schema={}", encoded(&self.schema)));
        let protection = self.protection.map(|protection| match protection {
            Protection::Plain => "sslmode=disable".to_owned(),
            Protection::Full => "sslmode=verify-full".to_owned(),
        });
        let parameters: Vec<_> = schema.into_iter().chain(protection).collect();
        if !parameters.is_empty() {
            name.push('?');
            name.push_str(&parameters.join("&"));
        }
        name
    }

    /// Whether all of it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.hosts.iter().all(|(host, _)| {
            host == "localhost"
                || host.starts_with('/')
                || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

/// What libpq calls `sslmode`.
///
/// # Errors
/// If it is none that is kept here.
pub(crate) fn protection(mode: &str) -> Result<Protection, String> {
    match mode {
        "disable" => Ok(Protection::Plain),
        // The laxer two are met by the strict one.
        "require" | "verify-ca" | "verify-full" => Ok(Protection::Full),
        "allow" | "prefer" => Err(format!(
            "sslmode={mode} gives up on TLS without a word; use verify-full (the default beyond this machine) or disable"
        )),
        _ => Err("an unknown sslmode; use verify-full or disable".into()),
    }
}

fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => PORT,
    };
    Some((host, port))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, ENCODED).to_string()
}

/// An address that may hold anything, without what may be a password, as one line.
fn printable(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.find('/').unwrap_or(rest.len());
    // A password may hold anything: all up to the last @ but the user's name goes.
    let secret = rest[..authority].rfind('@').or_else(|| rest.rfind('@'));
    let rest = match secret {
        Some(at) => {
            let user = rest[..at].split(':').next().unwrap_or_default();
            format!("{user}{}", &rest[at..])
        }
        None => rest.to_owned(),
    };
    let rest = rest.split("password=").next().unwrap_or_default().to_owned();
    let separator = if scheme.is_empty() { "" } else { "://" };
    let line: String = format!("{scheme}{separator}{rest}").chars().take(300).collect();
    line.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// The file of a socket's folder, if a host is one.
pub(crate) fn socket_folder(host: &str) -> Option<PathBuf> {
    host.starts_with('/').then(|| host.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        let address = Address::parse(
            "postgresql://me%40x@db1,db2:5433,[::1]:7/my%2Ddb?schema=a%20b&sslmode=disable",
        )
        .unwrap();
        assert_eq!(address.user.as_deref(), Some("me@x"));
        assert_eq!(address.hosts, [("db1".into(), 5432), ("db2".into(), 5433), ("::1".into(), 7)]);
        assert_eq!((&address.database[..], &address.schema[..]), ("my-db", "a b"));
        assert_eq!(address.protection, Some(Protection::Plain));
        assert_eq!(Address::parse(&address.name()).unwrap(), address);
        assert!(!address.is_local());
        let plain = Address::parse("postgres://127.0.0.1/x").unwrap();
        assert_eq!((plain.name().as_str(), plain.is_local()), ("postgres://127.0.0.1/x", true));
        assert!(Address::parse("postgres://%2Frun%2Fpg/x").unwrap().is_local());
    }

    #[test]
    fn passwords_are_refused_and_not_repeated() {
        for url in [
            "postgres://me:secret@db/x",
            "postgres://me:sec@secret@db/x",
            "postgres://me:a/secret@db/x",
            "postgres://:secret@db/x",
            "postgres://db/x?password=secret",
            "postgre://me:secret@db/x",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let error = Address::parse("postgres://me:secret@db/x").unwrap_err().to_string();
        assert!(error.contains("PGPASSWORD") && error.contains("me@db/x"), "{error}");
    }

    #[test]
    fn other_text_is_no_address() {
        for url in [
            "",
            "postgres://",
            "postgres:///x",
            "postgres://db",
            "postgres://db/",
            "postgres://db/a/b",
            "postgres://db:0/x",
            "postgres://db:99999/x",
            "postgres://db:/x",
            "postgres://a,,b/x",
            "postgres://[::1/x",
            "postgres://[x]/x",
            "postgres://db/x?schema=",
            "postgres://db/x?schema=pg_x",
            "postgres://db/x?sslmode=prefer",
            "postgres://db/x?a=b",
            "postgres://db/%00",
            "postgres://%ff@db/x",
            "http://db/x",
            "postgres://\n/x",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(matches!(error, Error::BadAddress { .. }), "{url}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}
