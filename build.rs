//! Rebuilds when the template changes: the macro that embeds it does not say so itself.

fn main() {
    println!("cargo:rerun-if-changed=template");
    println!("cargo:rerun-if-changed=build.rs");
}
