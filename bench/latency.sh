#!/usr/bin/env bash
# Produce to visible for a read_committed reader at 5,000 messages/s, Finflow at several commit intervals beside Kafka Streams:
# latency.sh [RATE [SECONDS [INTERVAL…]]]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rate=${1:-5000} seconds=${2:-40}
shift 2 || set --
trap '"$peers/down.sh" >/dev/null 2>&1 || true' EXIT
"$peers/broker/kafka.sh" start; "$peers/s3/s3.sh" start
[ "${STREAMS:-1}" = 0 ] || "$peers/bench.sh" streams-lat-eos

for interval in "${@:-20ms}"; do
  own_topics
  topic lat-raw,lat-out
  "$peers/meas.py" "finflow-lat-$interval" $((rate * seconds)) -- timeout -s INT $((seconds + 25)) \
    "$finflow" aggregate --brokers "$brokers" --group "lat-$RANDOM$RANDOM" --in lat-raw --out lat-out --admin off --log-level error \
    --set emit=on_update --set update_throttle=0s --set "commit_interval=$interval" >"$peers/tmp/finflow-lat.out" &
  sleep 5 # joins the group before the first trade; a later start would count as latency
  echo "commit_interval $interval"
  "$peers/bin/lab" latency lat-raw lat-out "$rate" "$seconds" read_committed
  wait
  cat "$peers/tmp/finflow-lat.out"
done
