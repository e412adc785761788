#!/usr/bin/env bash
# Checks the form of the launchers that there is no scheduler for here: the Kubernetes Job against Kubernetes' own JSON schema, the
# Slurm array's syntax and directives, and what it calls, with a stand-in for srun.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/launchers/venv.sh
fail() { echo "error: $*" >&2; exit 1; }

job=launchers/kubernetes/job.yaml
# 1.29 is the oldest that has backoffLimitPerIndex by default.
for version in 1.29.0 1.37.0; do
  "$VENV/bin/kubernetes-validate" --strict --quiet -k "$version" "$job" || fail "$job: not as Kubernetes $version has it"
done
"$VENV/bin/python" - "$job" <<'PYTHON'
import sys
import yaml

(job,) = yaml.safe_load_all(open(sys.argv[1]))
spec = job["spec"]
(container,) = spec["template"]["spec"]["containers"]
names = {entry["name"]: entry for entry in container["env"]}
assert (job["kind"], spec["completionMode"]) == ("Job", "Indexed")
assert names["SHARDS"]["value"] == str(spec["completions"]), "SHARDS and completions differ"
assert "job-completion-index" in names["SHARD"]["valueFrom"]["fieldRef"]["fieldPath"]
assert "--shard=$(SHARD)/$(SHARDS)" in container["args"]
cores = container["resources"]["requests"]["cpu"]
assert f"--threads={cores}" in container["args"], "--threads and the request for cores differ"
# Credentials come from the Secret.
assert container["envFrom"][0]["secretRef"]["name"]
assert not any("SECRET" in name or "KEY" in name for name in names), "a secret in the manifest"
PYTHON

script=launchers/slurm/embed.sbatch
bash -n "$script"
# Directives count only before the first command.
directives=$(sed '/^[^#]/,$d' "$script" | grep -c '^#SBATCH --[a-z-]*\(=[^ ]*\)\?$')
[[ $directives == $(grep -c SBATCH.- "$script") ]] || fail "$script: a directive is misspelt or comes too late"
for directive in --array=0- --cpus-per-task= --time= --requeue; do
  grep -q "^#SBATCH $directive" "$script" || fail "$script: no $directive"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nprintf "%%s\\n" "$@"\n' >"$work/srun"
chmod +x "$work/srun"
slurm() { env PATH="$work:$PATH" SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MAX=7 SLURM_CPUS_PER_TASK=8 "$@" bash "$script" | tr '\n' ' '; }
want="--cpus-per-task=8 sbir embed --manifest a b.jsonl --out s3://b/out --model bundled --shard 3/8 --threads 8 "
[[ $(slurm MANIFEST="a b.jsonl" OUT=s3://b/out) == "$want" ]] || fail "$script: calls $(slurm MANIFEST="a b.jsonl" OUT=s3://b/out)"
[[ $(slurm MANIFEST=m OUT=o SHARDS=20) == *"--shard 3/20 "* ]] || fail "$script: does not heed SHARDS"
if slurm OUT=o >/dev/null 2>&1; then fail "$script: runs without MANIFEST"; fi
echo "launchers: the form is right"
