#!/usr/bin/env bash
# images.sh DIR: archives DIR/kafka.tar and DIR/s3.tar that stand in for the images that values-local.yaml names, where no registry is
# to be had: Apache Kafka from ../shared/stack on a small JRE, and its MinIO, each at the paths of the images that they stand for.
set -euo pipefail
out=$1
cluster=${FINFLOW_CLUSTER:-../shared/cluster}/cluster.sh
stack=${FINFLOW_STACK:-../shared/stack}
parts=${FINFLOW_STACK_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-stack}
value() { sed -n "s/^  $1: {.*image: \"\([^\"]*\)\".*/\1/p" deploy/helm/finflow/values.yaml; }
mkdir -p "$out"
[[ -f $out/kafka.tar && -f $out/s3.tar ]] && exit
command -v busybox >/dev/null || apt-get install -y -qq --no-install-recommends busybox-static >&2
bash "$stack/kafka.sh" install
bash "$stack/minio.sh" install
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

# A shell, and the libraries that a program asks for.
root() { # DIR PROGRAM ...
  local dir=$1 file; shift
  mkdir -p "$dir"/{bin,tmp,data,etc,usr/bin}
  cp "$(command -v busybox)" "$dir/bin/busybox"
  for file in sh mkdir cat ls sleep; do ln -s busybox "$dir/bin/$file"; done
  printf 'app:x:1000:1000:app:/tmp:/bin/sh\n' >"$dir/etc/passwd"
  for file in $({ ldd "$@" 2>/dev/null || true; } | sed -n 's/.*[ \t]\(\/lib[^ ]*\) (.*/\1/p' | sort -u); do
    [[ $file == "$work"* ]] || install -D "$file" "$dir$file"
  done
}

jvm=$(for java in /usr/lib/jvm/*/bin/jlink; do dirname "$(dirname "$java")"; done | sort -V | grep -E 'jdk|open' | tail -1)
"$jvm/bin/jlink" --strip-debug --no-header-files --no-man-pages --output "$work/java" --add-modules \
  java.base,java.desktop,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.unsupported,jdk.management,jdk.crypto.ec,jdk.zipfs
root "$work/kafka" "$work/java/bin/java" "$work"/java/lib/*.so "$work/java/lib/server/libjvm.so"
mkdir -p "$work"/kafka/opt/kafka/{bin,config}
cp -r "$work/java" "$work/kafka/opt/java"
cp -r "$parts"/kafka-*/libs "$work/kafka/opt/kafka/libs"
cp "$stack/kafka/log4j2.properties" "$work/kafka/opt/kafka/config/"
for pair in storage:kafka.tools.StorageTool server-start:kafka.Kafka; do
  cat >"$work/kafka/opt/kafka/bin/kafka-${pair%%:*}.sh" <<SH
#!/bin/sh
exec /opt/java/bin/java \$KAFKA_HEAP_OPTS -XX:+UseSerialGC -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties -cp '/opt/kafka/libs/*' ${pair#*:} "\$@"
SH
done
chmod -R a+rX "$work/kafka"; chmod a+x "$work"/kafka/opt/kafka/bin/*
bash "$cluster" image "docker.io/$(value kafka)" "$work/kafka" "$out/kafka.tar" /bin/sh

root "$work/s3" "$parts"/minio-*/minio
cp "$parts"/minio-*/minio "$work/s3/bin/minio"
chmod -R a+rX "$work/s3"
bash "$cluster" image "docker.io/$(value s3)" "$work/s3" "$out/s3.tar" /bin/minio
