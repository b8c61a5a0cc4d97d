#!/usr/bin/env bash
# build.sh [--archive DIR] [IMAGE ...]: the images of the Dockerfile, `make images`. Prints their sizes and refuses one over the limit.
# Without --archive they stay in the engine's store. Settings (environment):
#   ENGINE      docker, podman or buildah; found by itself
#   TAG         of the images; default: the version in Cargo.toml
#   REGISTRY    prefix of their names, such as ghcr.io/you; default: none
#   BASES=local base images made from Debian packages here (local.sh), for machines that reach no image registry
#   MAX_MB      largest an image may be; default 60
set -euo pipefail
cd "$(dirname "$0")/../.."
archive=
if [[ ${1:-} == --archive ]]; then archive=$2; shift 2; mkdir -p "$archive"; fi
images=("$@")
((${#images[@]})) || images=(ingest aggregate alert store logger gateway finflow)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
tag=${TAG:-$version}
engine=${ENGINE:-$(for e in docker podman buildah; do command -v $e >/dev/null && { echo $e; break; }; done)}
[[ $engine ]] || { echo "build.sh: no docker, podman or buildah here" >&2; exit 2; }
export STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}

arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)")
case $engine in
  docker) build=(docker build) ;;
  podman) build=(podman build --layers) ;;
  buildah) build=(buildah bud --isolation chroot --layers) ;;
esac
if [[ ${BASES:-} == local ]]; then
  deploy/images/local.sh
  # The crates that this machine has already; cargo still checks each against Cargo.lock.
  cargo=${CARGO_HOME:-$HOME/.cargo}/registry
  arguments+=(--build-arg RUST_IMAGE=localhost/rust --build-arg BASE_IMAGE=localhost/base --pull-never)
  if [[ -d $cargo ]]; then arguments+=(--volume "$cargo:/usr/local/cargo/registry"); fi
fi

# A copy of the tree as it is now: every image is made of the same one, and nothing that git ignores gets in.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  if [[ -e $file ]]; then printf '%s\0' "$file"; fi
done | tar -c --null -T - | tar -x -C "$context"

failed=
for name in "${images[@]}"; do
  image=${REGISTRY:+$REGISTRY/}finflow-$name
  [[ $name == finflow ]] && image=${REGISTRY:+$REGISTRY/}finflow
  "${build[@]}" "${arguments[@]}" --target service --build-arg "SERVICE=$name" -t "$image:$tag" "$context"
  case $engine in
    buildah) bytes=$(buildah inspect --type image --format '{{.Docker.Size}}' "$image:$tag" 2>/dev/null || echo 0)
      [[ $bytes != 0 ]] || bytes=$(buildah images --json "$image:$tag" | sed -n 's/.*"size": "\([0-9.]*\) MB".*/\1e6/p' | head -1) ;;
    *) bytes=$($engine image inspect --format '{{.Size}}' "$image:$tag") ;;
  esac
  printf '%-24s %6.1f MB\n' "$image:$tag" "$(awk -v b="$bytes" 'BEGIN {print b / 1e6}')"
  if awk -v b="$bytes" -v m="${MAX_MB:-60}" 'BEGIN {exit !(b > m * 1e6)}'; then
    echo "build.sh: $image is larger than ${MAX_MB:-60} MB" >&2; failed=1
  fi
  if [[ $archive ]]; then
    rm -f "$archive/$name.tar"
    case $engine in
      buildah) buildah push -q "$image:$tag" "docker-archive:$archive/$name.tar:$image:$tag" ;;
      *) $engine save -o "$archive/$name.tar" "$image:$tag" ;;
    esac
  fi
done
[[ -z $failed ]]
