#!/usr/bin/env bash
# What reading costs, next to its floor: one thread that reads the same recorded frames, decodes them and produces with librdkafka.
# Once from a file, as fast as possible, and once from a venue (a process of its own) over a WebSocket. ingest.sh [ROUNDS [VENUE…]]
packages="-p ingest -p testkit --bin ingest --example feeds"
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ingest=$CARGO_TARGET_DIR/dist/ingest feeds=$CARGO_TARGET_DIR/dist/examples/feeds
rounds=${1:-3}
shift || true
venues=${*:-binance coinbase}
messages=${MESSAGES:-1000000}
data=${FINFLOW_DATA:-$root/../shared/data}
results=$peers/results.jsonl
port=18767 admin=127.0.0.1:18768
work=$(mktemp -d)
venue_pid=
end() {
  [ -z "$venue_pid" ] || kill "$venue_pid" 2>/dev/null || true
  [ -n "${BROKERS:-}" ] || "$peers/broker/kafka.sh" stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap end EXIT
# With BROKERS= another broker than that of the harness is used, and left alone.
brokers=${BROKERS:-$brokers}
[ -n "${BROKERS:-}" ] || "$peers/broker/kafka.sh" start >/dev/null
first=$(($(cat "$results" 2>/dev/null | wc -l) + 1))

for venue in $venues; do
  case $venue in
    binance) zcat "$data"/binance_ws/spot_btcusdt_20240808.gz "$data"/binance_ws/spot_ethusdt_20240808.gz ;;
    coinbase) zcat "$data"/coinbase_ws/*.gz ;;
  esac >"$work/captured"
  "$feeds" frames "$venue" "$messages" "$work/$venue" "$work/captured"
done

meas() { "$peers/meas.py" "$1" "$messages" -- "${@:2}"; }
# Topics that no run before has written to: a reader would go on where that stopped.
topics() {
  name=bench-$RANDOM$RANDOM
  "$feeds" topics "$brokers" "$name"
  settings=(--brokers "$brokers" --out "$name-out" --set "dead_letters=$name-dead" --set "leases=$name-leases" --log-level error --set progress=off)
}
serve() {
  "$feeds" venue "$1" "$work/$1" $port >/dev/null 2>&1 &
  venue_pid=$!
  # Not by connecting: the first who does is served.
  until grep -q "$(printf ':%04X 00000000:0000 0A' $port)" /proc/net/tcp; do sleep 0.1; done
}
leave() {
  kill "$venue_pid" 2>/dev/null || true
  wait "$venue_pid" 2>/dev/null || true
  venue_pid=
}

floor() { # NAME VENUE FROM: bare records, and those that ingest writes, with their headers
  topics
  [ "$3" = - ] || serve "$2"
  meas "floor-$1" "$feeds" floor "$2" "$work/$2" "$3" "$brokers" "$name-out" ${4:-}
  [ "$3" = - ] || leave
}

live() { # VENUE: until Kafka has acknowledged all that was sent. No venue is as fast as this one: what comes must not be dropped
  topics
  serve "$1"
  local symbols meas pid
  symbols=$("$feeds" symbols "$1" "$work/$1")
  "$peers/meas.py" "ingest-$1-live" "$messages" -- "$ingest" "${settings[@]}" --set live.memory=2GiB \
    --feed "$1?url=ws://127.0.0.1:$port/&shares=1&symbols=$symbols" --admin $admin &
  meas=$!
  until pid=$(pgrep -P "$meas" -x ingest); do sleep 0.1; done
  until curl -s "http://$admin/metrics" | awk -v n="$messages" '/^finflow_ingest_produced_records_total.*-out/ && $2 >= n {ok = 1} END {exit !ok}'; do
    kill -0 "$pid" || { echo "ingest has gone" >&2; exit 1; }
    sleep 0.2
  done
  kill -TERM "$pid"
  wait "$meas"
  leave
}

url=ws://127.0.0.1:$port/
for round in $(seq "$rounds"); do
  echo "== round $round of $rounds"
  for venue in $venues; do
    floor "$venue-file-bare" "$venue" -
    floor "$venue-file" "$venue" - records
    topics
    meas "ingest-$venue-file" "$ingest" "${settings[@]}" --feed "$venue:$work/$venue" --speed max --admin off --until-end
    serve "$venue"
    meas "floor-$venue-socket" "$feeds" socket "$venue" "$work/$venue" "$url"
    leave
    floor "$venue-live-bare" "$venue" "$url"
    floor "$venue-live" "$venue" "$url" records
    live "$venue"
  done
done
tail -n +"$first" "$results" | python3 "$root/bench/table.py"
