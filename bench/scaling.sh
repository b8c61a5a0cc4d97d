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
  $finflow aggregate --brokers "$brokers" --group "$2" --in "$1-raw" --out "$1-out" --set "state=$1-state" --admin off \
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

# A broker that waits for members before it shares the partitions out, as Kafka does by default and the harness's does not: two that
# begin together get half each.
patient_broker() {
  local dir=$peers/broker
  "$dir/kafka.sh" stop
  setsid nohup java -Xms1g -Xmx1g -XX:+UseG1GC -Dlog4j2.configurationFile="$dir/log4j2.yaml" -cp "$dir/libs/*:$dir" kafka.Kafka \
    "$dir/server.properties" --override group.initial.rebalance.delay.ms=3000 >"$dir/broker.log" 2>&1 &
  echo $! >"$dir/broker.pid"
  until (echo >/dev/tcp/127.0.0.1/39092) 2>/dev/null; do sleep 0.5; done
}

# CORE NAME GROUP: a process with a core of its own, as a pod with that limit has; its summary, and when it ended.
on_core() {
  local core=$1 bare=$finflow
  shift
  finflow="taskset -c $core $bare" stage "$@"
  date +%s.%N
}

# NAME COUNT PARTITIONS: one process, then two that share the partitions, in rounds; rates from the first record of the earlier one on.
# The broker has both cores in either case, and gets warm in the first rounds.
together() {
  local name=$1 count=$2 round group files
  patient_broker
  for round in $(seq 8); do
    for processes in 1 2; do
      kafka_topic --delete --topic "$name-state"
      group=$name-$processes-$RANDOM files=() pids=()
      for core in $(seq 0 $((processes - 1))); do
        files+=("$peers/tmp/process-$core")
        on_core "$core" "$name" "$group" --set "transactional_id=$group-$core" >"$peers/tmp/process-$core" & pids+=($!)
      done
      # They wait for it, and begin together.
      kafka_topic --create --topic "$name-state" --partitions "$3" --config cleanup.policy=compact
      wait "${pids[@]}"
      python3 - "$round" "$count" "${files[@]}" <<'P'
import json, sys
ends = [(json.loads(lines[0]), float(lines[-1])) for lines in (open(f).read().strip().splitlines() for f in sys.argv[3:])]
wall = max(end for _, end in ends) - min(end - one["wall_s"] for one, end in ends)
print(json.dumps({"round": int(sys.argv[1]), "processes": len(ends), "msgs_per_s": round(int(sys.argv[2]) / wall),
                  "msgs": [one["msgs"] for one, _ in ends], "cpu_s": round(sum(one["cpu_s_after_first"] for one, _ in ends), 2),
                  "transactions": sum(one["transactions"] for one, _ in ends)}))
P
    done
  done
}

for what in "${@:-partitions history symbols processes}"; do for part in $what; do
  case $part in
  partitions) for n in 1 3 6 12; do input "p$n-$run" "$n" 50 2000000 && measure "p$n-$run" 2000000 "$n"; done ;;
  history) for m in 1 10; do input "h$m-$run" 3 50 ${m}000000 && measure "h$m-$run" ${m}000000 3; done ;;
  symbols) input "s10000-$run" 3 10000 2000000 && measure "s10000-$run" 2000000 3 ;;
  # Enough symbols and partitions that each process gets about half.
  processes) input "one-$run" 12 200 6000000 && together "one-$run" 6000000 12 ;;
  esac
done; done
tail -n +"$first" "$results" | python3 "$root/bench/table.py"
