#!/bin/sh
# manifests.sh DIR: the workspace's Cargo files with empty sources, into DIR. What cargo needs to compile the dependencies.
set -eu
out=$1
mkdir -p "$out"
cp Cargo.toml Cargo.lock "$out"
for manifest in crates/*/Cargo.toml services/*/Cargo.toml; do
  dir=${manifest%/Cargo.toml}
  mkdir -p "$out/$dir/src"
  cp "$manifest" "$out/$dir"
  if [ -f "$dir/src/lib.rs" ]; then : >"$out/$dir/src/lib.rs"; fi
  if [ -f "$dir/src/main.rs" ]; then echo 'fn main() {}' >"$out/$dir/src/main.rs"; fi
done
