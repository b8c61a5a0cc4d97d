#!/usr/bin/env bash
# panels.sh PROMETHEUS_URL: every query of every dashboard returns rows from this Prometheus, which scrapes a running pipeline.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
url=$1
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
done < <(for file in deploy/helm/finflow/dashboards/*.json; do
  jq -r --arg board "$(basename "$file" .json)" '.panels[] | .title as $title | .targets[] | [$board, $title, .expr] | @tsv' "$file"
done)
((count > 0)) || { echo "panels: no dashboards found" >&2; exit 1; }
((failed == 0)) && echo "panels: $count queries, each with rows"
exit "$failed"
