#!/usr/bin/env bash
# How long a stage takes to read its state back: restore.sh [SYMBOLS [TRADES_EACH]] with five windows each.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
symbols=${1:-10000} each=${2:-20}
trap '"$peers/down.sh" >/dev/null 2>&1 || true' EXIT
"$peers/broker/kafka.sh" start; "$peers/s3/s3.sh" start
own_topics
topic restore-raw,restore-out
names=$(seq -f 'S%05.0f' "$symbols" | paste -sd+)
group=restore-$RANDOM$RANDOM

run() { # NAME: the stage until there is nothing left to read, with what it says about restoring
  "$peers/meas.py" "$1" $((symbols * each)) -- "$finflow" aggregate --brokers "$brokers" --group "$group" \
    --in restore-raw --out restore-out --admin off --set 'windows=[1s, 1m, 5m, 1h, 1d]' --until-end 2>"$peers/tmp/restore.log"
  grep -E 'state restored|restoring state' "$peers/tmp/restore.log" || true
}

"$finflow" ingest --brokers "$brokers" --out restore-raw --admin off --log-level error --speed max --until-end \
  --feed "synthetic:$names?seed=7&rate=20000&count=$((symbols * each))"
run finflow-fold
run finflow-restore
