#!/usr/bin/env bash
# Whether the cost of a record stays the same: from 1 to 12 partitions, from 1 to 10 million records, with 10,000 symbols, and what two
# processes do next to one. scaling.sh [partitions|history|symbols|processes…]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap '"$peers/down.sh" >/dev/null 2>&1 || true' EXIT
"$peers/broker/kafka.sh" start; "$peers/s3/s3.sh" start
results=$peers/results.jsonl
run=$RANDOM # the broker keeps the topics of earlier runs
first=$(($(wc -l <"$results") + 1))

kafka_topic() { java -XX:TieredStopAtLevel=1 -cp "$peers/broker/libs/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$brokers" "$@" >/dev/null 2>&1; }

# NAME PARTITIONS SYMBOLS COUNT: topics of their own, and that many trades of an hour.
input() {
  kafka_topic --create --topic "$1-raw" --partitions "$2" && kafka_topic --create --topic "$1-out" --partitions "$2"
  kafka_topic --create --topic "$1-state" --partitions "$2" --config cleanup.policy=compact
  local names
  names=$(seq -f 'S%05.0f' "$3" | paste -sd+)
  "$finflow" ingest --brokers "$brokers" --out "$1-raw" --admin off --log-level error --speed max --until-end \
    --feed "$1=synthetic:$names?seed=7&rate=$((($4 + 3599) / 3600))&count=$4" >/dev/null
}

# NAME GROUP: the stage as it is, until there is nothing left.
stage() {
  "$finflow" aggregate --brokers "$brokers" --group "$2" --in "$1-raw" --out "$1-out" --set "state=$1-state" --admin off \
    --log-level error --until-end "${@:3}"
}

# NAME COUNT PARTITIONS: three times from the beginning, each with state of its own.
measure() {
  local name=$1 count=$2 round
  for round in 1 2 3; do
    kafka_topic --delete --topic "$name-state"
    kafka_topic --create --topic "$name-state" --partitions "$3" --config cleanup.policy=compact
    "$peers/meas.py" "$name" "$count" -- bash -c "$(declare -f stage); finflow=$finflow brokers=$brokers; stage $name $name-$RANDOM-$round"
  done
}

# NAME COUNT PARTITIONS: two at once, which share the partitions; the rate from the first record of the earlier one on.
together() {
  local name=$1 count=$2 group=$1-two-$RANDOM
  kafka_topic --delete --topic "$name-state"
  kafka_topic --create --topic "$name-state" --partitions "$3" --config cleanup.policy=compact
  stage "$name" "$group" --set "transactional_id=$group-a" >"$peers/tmp/two-a" &
  stage "$name" "$group" --set "transactional_id=$group-b" >"$peers/tmp/two-b"
  wait
  python3 - "$count" "$peers/tmp/two-a" "$peers/tmp/two-b" <<'P'
import json, sys
both = [json.loads(open(f).read().strip().splitlines()[-1]) for f in sys.argv[2:]]
wall = max(one["wall_s"] for one in both)
shares = {"wall_s": [round(one["wall_s"], 2) for one in both], "msgs": [one["msgs"] for one in both]}
print(json.dumps({"two processes": {"msgs_per_s": round(int(sys.argv[1]) / wall), **shares}}))
P
}

for what in "${@:-partitions history symbols processes}"; do for part in $what; do
  case $part in
  partitions) for n in 1 3 6 12; do input "p$n-$run" "$n" 50 2000000 && measure "p$n-$run" 2000000 "$n"; done ;;
  history) for m in 1 10; do input "h$m-$run" 3 50 ${m}000000 && measure "h$m-$run" ${m}000000 3; done ;;
  symbols) input "s10000-$run" 3 10000 2000000 && measure "s10000-$run" 2000000 3 ;;
  # Enough symbols and partitions that each process gets about half.
  processes) input "one-$run" 12 200 6000000 && measure "one-$run" 6000000 12 && for _ in 1 2 3; do together "one-$run" 6000000 12; done ;;
  esac
done; done
tail -n +"$first" "$results" | python3 "$root/bench/table.py"
