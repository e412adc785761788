# Sourced by the benchmarks.

# alone FOLDER COMMAND...: what COMMAND prints in FOLDER/output, once the machine was its own. $others is the processor time that
# other programs took meanwhile, as a share of one core: above OTHERS (0.05) the command is run again, five times at most.
alone() {
  local folder=$1 TIMEFORMAT='%R %U %S' before after times
  shift
  for _ in 1 2 3 4 5; do
    before=$(processor_time)
    times=$({ time "$@" >"$folder/output" 2>"$folder/log"; } 2>&1) || { cat "$folder/log" >&2; return 1; }
    after=$(processor_time)
    others=$(awk -v all="$((after - before))" '{ printf "%.3f", (all / 100 - $2 - $3) / ($1 + 1e-3) }' <<<"$times")
    if awk -v others="$others" -v most="${OTHERS:-0.05}" 'BEGIN { exit !(others <= most) }'; then return; fi
    echo "others took $others of a core beside $1: again" >&2
    sleep 2
  done
  echo "error: the machine is not quiet: end other programs, or allow them with OTHERS=SHARE" >&2
  return 1
}

# Hundredths of a second that all processors together were not idle.
processor_time() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat; }
