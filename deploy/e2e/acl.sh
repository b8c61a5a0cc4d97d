#!/usr/bin/env bash
# acl.sh: every stage on a Kafka with TLS, SCRAM and ACLs, each as its own user of deploy/strimzi/users.yaml and with the rights of that
# file: they are enough (the pipeline runs, its stages are ready, records reach S3), and each is needed (without any one of them its
# stage does not work). Needs ../shared/stack and a `finflow` (FINFLOW_TEST_BIN; default: built here).
# Renewed passwords and certificates are taken without a restart.
#   acl.sh              all of it
#   acl.sh enough       without taking rights away
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
stack=${FINFLOW_STACK:-../shared/stack}
users=deploy/strimzi/users.yaml
port=${KAFKA_PORT:-19092}
export KAFKA_PORT=$port KAFKA_SECURE=1 KAFKA_ACL=1
plain=127.0.0.1:$port
secure=127.0.0.1:$((port + 200))
finflow=${FINFLOW_TEST_BIN:-}
if [[ ! $finflow ]]; then
  cargo build --release --locked -p finflow
  finflow=${CARGO_TARGET_DIR:-target}/release/finflow
fi
certs=${FINFLOW_STACK_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-stack}/certs
work=$(mktemp -d)
declare -A pids=()
say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*" >&2; }
die() { say "failed: $*"; [[ ! ${stage:-} ]] || curl -fsS "http://127.0.0.1:$(admin_port "$stage")/metrics" 2>/dev/null | grep -v "^#" | grep -v " 0$" >&2 || true; for log in "$work"/*.log; do tail -n 3 "$log" >&2; done; exit 1; }
tool() { bash "$stack/kafka.sh" tool "$@"; }
finish() {
  local stage
  for stage in "${!pids[@]}"; do kill "${pids[$stage]}" 2>/dev/null || true; done
  bash "$stack/kafka.sh" down >/dev/null 2>&1 || true
  bash "$stack/minio.sh" down >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

# The file as lines: user, type, name, pattern, one operation.
rights() {
  awk '/^  name: /{user=$2} /resource:/{
    match($0, /type: [a-zA-Z]+/); type=substr($0, RSTART+6, RLENGTH-6)
    match($0, /name: [^,]+/); name=substr($0, RSTART+6, RLENGTH-6)
    pattern = ($0 ~ /patternType: prefix/) ? "prefixed" : "literal"
    match($0, /operations: \[[^]]*/); n=split(substr($0, RSTART+13, RLENGTH-13), ops, /, */)
    for (i=1; i<=n; i++) print user, type, name, pattern, ops[i]
  }' "$users"
}
declare -A option=([topic]=--topic [group]=--group [transactionalId]=--transactional-id)
acl() { # --add|--remove user type name pattern operation
  tool acls --bootstrap-server "$plain" "$1" --force --allow-principal "User:$2" "${option[$3]}" "$4" --resource-pattern-type "$5" --operation "$6" >"$work/acls.out" 2>&1 ||
    die "$(cat "$work/acls.out")"
}

# Away from the ports of Kafka: its listeners are at 0, 100, 200 and 300 behind KAFKA_PORT.
admin_port() { case $1 in ingest) echo 19490 ;; aggregate) echo 19491 ;; alert) echo 19492 ;; store) echo 19493 ;; logger) echo 19494 ;; gateway) echo 19495 ;; esac; }
settings() { # stage
  cat >"$work/$1.yaml" <<YAML
admin: 127.0.0.1:$(admin_port "$1")
kafka:
  brokers: $secure
  security: {protocol: sasl_ssl, ca: $certs/ca.crt, username: finflow-$1, password_file: $work/$1.password}
credentials_interval: 1s
YAML
  printf '%s' "secret-of-$1" >"$work/$1.password"
  case $1 in
    ingest) echo "feeds: ['synthetic:A01+A02+A03+A04?rate=200&disorder=0.05&delay_ms=20000&start=2024-01-01T00:00:00Z', 'csv:$work/bad.csv']"; echo 'speed: 1' ;;
    aggregate) echo 'windows: [1s]' ;;
    # Up and down all the time: an alert that has fired is silent until it is resolved.
    alert) echo 'rules: [{name: any, symbols: "*", window: 1s, metric: change_pct, above: 0}]' ;;
    store) echo "s3: {endpoint: 'http://127.0.0.1:${MINIO_PORT:-19000}'}"; echo 'rotate: {interval: 1s, rows: 1000}' ;;
    logger) echo 'lines_per_second: 0'; echo 'commit_interval: 1s' ;;
    gateway) echo 'http: 127.0.0.1:19480' ;;
  esac >>"$work/$1.yaml"
}
start() { # stage
  "$finflow" "$1" --config "$work/$1.yaml" >"$work/$1.log" 2>&1 &
  pids[$1]=$!
}
stop() { # stage; its exit code
  local code=0
  kill "${pids[$1]}" 2>/dev/null || true
  wait "${pids[$1]}" || code=$?
  unset "pids[$1]"
  return "$code"
}
slay() { # stage: what it did since its last checkpoint is to be read back
  kill -9 "${pids[$1]}" 2>/dev/null || true
  wait "${pids[$1]}" 2>/dev/null || true
  unset "pids[$1]"
}
value() { curl -fsS "http://127.0.0.1:$(admin_port "$1")/metrics" | awk -v name="$2" 'index($1, name) == 1 {sum += $2} END {printf "%d\n", sum}'; }
ready() { curl -fsS -o /dev/null "http://127.0.0.1:$(admin_port "$1")/ready"; }
# What only a stage with all its rights does.
declare -A before=()
works() { # stage
  ready "$1" || return 1
  case $1 in
    ingest) (($(value ingest 'finflow_ingest_produced_records_total{topic="raw-market-data"}') > 100)) &&
      (($(value ingest 'finflow_ingest_produced_records_total{topic="dead-letter-queue"}') > 0)) &&
      (($(value ingest 'finflow_ingest_checkpoints_total') > 0)) ;;
    aggregate) (($(value aggregate 'finflow_aggregate_emitted_records_total{topic="aggregated-metrics"}') > 0)) &&
      (($(value aggregate 'finflow_aggregate_emitted_records_total{topic="dead-letter-queue"}') > 0)) ;;
    alert) (($(value alert 'finflow_alert_emitted_records_total{topic="price-alerts"}') > 0)) ;;
    store) (($(value store 'finflow_store_rows_total{table="trades"}') > 0)) && (($(value store 'finflow_store_rows_total{table="metrics"}') > 0)) &&
      (($(value store 'finflow_store_rows_total{table="dead_letters"}') > 0)) && (($(value store 'finflow_store_consumer_commits_total{result="ok"}') > 0)) ;;
    logger) (($(value logger 'finflow_logger_records_total{outcome="seen"}') > 0)) && (($(value logger 'finflow_logger_consumer_commits_total{result="ok"}') > 0)) ;;
    gateway) (($(value gateway 'finflow_gateway_records_total{role="events"}') > 0)) && (($(value gateway 'finflow_gateway_records_total{role="metrics"}') > 0)) &&
      (($(value gateway 'finflow_gateway_records_total{role="alerts"}') > 0)) && (($(value gateway 'finflow_gateway_records_total{role="dead_letters"}') > 0)) &&
      curl -fsS http://127.0.0.1:19480/v1/health/pipeline | grep -q '"stage":"aggregate","group":"finflow-aggregate"[^}]*"lag":[0-9]' ;;
  esac
}
within() { # seconds command ...
  local limit=$((SECONDS + $1)); shift
  until "$@" 2>/dev/null; do ((SECONDS < limit)) || return 1; sleep 0.3; done
}

turn=0
# Something for each stage to set aside: a row that is no trade, and a record that is no metrics. (Late trades come with the feed.)
spoil() {
  turn=$((turn + 1))
  printf 'symbol,price,quantity,time\nA01,nothing-%s,1,2024-01-01T00:00:00Z\n' "$turn" >"$work/bad.csv"
  if [[ $1 == alert ]]; then echo '{"kind":"metrics"}' | tool produce --bootstrap-server "$plain" --topic aggregated-metrics >/dev/null 2>&1; fi
}

say "kafka with TLS, SCRAM and ACLs"
bash "$stack/kafka.sh" up >"$work/kafka.log" 2>&1 || bash "$stack/kafka.sh" up >"$work/kafka.log" 2>&1 || die "kafka does not start"
bash "$stack/minio.sh" up >"$work/minio.log" 2>&1 || die "minio does not start"
export AWS_ACCESS_KEY_ID=finflow AWS_SECRET_ACCESS_KEY=finflow-secret
curl -fsS -o /dev/null -X PUT --aws-sigv4 aws:amz:us-east-1:s3 --user finflow:finflow-secret "http://127.0.0.1:${MINIO_PORT:-19000}/finflow" || true
for user in $(rights | cut -d' ' -f1 | sort -u); do
  tool configs --bootstrap-server "$plain" --alter --entity-type users --entity-name "$user" \
    --add-config "SCRAM-SHA-512=[iterations=4096,password=secret-of-${user#finflow-}]" >/dev/null 2>&1 || die "the user $user"
done
# Rights of one user and the same operations go in one call: each is a JVM.
while read -r user type pattern operations names; do
  arguments=(--add --force --allow-principal "User:$user" --resource-pattern-type "$pattern")
  for operation in ${operations//,/ }; do arguments+=(--operation "$operation"); done
  for name in $names; do arguments+=("${option[$type]}" "$name"); done
  tool acls --bootstrap-server "$plain" "${arguments[@]}" >"$work/acls.out" 2>&1 || die "$(cat "$work/acls.out")"
done < <(rights | awk '{key=$1 " " $2 " " $3 " " $4; ops[key]=ops[key] (ops[key] ? "," : "") $5}
  END {for (key in ops) {split(key, p, " "); group=p[1] " " p[2] " " p[4] " " ops[key]; names[group]=names[group] " " p[3]} for (g in names) print g names[g]}')
say "$(rights | wc -l) rights of $(rights | cut -d' ' -f1 | sort -u | wc -l) users"

cat >"$work/admin.yaml" <<YAML
kafka: {brokers: $secure, security: {protocol: sasl_ssl, ca: $certs/ca.crt, username: finflow-admin, password: secret-of-admin}}
YAML
"$finflow" topics apply --config "$work/admin.yaml" --replication 1 >"$work/topics.log" 2>&1 || die "finflow topics apply as finflow-admin"
say "topics made by finflow-admin"

stages=(ingest aggregate alert store logger gateway)
for stage in "${stages[@]}"; do settings "$stage"; done
spoil alert
begun=$SECONDS
for stage in "${stages[@]}"; do start "$stage"; done
for stage in "${stages[@]}"; do within 60 works "$stage" || die "$stage does not work with its rights"; done
# Whoever does not work in more than twice the time that all of them took here will not.
patience=$((10 + 2 * (SECONDS - begun)))
say "enough: six stages work, each with its own user"

# A client of Kafka's own, as a user: what the broker answers, not what Finflow makes of it.
client() { # user password
  cat <<CONF
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="finflow-$1" password="$2";
ssl.truststore.type=PEM
ssl.truststore.location=$certs/ca.crt
CONF
}
reads() { # user topic [password [partition]]: without a group, so that only the topic's right counts
  client "$1" "${3:-secret-of-$1}" >"$work/client.properties"
  tool consume --bootstrap-server "$secure" --command-config "$work/client.properties" --topic "$2" --partition "${4:-0}" --offset earliest \
    --max-messages 1 --timeout-ms 30000 >"$work/client.out" 2>&1
  cat "$work/client.out"
}
writes() { # user topic
  client "$1" "secret-of-$1" >"$work/client.properties"
  echo '{}' | tool produce --bootstrap-server "$secure" --command-config "$work/client.properties" --topic "$2" \
    --command-property max.block.ms=8000 2>&1
}
# Where the four symbols are.
[[ $(reads gateway aggregated-metrics secret-of-gateway 2) == *"Processed a total of 1 messages"* ]] || die "the gateway's user is refused what it may read: $(cat "$work/client.out")"
[[ $(reads gateway aggregated-metrics wrong) == *SaslAuthenticationException* ]] || die "a wrong password is let in: $(cat "$work/client.out")"
for pair in logger:price-alerts aggregate:price-alerts alert:raw-market-data ingest:aggregated-metrics store:finflow-aggregate-state gateway:finflow-leases; do
  [[ $(reads "${pair%%:*}" "${pair#*:}") == *TopicAuthorizationException* ]] || die "finflow-${pair%%:*} may read ${pair#*:}: $(cat "$work/client.out")"
done
for pair in logger:raw-market-data aggregate:raw-market-data alert:aggregated-metrics store:dead-letter-queue gateway:price-alerts ingest:price-alerts; do
  said=$(writes "${pair%%:*}" "${pair#*:}") || true
  [[ $said == *AuthorizationException* ]] || die "finflow-${pair%%:*} may write ${pair#*:}: $said"
done
say "refused: a wrong password, six topics to read and six to write"

# Renewed credentials, as Strimzi renews them in the Secrets that pods mount: the process is the same and works with the new ones.
renewed() { # stage: began anew and works, in the same process
  grep -q 'renewed credentials' "$work/$1.log" && kill -0 "${pids[$1]}" && works "$1"
}
tool configs --bootstrap-server "$plain" --alter --entity-type users --entity-name finflow-logger \
  --add-config 'SCRAM-SHA-512=[iterations=4096,password=renewed]' >/dev/null 2>&1 || die "the new password of the logger"
printf renewed >"$work/logger.password"
within 60 renewed logger || die "the logger does not work with its new password"
[[ $(reads logger raw-market-data) == *SaslAuthenticationException* ]] || die "the old password of the logger is let in"
say "renewed: a password, in the same process"

# Mutual TLS: no password, the name is in the certificate. Then another certificate of that name.
certificate() { # file: a new key and a certificate of finflow-logger by the authority of the brokers
  openssl req -newkey rsa:2048 -nodes -subj /CN=finflow-logger-by-certificate -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA "$certs/ca.crt" -CAkey "$certs/ca.key" -CAcreateserial -days 2 -out "$1.crt" 2>/dev/null
}
while read -r type name pattern operation; do
  acl --add CN=finflow-logger-by-certificate "$type" "$name" "$pattern" "$operation"
done < <(rights | awk '$1 == "finflow-logger" {print $2, $3, $4, $5}')
stop logger || true
certificate "$work/user"
sed -i "s|brokers: .*|brokers: 127.0.0.1:$((port + 300))|; s|security: .*|security: {protocol: ssl, ca: $certs/ca.crt, cert: $work/user.crt, key: $work/user.key}|" "$work/logger.yaml"
start logger
within 60 works logger || die "the logger does not work with a certificate"
certificate "$work/next"
mv "$work/next.key" "$work/user.key"; mv "$work/next.crt" "$work/user.crt"
within 60 renewed logger || die "the logger does not work with its new certificate"
say "renewed: a certificate of mutual TLS, in the same process"
stop logger || true
settings logger
printf renewed >"$work/logger.password"
start logger
within 60 works logger || die "the logger does not work with its password again"

if [[ ${1:-} == enough ]]; then say "acl: all well"; exit; fi

needed=0
while read -r user type name pattern operation; do
  stage=${user#finflow-}
  [[ $stage != admin ]] || continue
  # Asked for the largest record, and only for a letter near it: what is missing is a warning and Kafka's default.
  [[ "$name $operation" != "dead-letter-queue DescribeConfigs" ]] || continue
  if [[ $stage == ingest ]]; then slay ingest; else stop "$stage" || true; fi
  acl --remove "$user" "$type" "$name" "$pattern" "$operation"
  spoil "$stage"
  start "$stage"
  say "without $user $type $name $operation"
  if within "$patience" works "$stage"; then die "$stage works without $operation on the $type $name: take the right out of $users"; fi
  acl --add "$user" "$type" "$name" "$pattern" "$operation"
  needed=$((needed + 1))
done < <(rights)
for stage in "${stages[@]}"; do
  stop "$stage" || true
  spoil "$stage"
  start "$stage"
done
for stage in "${stages[@]}"; do within 60 works "$stage" || die "$stage does not work with its rights again"; done
say "needed: each of $needed rights of the stages"
say "acl: all well"
