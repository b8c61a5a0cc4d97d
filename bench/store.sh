#!/usr/bin/env bash
# The store against the storage floor, in rounds: store.sh [ROUNDS [FORMAT…]]. Each run is read back: every trade once.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rounds=${1:-3}
shift || true
formats=${*:-jsonl.gz parquet}
results=$peers/results.jsonl
trap '"$peers/down.sh" >/dev/null 2>&1 || true' EXIT
"$peers/up.sh" >/dev/null
first=$(($(wc -l <"$results") + 1))
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=testtest

# FORMAT: only the topic of the trades, to the bucket of the floor, by the hour of the event.
store() {
  "$peers/meas.py" "finflow-store-$1" 2000000 -- "$finflow" store --brokers "$brokers" --group "store-$RANDOM$RANDOM" --in raw-market-data \
    --set metrics= --set alerts= --set dead_letters= --s3-endpoint http://127.0.0.1:39000 --bucket lab --prefix "finflow-$1" \
    --format "$1" --admin off --log-level error --until-end
}

for round in $(seq "$rounds"); do
  echo "== round $round of $rounds"
  for codec in zlib-rs libdeflate6; do
    "$peers/s3/s3.sh" wipe "floor-$codec"
    "$peers/meas.py" "floor-storage-$codec" 2000000 -- "$peers/bin/lab" storage raw-market-data "$codec"
  done
  for format in $formats; do
    "$peers/s3/s3.sh" wipe "finflow-$format"
    store "$format"
    "$peers/py/v/bin/python" "$peers/s3count.py" "finflow-$format/"
  done
done
# Once more on what is there: nothing of it is read again.
for format in $formats; do store "$format"; done | sed -n 's/.*"own": //p'
tail -n +"$first" "$results" | python3 "$root/bench/table.py"
