#!/usr/bin/env bash
# run.sh: `make e2e-kubernetes`. Finflow from this tree on a real Kubernetes: installed, tested, scaled under load, restarted, killed,
# upgraded, rolled back and uninstalled; at the end every trade is stored once and every window is right. Settings (environment):
#   E2E_CONTEXT=current  the current kubectl context; its nodes must be able to pull IMAGE_REPOSITORY. Else ../shared/cluster, with
#                        images built here by the Dockerfile
#   E2E_RESTARTS         rolling restarts and pod kills under load; default 4 (make soak-kubernetes: 50)
#   E2E_SECONDS          length of the load; default 60
#   E2E_RATE             trades per second; default 5000
#   E2E_KEEP=1           leaves the release and the cluster
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cluster_up
images=${FINFLOW_IMAGES_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-images}
release=finflow
namespace=finflow-e2e
rate=${E2E_RATE:-5000}
seconds=${E2E_SECONDS:-60}
restarts=${E2E_RESTARTS:-4}
loaded=$((rate * seconds))
recorded=$(($(gzip -dc testdata/binance/spot_btcusdt_20240808.trades.csv.gz | wc -l) - 1))
forwards=()
k() { kubectl -n "$namespace" "$@"; }

finish() {
  local code=$? pid
  if ((code)); then
    k get pods,jobs >&2 || true
    for pod in $(k get pods -o name 2>/dev/null); do k logs --tail=5 "$pod" >&2 || true; done
  fi
  for pid in "${forwards[@]}"; do kill "$pid" 2>/dev/null || true; done
  [[ ! -x ${stack:-}/prometheus.sh ]] || bash "$stack/prometheus.sh" down >/dev/null 2>&1 || true
  if [[ ! ${E2E_KEEP:-} ]]; then
    helm -n "$namespace" uninstall "$release" --ignore-not-found >/dev/null 2>&1 || true
    kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null 2>&1 || true
  fi
}
trap finish EXIT

# forward SERVICE LOCAL REMOTE: until it answers.
forward() {
  kubectl -n "$namespace" port-forward "service/$release-$1" "$2:$3" >/dev/null 2>&1 &
  forwards+=($!)
  until_ok 20 "port-forward to $1" bash -c "exec 3<>/dev/tcp/127.0.0.1/$2"
}

# metric STAGE NAME: of each pod of a stage, a line `pod value` for each series, by the API server's proxy.
metric() {
  local pod
  for pod in $(k get pods -l "app.kubernetes.io/component=$1" --field-selector=status.phase=Running -o name); do
    kubectl get --raw "/api/v1/namespaces/$namespace/pods/${pod#pod/}:9090/proxy/metrics" |
      awk -v name="$2" -v pod="${pod#pod/}" 'index($1, name) == 1 && (length($1) == length(name) || substr($1, length(name) + 1, 1) == "{") {print pod, $2}'
  done
}
total() { metric "$@" | awk '{sum += $2} END {printf "%d\n", sum}'; }

# takes SECONDS STAGE ...: CPU over so long, in thousandths of a core, and resident memory of a stage's pods together.
takes() {
  local length=$1 stage
  shift
  declare -A before
  for stage; do before[$stage]=$(metric "$stage" process_cpu_seconds_total | awk '{sum += $2} END {print sum}'); done
  sleep "$length"
  for stage; do
    metric "$stage" process_cpu_seconds_total | awk -v before="${before[$stage]}" -v over="$length" -v stage="$stage" \
      -v bytes="$(total "$stage" process_resident_memory_bytes)" \
      '{sum += $2} END {printf "%s %d m, %d MiB; ", stage, (sum - before) * 1000 / over, bytes / 1048576}'
  done
}

# verified NAME: `finflow verify` as a job of the release, over claims and objects alone.
verified() {
  k create job "$1" --from="cronjob/$release-verify" >/dev/null
  ended() { [[ $(k get job "$1" -o jsonpath='{.status.conditions[*].type}') =~ Complete|Failed ]]; }
  until_ok 600 "finflow verify" ended "$1"
  k logs "job/$1" --tail=20 >&2
  [[ $(k get job "$1" -o jsonpath='{.status.succeeded}') == 1 ]]
}

rolled_out() { # every deployment that is asked for is there and ready
  k rollout status --timeout="${2:-120s}" "deployment/$release-$1" >/dev/null || die "$1 is not rolled out"
}
settled() { # nobody is behind, and the load has been read to its end
  local stage
  [[ $(total load finflow_ingest_feeds_running) == 0 ]] || return 1
  for stage in aggregate alert store; do [[ $(total $stage finflow_${stage}_consumer_lag_records) == 0 ]] || return 1; done
}

if [[ $own_cluster ]]; then
  say "images"
  if [[ ! -f $images/tars/finflow.tar || ! ${E2E_IMAGES_AS_THEY_ARE:-} ]]; then
    BASES=local ENGINE=buildah deploy/images/build.sh --archive "$images/tars" >"$images/build.log" 2>&1 || { tail -20 "$images/build.log" >&2; die "images"; }
  fi
  deploy/e2e/images.sh "$images/e2e" >&2
  "$shared/cluster.sh" load "$images"/tars/*.tar "$images"/e2e/*.tar >/dev/null
  repository=localhost
else
  repository=${IMAGE_REPOSITORY:?the registry and path of the images}
fi
files=$(mktemp -d)
base64 -w0 testdata/binance/spot_btcusdt_20240808.trades.csv.gz >"$files/recording"
values=(-f "$chart/values-local.yaml" -f deploy/e2e/values.yaml --set "image.repository=$repository"
  --set-file "stages.ingest.files.spot_btcusdt\.trades\.csv\.gz=$files/recording")
symbols=$(printf 'L%02d+' {1..12})
# A known number of trades, all of one day of event time.
feed="synthetic:${symbols%+}?seed=7&rate=$rate&count=$loaded&start=2024-08-12T00:00:00Z"
load=(-f deploy/e2e/load.yaml --set-json "stages.load.config={\"feeds\":[\"$feed\"]}")

kubectl get namespace "$namespace" >/dev/null 2>&1 && die "the namespace $namespace is there: an earlier run left it; delete it first"
kubectl create namespace "$namespace" >/dev/null
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null

say "install"
begun=$SECONDS
helm -n "$namespace" install "$release" "$chart" "${values[@]}" --wait --timeout 120s >/dev/null
took=$((SECONDS - begun))
say "all pods ready after $took s"
((took <= ${E2E_READY:-60})) || die "all pods were ready only after $took s"

say "helm test"
helm -n "$namespace" test "$release" >/dev/null || die "helm test"
# It must be able to fail: with a stage away it does.
k scale "deployment/$release-logger" --replicas=0 >/dev/null
k wait --for=delete pod -l app.kubernetes.io/component=logger --timeout=60s >/dev/null
if helm -n "$namespace" test "$release" >/dev/null 2>&1; then die "helm test passes without the logger"; fi
k delete pod "$release-test" --ignore-not-found >/dev/null
k scale "deployment/$release-logger" --replicas=1 >/dev/null

say "page and objects"
forward gateway 28080 80
forward s3 29000 9000
export S3_ENDPOINT=http://127.0.0.1:29000 AWS_ACCESS_KEY_ID=finflow
AWS_SECRET_ACCESS_KEY=$(k get secret "$release-s3" -o jsonpath='{.data.AWS_SECRET_ACCESS_KEY}' | base64 -d)
export AWS_SECRET_ACCESS_KEY
until_ok 10 "the page" curl -fsS -o /dev/null http://127.0.0.1:28080/
until_ok 60 "the replayed symbol on the page" bash -c 'curl -fsS "http://127.0.0.1:28080/v1/quotes?symbols=BINANCE:BTCUSDT" | grep -q "\"symbol\":\"BINANCE:BTCUSDT\""'
until_ok 60 "objects on S3" bash -c '(( $(deploy/e2e/lake.py finflow --list) > 0 ))'
for pod in $(k get pods -l app.kubernetes.io/part-of=finflow -o name); do
  [[ $(k get "$pod" -o jsonpath='{.spec.containers[0].securityContext.readOnlyRootFilesystem}{.spec.securityContext.runAsNonRoot}') == truetrue ]] ||
    die "$pod runs as root or with a root file system that can be written"
done

say "load: $loaded trades, $rate a second"
helm -n "$namespace" upgrade "$release" "$chart" "${values[@]}" "${load[@]}" --wait --timeout 120s >/dev/null
until_ok 30 "trades of the load" bash -c "curl -fsS 'http://127.0.0.1:28080/v1/quotes?symbols=L01' | grep -q '\"symbol\":\"L01\"'"
say "at $rate trades a second, one pod each: $(takes 10 load aggregate alert store logger gateway)"
k scale "deployment/$release-aggregate" --replicas=3 >/dev/null
rolled_out aggregate
spread() { metric aggregate finflow_aggregate_consumer_records_total | awk '$2 > 0 {pods++} END {exit !(pods == 3)}'; }
until_ok 60 "work for each of three aggregates" spread
say "three aggregates, each with work: $(metric aggregate finflow_aggregate_consumer_records_total | awk '{printf "%d ", $2}')"
k scale "deployment/$release-aggregate" --replicas=5 >/dev/null
rolled_out aggregate
idle() { metric aggregate finflow_aggregate_consumer_assigned_partitions | sort -k2 -n | awk '{printf "%d", $2} END {print ""}' | grep -qx 00111; }
until_ok 30 "two spares among five aggregates" idle
say "five aggregates, all ready, two of them spare"

stack=${FINFLOW_STACK:-../shared/stack}
if [[ $own_cluster && -x $stack/prometheus.sh ]]; then
  targets=$(k get pods -l app.kubernetes.io/part-of=finflow -o jsonpath='{range .items[?(@.status.phase=="Running")]}{.metadata.labels.app\.kubernetes\.io/component}={.status.podIP} {end}' |
    tr ' ' '\n' | sed -n '/^\(kafka\|s3\|test\|topics\)=/d; s/.*=\(.*\)/\1:9090/p' | paste -sd,)
  PROM_TARGETS=$targets bash "$stack/prometheus.sh" up "$chart/rules/finflow.yaml" >/dev/null 2>&1
  until_ok 90 "rows for every panel" deploy/e2e/panels.sh "http://127.0.0.1:${PROM_PORT:-19090}"
  say "$(deploy/e2e/panels.sh "http://127.0.0.1:${PROM_PORT:-19090}")"
else
  say "skipped: the dashboards' queries need a Prometheus that reaches the pods"
fi

say "$restarts rolling restarts and kills"
k scale "deployment/$release-aggregate" --replicas=2 >/dev/null
stages=(aggregate alert store logger)
for ((turn = 0; turn < restarts; turn++)); do
  stage=${stages[turn % 4]}
  # Four stages in turn: each is restarted in one round and killed in the next.
  if (((turn + turn / 4) % 2)); then
    victim=$(k get pods -l "app.kubernetes.io/component=$stage" -o name | shuf -n 1 --random-source=<(yes "$turn"))
    k delete "$victim" --force --grace-period=0 >/dev/null 2>&1
  else
    k rollout restart "deployment/$release-$stage" >/dev/null
  fi
  rolled_out "$stage"
done

say "a drain of the node"
node=$(k get pods -l app.kubernetes.io/component=aggregate -o jsonpath='{.items[0].spec.nodeName}')
# There is no other node: what is evicted has nowhere to go until this one takes pods again, and the budget keeps the second aggregate.
drain() { kubectl drain "$node" --pod-selector="app.kubernetes.io/component in ($1)" --delete-emptydir-data --timeout="$2" 2>&1; }
if drained=$(drain aggregate 15s); then die "both aggregates were evicted: the disruption budget does not hold"; fi
[[ $drained == *"disruption budget"* ]] || die "drain of the aggregates: $drained"
drain 'alert, store, logger' 60s >/dev/null || die "drain of alert, store and logger"
kubectl uncordon "$node" >/dev/null
for stage in "${stages[@]}"; do rolled_out "$stage"; done
say "alert, store, logger and one of two aggregates evicted and back; the budget kept the other"

say "end of the load"
until_ok $((seconds * 3 + 120)) "the end of the load" settled
# Partitions are closed one by one, by the clock: the bar of the last minute must be there for every symbol, and final.
last=$(date -u -d "2024-08-12 + $(((loaded - 1) / rate / 60)) minutes" +%FT%T)
windows_closed() {
  local symbol
  for symbol in L{01..12}; do
    curl -fsS "http://127.0.0.1:28080/v1/bars?symbol=$symbol&window=1m&limit=1" | grep "\"start\":\"$last" | grep -q '"final":true' || return 1
  done
}
until_ok 60 "the last window" windows_closed
until_ok 30 "the end of the load" settled

# A stage that is told to end stores what it holds.
k scale "deployment/$release-store" --replicas=0 >/dev/null
k wait --for=delete pod -l app.kubernetes.io/component=store --timeout=60s >/dev/null
deploy/e2e/lake.py finflow --trades $((recorded + loaded))
verified loaded || die "finflow verify after the load"

say "upgrade, rollback"
helm -n "$namespace" upgrade "$release" "$chart" "${values[@]}" "${load[@]}" --set stages.logger.config.report_interval=2s --wait --timeout 120s >/dev/null
[[ $(k get configmap "$release-logger" -o jsonpath='{.data.config\.yaml}') == *'"report_interval": "2s"'* ]] || die "the upgrade did not reach the settings"
helm -n "$namespace" rollback "$release" --wait --timeout 120s >/dev/null
[[ $(k get configmap "$release-logger" -o jsonpath='{.data.config\.yaml}') != *report_interval* ]] || die "the rollback did not reach the settings"
helm -n "$namespace" test "$release" >/dev/null || die "helm test after the rollback"
# Restarts read nothing twice: the lake is as it was.
k scale "deployment/$release-store" --replicas=0 >/dev/null
k wait --for=delete pod -l app.kubernetes.io/component=store --timeout=60s >/dev/null
deploy/e2e/lake.py finflow --trades $((recorded + loaded))

[[ ! $own_cluster ]] || . deploy/e2e/key.sh

# The check can fail: with one object read twice, and with one trade too few, it does.
if deploy/e2e/lake.py finflow --twice >/dev/null 2>&1; then die "the check of the lake passes with an object there twice"; fi
if deploy/e2e/lake.py finflow --trades $((recorded + loaded + 1)) >/dev/null 2>&1; then die "the check of the lake passes with a trade too few"; fi
deploy/e2e/lake.py finflow --drop
if verified broken 2>/dev/null; then die "finflow verify passes without one of the objects"; fi

say "uninstall"
helm -n "$namespace" uninstall "$release" --wait >/dev/null
kinds=$(kubectl api-resources --verbs=list --namespaced -o name | grep -v -E '^(events|events.events.k8s.io|endpoints|endpointslices.discovery.k8s.io|pods.metrics.k8s.io)$' | paste -sd,)
nothing_left() {
  ! k get "$kinds" --ignore-not-found -o name 2>/dev/null | grep -v -E '^(configmap/kube-root-ca.crt|serviceaccount/default)$' | grep -q .
}
until_ok 60 "nothing left after the uninstall" nothing_left
say "e2e-kubernetes: all well"
