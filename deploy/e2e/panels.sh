#!/usr/bin/env bash
# panels.sh PROMETHEUS_URL [DASHBOARD ...]: every query of the dashboards returns rows from this Prometheus, which scrapes a running
# pipeline. By default all but `kafka`, which is of the metrics of Strimzi's reporter inside the brokers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
url=$1; shift
boards=("$@")
((${#boards[@]})) || boards=(pipeline market lag ledger)
count=0
failed=0
while IFS=$'\t' read -r board panel expr; do
  query=${expr//\$__rate_interval/30s}
  query=${query//\$__range/10m}
  query=${query//\$namespace/.*}
  found=$(curl -fsS --data-urlencode "query=$query" "$url/api/v1/query" | jq '.data.result | length') || found=0
  count=$((count + 1))
  if ((found == 0)); then
    echo "panels: $board, \"$panel\": no row for $query" >&2
    failed=1
  fi
done < <(for board in "${boards[@]}"; do
  file=deploy/helm/finflow/dashboards/$board.json
  jq -r --arg board "$board" '.panels[] | .title as $title | .targets[] | [$board, $title, .expr] | @tsv' "$file"
done)
((count > 0)) || { echo "panels: no dashboards found" >&2; exit 1; }
((failed == 0)) && echo "panels: $count queries, each with rows"
exit "$failed"
