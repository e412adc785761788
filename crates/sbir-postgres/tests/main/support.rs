//! Servers, galleries and records.

use std::time::Duration;

use sbir_gallery::{Photo, PhotoId, Record, RelPath, Space};
use sbir_postgres::{Options, Postgres};
use sbir_servers::Postgres as Server;

/// The dimension of most tests.
pub(crate) const DIMENSION: usize = 8;

/// A server of one's own with a database "photos"; none where it is missing, which is said.
pub(crate) fn server() -> Option<Server> {
    match Server::start() {
        Ok(server) => {
            server.create_database("photos").unwrap();
            Some(server)
        }
        Err(error) => {
            sbir_servers::skipped("PostgreSQL", &error);
            None
        }
    }
}

/// Runs a test in a process of its own for the sake of its environment: this one's is every test's. True in that process.
pub(crate) fn alone(test: &str, environment: &[(&str, &str)]) -> bool {
    const CHILD: &str = "SBIR_TEST_CHILD";
    if std::env::var_os(CHILD).is_some_and(|name| name == test) {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_remove("PGPASSWORD")
        .env_remove("PGPASSFILE")
        .env_remove("PGSSLMODE")
        .env_remove("HOME")
        .env(CHILD, test)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {said}\n{failed}");
    false
}

/// Patient, but not very.
pub(crate) fn options() -> Options {
    let password = Some(Server::PASSWORD.to_owned());
    Options { password, deadline: Duration::from_secs(20), ..Options::default() }
}

/// A client of a gallery in a schema.
pub(crate) fn open(server: &Server, schema: &str) -> Postgres {
    Postgres::connect(&format!("{}?schema={schema}", server.url("photos")), options()).unwrap()
}

pub(crate) fn space() -> Space {
    Space { fingerprint: "test".into(), dimension: DIMENSION }
}

pub(crate) fn record(path: &str, embedding: &[f32]) -> Record {
    let photo = Photo {
        id: PhotoId(0),
        root: "/photos".into(),
        path: RelPath::new(path.into()).unwrap(),
        size: 5,
        mtime_ns: 7,
        hash: [9; 32],
        width: 4,
        height: 3,
    };
    Record { photo, embedding: unit(embedding) }
}

pub(crate) fn unit(values: &[f32]) -> Vec<f32> {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / norm).collect()
}

/// Vectors that look random and are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn value(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn vector(&mut self, dimension: usize) -> Vec<f32> {
        unit(&(0..dimension).map(|_| self.value()).collect::<Vec<_>>())
    }
}
