#!/usr/bin/env bash
# local.sh: the two base images of the Dockerfile made from Debian packages and this machine's Rust, for machines that reach
# no image registry: localhost/rust and localhost/base, in buildah's store. Needs root, debootstrap, buildah and rustc.
set -euo pipefail
cache=${FINFLOW_IMAGES_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/finflow-images}
root=$cache/debian
buildah=(buildah --storage-driver "${STORAGE_DRIVER:-vfs}")
mkdir -p "$cache"

if [[ ! -f $root/.complete ]]; then
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include=gcc,g++,make,perl,ca-certificates,pkg-config,libc6-dev \
    bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >&2
  # Certificates that this machine trusts besides, such as those of a proxy.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  touch "$root/.complete"
fi

has() { "${buildah[@]}" inspect --type image "$1" >/dev/null 2>&1; }

# The shared libraries that a Rust binary asks for, certificates, and a user who is not root.
if ! has localhost/base; then
  base=$(mktemp -d)
  trap 'rm -rf --one-file-system "$base"' EXIT
  mkdir -p "$base"/{etc/ssl/certs,tmp,usr/lib,usr/bin,proc,sys,dev,home/nonroot}
  ln -s usr/lib "$base/lib"; ln -s usr/lib64 "$base/lib64"; mkdir -p "$base/usr/lib64"
  chroot "$root" dpkg -L libc6 libgcc-s1 | grep -E '^/(lib|lib64)/.*\.so[.0-9]*$' | while read -r file; do
    install -D -m 755 "$root/$file" "$base/usr$file" 2>/dev/null || true
  done
  cp -aL "$root/lib64/ld-linux-x86-64.so.2" "$base/usr/lib64/" 2>/dev/null || true
  cp -L "$root/etc/os-release" "$base/etc/os-release"
  chroot "$root" sh -c 'cat /usr/share/ca-certificates/mozilla/*.crt' >"$base/etc/ssl/certs/ca-certificates.crt"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$base/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$base/etc/group"
  chmod 1777 "$base/tmp"; chown 65532:65532 "$base/home/nonroot"
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" add -q "$container" "$base" / >/dev/null
  "${buildah[@]}" commit -q --rm "$container" localhost/base >/dev/null
fi

if ! has localhost/rust; then
  toolchain=$(rustc --print sysroot)
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" add -q "$container" "$root" / >/dev/null
  for part in bin lib/rustlib/x86_64-unknown-linux-gnu; do
    "${buildah[@]}" add -q "$container" "$toolchain/$part" "/usr/local/rust/$part" >/dev/null
  done
  for library in "$toolchain"/lib/*.so*; do "${buildah[@]}" add -q "$container" "$library" /usr/local/rust/lib/ >/dev/null; done
  "${buildah[@]}" config --env PATH=/usr/local/rust/bin:/usr/local/bin:/usr/bin:/bin --env CARGO_HOME=/usr/local/cargo "$container"
  "${buildah[@]}" commit -q --rm "$container" localhost/rust >/dev/null
fi
