# Sourced by run.sh: five pods of one ingest with one key of a venue that allows one connection. One reads, four stand by; who is
# killed or restarted is replaced, and there are never two connections. The venue is a fake on this machine, which pods reach at NODE_ADDRESS.
address=${NODE_ADDRESS:-10.244.0.1}:29100
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-target} cargo build --quiet --locked -p testkit --example venue
venue=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-target}/debug/examples/venue
"$venue" "$address" AAPL MSFT >"$files/venue" &
forwards+=($!)
until_ok 10 "the fake venue" test -s "$files/venue"

opened() { tail -n 1 "$files/venue" | cut -d' ' -f1; }
readers() { metric live finflow_ingest_feed_shares | awk '$2 > 0 {print $1}'; }
# one_reader COUNT: one pod reads, the others of five are ready, too; so many connections were ever opened, and the venue has no complaint.
one_reader() {
  [[ $(readers | wc -l) == 1 && $(metric live finflow_ingest_feed_shares | wc -l) == 5 ]] || return 1
  [[ $(k get deployment "$release-live" -o jsonpath='{.status.readyReplicas}') == 5 ]] || return 1
  [[ $(tail -n 1 "$files/venue") == "$1 1 0" ]]
}

say "five pods with one key"
live=$(printf '{"service":"ingest","replicas":5,"config":{"feeds":["finnhub?symbols=AAPL+MSFT&url=ws://%s/"]},"secretEnv":{"FINNHUB_API_KEY":"k"},"resources":{"requests":{"cpu":"10m"}}}' "$address")
helm -n "$namespace" upgrade "$release" "$chart" "${values[@]}" "${load[@]}" --set-json "stages.live=$live" --wait --timeout 180s >/dev/null
until_ok 60 "one of five reads" one_reader 1
until_ok 30 "a trade of the venue on the page" bash -c "curl -fsS 'http://127.0.0.1:28080/v1/quotes?symbols=MSFT' | grep -q '\"symbol\":\"MSFT\"'"
for count in 2 3; do
  begun=$(date +%s%3N)
  k delete pod "$(readers)" --force --grace-period=0 >/dev/null 2>&1
  while [[ $(opened) != "$count" ]]; do
    (($(date +%s%3N) - begun < 15000)) || die "nobody reads 15 s after the pod was killed"
    sleep 0.05
  done
  say "its pod killed, another one connected after $(($(date +%s%3N) - begun)) ms"
  until_ok 90 "five pods again, one of which reads" one_reader "$count"
done
k scale "deployment/$release-live" --replicas=0 >/dev/null
k wait --for=delete pod -l app.kubernetes.io/component=live --timeout=60s >/dev/null
say "five pods, one key, $(opened) connections one after the other, no complaint of the venue"
