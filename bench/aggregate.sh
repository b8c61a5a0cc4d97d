#!/usr/bin/env bash
# The aggregator against the floor and the peers named, in rounds: aggregate.sh [ROUNDS [PEER…]]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rounds=${1:-3}
shift || true
results=$peers/results.jsonl
trap '"$peers/down.sh" >/dev/null 2>&1 || true' EXIT
"$peers/up.sh" >/dev/null
first=$(($(wc -l <"$results") + 1))

aggregate() {
  own_topics
  topic agg-finflow
  "$peers/meas.py" finflow-agg 2000000 -- "$finflow" aggregate --brokers "$brokers" --group "agg-$RANDOM$RANDOM" \
    --in raw-market-data --out agg-finflow --admin off --log-level error --until-end "$@"
  "$peers/bin/lab" verify raw-market-data agg-finflow
}

for round in $(seq "$rounds"); do
  echo "== round $round of $rounds"
  "$peers/bench.sh" floor
  aggregate
  for peer in "$@"; do "$peers/bench.sh" "$peer"; done
done
tail -n +"$first" "$results" | python3 "$root/bench/table.py"
