//! Compares recall@1 of two evaluations of the same queries: `compare_ranks FIRST.jsonl SECOND.jsonl`, files of
//! `sbir eval --ranks`. Prints both recalls, McNemar's test, a paired bootstrap interval, and every discordant query.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::Path;

use sbir_eval::paired::{bootstrap, discordant, mcnemar};
use serde_json::Value;

/// Names of the queries, and the 1-based ranks of their photos.
fn read(path: &Path) -> Result<(Vec<String>, Vec<usize>), Box<dyn Error>> {
    let (mut names, mut ranks) = (Vec::new(), Vec::new());
    for line in fs_err::read_to_string(path)?.lines() {
        let value: Value = serde_json::from_str(line)?;
        let rank = value["rank"].as_u64().ok_or_else(|| format!("no rank in {line}"))?;
        names.push(format!("{} {}", value["sketch"], value["photo"]));
        ranks.push(usize::try_from(rank)?);
    }
    Ok((names, ranks))
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [first_path, second_path] = paths.as_slice() else {
        return Err("two files of ranks".into());
    };
    let (names, first) = read(Path::new(first_path))?;
    let (others, second) = read(Path::new(second_path))?;
    if names != others {
        return Err("the files are not of the same queries in the same order".into());
    }
    let percent = |ranks: &[usize]| {
        100.0 * ranks.iter().filter(|rank| **rank == 1).count() as f64 / ranks.len() as f64
    };
    let test = mcnemar(&first, &second, 1)?;
    let interval = bootstrap(&first, &second, 1, 10_000, 0.95, 42)?;
    println!("queries            {}", names.len());
    println!("recall@1           {:.2} % and {:.2} %", percent(&first), percent(&second));
    println!(
        "difference         {:+.2} points, 95 % interval {:+.2} to {:+.2}",
        100.0 * interval.difference,
        100.0 * interval.interval[0],
        100.0 * interval.interval[1]
    );
    println!("ranks that differ  {}", first.iter().zip(&second).filter(|(a, b)| a != b).count());
    println!(
        "discordant         {} hit by the first only, {} by the second only; McNemar's p {:.3}",
        test.first_only, test.second_only, test.p_value
    );
    let queries = discordant(&first, &second, 1)?;
    let mut all = [queries.first_only, queries.second_only].concat();
    all.sort_unstable();
    for query in all {
        println!("  {} ranks {} and {}", names[query], first[query], second[query]);
    }
    Ok(())
}
