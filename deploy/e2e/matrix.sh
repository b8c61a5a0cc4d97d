#!/usr/bin/env bash
# matrix.sh: what the chart and deploy/strimzi make, judged by a real API server (dry run on the server, nothing stays): all off, all
# on, each example, long names, two releases in one namespace, all in a namespace of the restricted Pod Security level.
# CRDS: folders with the definitions of Strimzi, KEDA, Prometheus operator and Gateway API; default: those of ../shared/cluster and of
# the Gateway API's Go module.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cluster_up
crds=(${CRDS:-})
if ((${#crds[@]} == 0)); then
  crds=("$shared/crds")
  if command -v go >/dev/null; then
    gateway=$(cd / && go mod download -json sigs.k8s.io/gateway-api@v1.3.0 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
    crds+=("$gateway/config/crd/standard")
  fi
fi
for folder in "${crds[@]}"; do
  kubectl apply --server-side --force-conflicts -f "$folder" >/dev/null
done
kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null

namespace=finflow-matrix
config=$(mktemp)
trap 'kubectl delete namespace "$namespace" kafka --ignore-not-found --wait=false >/dev/null; rm -f "$config"' EXIT
# Objects without a namespace go to the context's: those with one of their own (KafkaTopics) must not be refused.
kubectl config view --raw --minify --flatten >"$config"
export KUBECONFIG=$config
kubectl config set-context --current --namespace="$namespace" >/dev/null
kubectl create namespace kafka --dry-run=client -o yaml | kubectl apply -f - >/dev/null
kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted}
YAML

# accepted NAME RELEASE [ARGUMENT ...]: rendered, then taken by the API server without a warning.
accepted() {
  local name=$1 release=$2 rendered; shift 2
  rendered=$(helm template "$release" "$chart" -n "$namespace" --kube-version 1.33 "$@")
  if [[ ! $rendered ]]; then say "accepted: $name (0 objects)"; return; fi
  local out
  out=$(kubectl apply --warnings-as-errors --dry-run=server -f - <<<"$rendered" 2>&1) || die "$name: $out"
  say "accepted: $name ($(grep -c 'server dry run' <<<"$out") objects)"
}
long=a-release-whose-name-is-as-long-as-helm-permits-itself
accepted "default" finflow
accepted "all off" finflow -f "$chart/tests/all-off.yaml"
accepted "all on" finflow -f "$chart/tests/all-on.yaml"
accepted "certificates" finflow -f "$chart/tests/mtls.yaml"
accepted "roles of IAM" finflow -f "$chart/tests/iam.yaml"
for example in local eks gke; do accepted "values-$example" finflow -f "$chart/values-$example.yaml"; done
accepted "all on, long name" "${long:0:53}" -f "$chart/tests/all-on.yaml"
accepted "long nameOverride" finflow -f "$chart/tests/all-on.yaml" --set nameOverride="$long-$long"
accepted "fullnameOverride" finflow -f "$chart/tests/all-on.yaml" --set fullnameOverride="x"

# Two releases of one namespace, with names that are cut at the same place: no object of one is of the other.
names() { helm template "$1" "$chart" -n "$namespace" -f "$chart/tests/all-on.yaml" --set topics.create=none --kube-version 1.33 | sed -n 's/^  name: //p' | sort -u; }
shared_names=$(comm -12 <(names "${long:0:52}1") <(names "${long:0:52}2"))
[[ ! $shared_names ]] || die "two releases share: $shared_names"
say "two releases of one namespace share no name"

# A pod that the restricted level forbids is a warning, so an accepted one is not: seen on one that is.
if kubectl apply --warnings-as-errors --dry-run=server -f - >/dev/null 2>&1 <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: root}
spec:
  selector: {matchLabels: {app: root}}
  template:
    metadata: {labels: {app: root}}
    spec: {containers: [{name: root, image: root}]}
YAML
then die "a pod with root is taken without a warning: the matrix proves nothing"; fi

for file in deploy/strimzi/*.yaml; do
  out=$(kubectl apply --warnings-as-errors --dry-run=server -n kafka -f "$file" 2>&1) || die "$file: $out"
  say "accepted: $file ($(grep -c 'server dry run' <<<"$out") objects)"
done
say "matrix: all well"
