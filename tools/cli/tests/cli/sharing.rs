//! Several processes on one store.

use std::process::Stdio;

use crate::support::{Barn, finished};

#[test]
fn two_loads_of_the_same_at_once_generate_each_partition_once() {
    let barn = Barn::new("sleep 0.05; cp \"$1\" \"$2\"");
    let arguments = Barn::load_arguments(8, &["--json", "--jobs", "2"]);
    let other = barn.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mine = finished(&mut barn.command(&arguments)).ok();
    let other = other.wait_with_output().unwrap();
    assert!(other.status.success(), "{other:?}");
    assert_eq!(barn.calls(), 8);
    let other_summary: serde_json::Value = serde_json::from_str(String::from_utf8(other.stdout).unwrap().lines().last().unwrap()).unwrap();
    let generated = |summary: &serde_json::Value| summary["generated"].as_u64().unwrap();
    assert_eq!(generated(&mine.summary()) + generated(&other_summary), 8);
    assert_eq!((mine.summary()["read"].as_u64(), other_summary["read"].as_u64()), (Some(8), Some(8)));
}
