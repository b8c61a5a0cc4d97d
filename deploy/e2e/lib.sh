# Shared by the scripts beside it. Sourced, never run.
# The cluster: the current kubectl context (E2E_CONTEXT=current), else ../shared/cluster where it is, brought up if it is down.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
chart=$PWD/deploy/helm/finflow
shared=${FINFLOW_CLUSTER:-../shared/cluster}
own_cluster=

say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*" >&2; }
die() { printf 'failed: %s\n' "$*" >&2; exit 1; }

# until SECONDS WHAT COMMAND ...: asks until the command succeeds.
until_ok() {
  local limit=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < limit)) || die "$what: not in time"
    sleep 0.5
  done
}

cluster_up() {
  if [[ ${E2E_CONTEXT:-} == current || ! -x $shared/cluster.sh ]]; then return; fi
  if ! "$shared/cluster.sh" status >/dev/null 2>&1; then
    "$shared/cluster.sh" install >&2
    "$shared/cluster.sh" up >&2
  fi
  own_cluster=1
  eval "$("$shared/cluster.sh" env)"
  # Both programs go by KUBECONFIG then; there is no kubectl by that name.
  kubectl() { kube-node kubectl "$@"; }
}
