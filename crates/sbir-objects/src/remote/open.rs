//! From the environment to a client.

use std::sync::Once;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ClientConfigKey, RetryConfig};

use super::Bucket;
use super::guard::Connector;
use crate::error::{Error, Result};
use crate::place::Options;

/// Lead to credentials, each on its own.
const CREDENTIALS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];

impl Bucket {
    /// A bucket with endpoint and credentials from the environment.
    pub(crate) fn open(bucket: &str, prefix: &str, options: &Options) -> Result<Self> {
        tls();
        let given = options.environment.clone();
        let environment = given.unwrap_or_else(|| {
            let own = std::env::vars_os();
            own.filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            })
            .collect()
        });
        let has =
            |name: &str| environment.iter().any(|(key, value)| key == name && !value.is_empty());
        check(&environment)?;
        let patience = options.patience;
        let seconds = |time: Duration| format!("{} ms", time.as_millis());
        let connector = Connector::default();
        let dropped = connector.dropped.clone();
        let client = AmazonS3ConfigKey::Client;
        let mut builder = AmazonS3Builder::new()
            .with_config(client(ClientConfigKey::ConnectTimeout), seconds(patience.connect))
            .with_config(client(ClientConfigKey::ReadTimeout), seconds(patience.idle))
            .with_config(client(ClientConfigKey::Timeout), seconds(patience.attempt));
        for (name, value) in &environment {
            // An empty variable is one that is not set.
            if name.starts_with("AWS_")
                && !value.is_empty()
                && let Ok(key) = name.to_ascii_lowercase().parse()
            {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder
            .with_bucket_name(bucket)
            // Attempts are made here, so that one deadline holds for all.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(connector)
            .build()
            .map_err(|error| config(&error.to_string()))?;
        let name = format!("s3://{bucket}/{prefix}");
        Ok(Self {
            store,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            name: name.trim_end_matches('/').to_owned(),
            patience,
            stop: options.stop,
            credentials: CREDENTIALS.iter().any(|name| has(name)),
            dropped,
        })
    }
}

fn config(problem: &str) -> Error {
    Error::Config { problem: problem.split_whitespace().collect::<Vec<_>>().join(" ") }
}

/// What would else come out only as a failed connection.
fn check(environment: &[(String, String)]) -> Result<()> {
    let get = |name: &str| {
        environment
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    for (one, other) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ] {
        if get(one).is_some() && get(other).is_none() {
            return Err(config(&format!("{one} is set and {other} is not; set both or neither")));
        }
    }
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"] {
        let Some(url) = get(name) else { continue };
        if url.starts_with("http://") {
            if get("AWS_ALLOW_HTTP").is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
                return Err(config(&format!(
                    "{name} begins with http://, where anybody on the way can read along; use https://, or set AWS_ALLOW_HTTP=true"
                )));
            }
        } else if !url.starts_with("https://") {
            return Err(config(&format!("{name} must begin with https:// (or http://)")));
        }
    }
    Ok(())
}

/// Chooses ring for the whole process, unless something else was chosen.
fn tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
