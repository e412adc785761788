//! Runs a server until its input ends: `run_server qdrant|cluster|postgres|s3`.
//!
//! Prints the lines that a shell takes up: `GALLERY=…` or `AWS_…=…`, then `pids=…` and `folder=…`, then `ready`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Read as _;

use sbir_servers::qdrant::{Cluster, Node, Qdrant};
use sbir_servers::{Postgres, S3};

fn main() -> Result<(), Box<dyn Error>> {
    let wait = || {
        println!("ready");
        std::io::stdin().read_to_end(&mut Vec::new())
    };
    match std::env::args().nth(1).as_deref() {
        Some("qdrant") => {
            let mut server = Qdrant::start()?;
            println!("GALLERY={}", server.url("bench"));
            tell([&*server.node()]);
            wait()?;
        }
        Some("cluster") => {
            let mut cluster = Cluster::start(3)?;
            println!("GALLERY={}", cluster.url("bench"));
            for index in 0..cluster.len() {
                tell([&*cluster.node(index)]);
            }
            wait()?;
        }
        Some("postgres") => {
            let server = Postgres::start_with(&["maintenance_work_mem=2GB", "shared_buffers=1GB"])?;
            server.create_database("bench")?;
            println!("GALLERY={}\nPGPASSWORD='{}'", server.url("bench"), Postgres::PASSWORD);
            wait()?;
        }
        Some("s3") => {
            let server = S3::start()?;
            for (name, value) in S3::environment(server.address()) {
                println!("{name}='{value}'");
            }
            wait()?;
        }
        _ => return Err("run_server qdrant|cluster|postgres|s3".into()),
    }
    Ok(())
}

fn tell<'a>(nodes: impl IntoIterator<Item = &'a Node>) {
    for node in nodes {
        println!("pids={}\nfolder={}", node.id().unwrap_or(0), node.folder().display());
    }
}
