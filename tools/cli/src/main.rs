//! The tickbarn command.
fn main() {}
