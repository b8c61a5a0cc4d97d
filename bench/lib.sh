# What the benches share: the harness beside the project, built once, and the binary under test.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
harness=${FINFLOW_BENCH:-$root/../shared/bench}
unset FINFLOW_BENCH # the programs under test take every FINFLOW_… for a setting
peers=${PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-peers}
brokers=127.0.0.1:39092

[ -d "$harness" ] || { echo "no harness at $harness: set FINFLOW_BENCH to where it is" >&2; exit 1; }
[ -x "$peers/bin/lab" ] || env -u CARGO_TARGET_DIR "$harness/install.sh" # it looks for its program in its own folder
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
# With the optimisation of the images.
# shellcheck disable=SC2086 # Words, not one.
[ -n "${NOBUILD:-}" ] || cargo build --quiet --locked --profile dist --manifest-path "$root/Cargo.toml" ${packages:--p finflow}
finflow=$CARGO_TARGET_DIR/dist/finflow

topic() { "$peers/broker/topic.sh" "$@" >/dev/null; }

# The stage's own topics, empty: a new group may not find the state of an old one.
own_topics() {
  topic --delete-prefix finflow-aggregate-state
  topic --delete-prefix dead-letter-queue
  "$finflow" topics apply --brokers "$brokers" >/dev/null 2>&1 || true
}
