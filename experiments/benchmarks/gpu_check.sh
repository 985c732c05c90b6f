#!/usr/bin/env bash
# Checks jaxevo on a machine with a GPU and without a network, in parts of ten minutes.
#
#   bash experiments/benchmarks/gpu_check.sh             that it runs, equal bits, individuals an hour, the bench, steps
#   PART=2 bash experiments/benchmarks/gpu_check.sh      a whole run of the preset gpu on IMAGES, and its curve
#
# Run it in the root of a checkout, with jaxevo's dependencies and JAX's CUDA plugin installed. Wheels of missing packages
# may lie in .whl: they are installed into a temporary folder. docs/h100.md has the results of one GPU.
#   WHL     folder of wheels (default .whl)            OUT      folder for the logs (default ./gpu_check)
#   PY      Python (default python3)                   BUDGET   seconds for everything (default 570)
#   IMAGES  a .npz file of CIFAR's shape; without it part 1 leaves individuals an hour out
#   SMOKE=1 a short form, to try the script on CPU
set -uo pipefail
PART=${PART:-1} WHL=${WHL:-.whl} OUT=${OUT:-gpu_check} PY=${PY:-python3} BUDGET=${BUDGET:-570} SMOKE=${SMOKE:-0} IMAGES=${IMAGES:-}
SITE=$(mktemp -d) RUNS=$(mktemp -d)
mkdir -p "$OUT"; OUT=$(cd "$OUT" && pwd); START=$SECONDS
export PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=2 JAXEVO_CACHE_DIR=$(mktemp -d)
left() { echo $((BUDGET - SECONDS + START)); }
part() {  # part NAME MAX_SECONDS COMMAND...: runs it within the time left and logs its output; a failure ends nothing
  local name=$1 most=$2 began=$SECONDS room; shift 2; room=$(left)
  ((room < 10)) && { echo "## $name: no time left"; return 1; }
  ((most > room - 5)) && most=$((room - 5))
  timeout -k 5 "$most" "$@" >"$OUT/$name.log" 2>&1; local status=$?
  echo "## $name: exit status $status, $((SECONDS - began)) s"; tail -n "${LINES_SHOWN:-4}" "$OUT/$name.log"
  return $status
}
if compgen -G "$WHL/*.whl" >/dev/null; then
  part install 60 $PY -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$SITE" "$WHL"/*.whl || exit 1
fi
export PYTHONPATH="$PWD:$SITE${PYTHONPATH:+:$PYTHONPATH}"
J="$PY -m jaxevo" B="$PY -m experiments.benchmarks"
cat >"$RUNS/machine.py" <<'M'
import os
from jaxevo.environment import prepare_process
prepare_process()
import jax
import jax.numpy as jnp
print(jax.__version__, jax.devices()[0].device_kind, os.cpu_count(), "cores", os.environ["XLA_FLAGS"])
# The shapes of a classifier: XLA must find a deterministic kernel for them.
print("product", jax.jit(jnp.matmul)(jnp.ones((50, 32)), jnp.ones((32, 10))).sum())
M
part machine 90 $PY "$RUNS/machine.py" || exit 1
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | tee "$OUT/nvidia-smi.txt"
watch() { nvidia-smi --query-gpu=timestamp,utilization.gpu,memory.used --format=csv,noheader,nounits -lms 500 >"$OUT/$1.csv" 2>/dev/null & WATCH=$!; }
busy() {  # busy NAME: the share of time in which kernels ran, and the most memory in use
  kill "$WATCH" 2>/dev/null; wait "$WATCH" 2>/dev/null
  awk -F, -v name="$1" '{n++; u += $2; if ($3 > m) m = $3} END {if (n) printf "## %s: GPU busy %.0f %%, at most %d MiB\n", name, u / n, m}' "$OUT/$1.csv"
}
evolve() { LINES_SHOWN=14 part "$1" "$2" $J run --seed 1 --workdir "$RUNS/$1" "${@:3}"; }
keep() { for run in "$RUNS"/*/; do cp "$run/result.json" "$OUT/$(basename "$run").result.json" 2>/dev/null; done; echo "## all: $((SECONDS - START)) s"; }

if [ "$PART" = 2 ]; then
  [ -n "$IMAGES" ] || { echo "IMAGES is not set, but part 2 needs a .npz file of CIFAR's shape"; exit 1; }
  TINY=(); ((SMOKE)) && TINY=(--max-individuals 3 --train-steps 4)
  watch cifar
  LINES_SHOWN=26 evolve cifar $BUDGET --preset gpu --dataset "$IMAGES" --crop-padding 4 --flip True --lanes-per-device 4 \
    --max-flops 1e18 --max-seconds $(($(left) - 50)) "${TINY[@]}"
  busy cifar
  cp "$RUNS/cifar/journal.jsonl" "$RUNS/cifar/manifest.json" "$OUT"/
  part report 60 $J report "$RUNS/cifar" --no-images -o "$OUT/report.html"
  keep; exit
fi

# 1. The same seed with one lane, with eight, and with four and an empty cache. Beside the eight, another process trains
# the best individual again, bit for bit, and tests it: does it find room on the GPU?
if ((SMOKE)); then N=4 TINY=(--train-steps 16); else N=24 TINY=(); fi
evolve one_lane 90 --dataset digits --max-individuals $N --lanes 1 "${TINY[@]}"
evolve eight_lanes 90 --dataset digits --max-individuals $N --lanes 8 "${TINY[@]}" & BESIDE=$!
part verify 60 $J verify "$RUNS/one_lane" --retrain best
part test 60 $J test "$RUNS/one_lane"
wait "$BESIDE"
JAXEVO_CACHE_DIR=$(mktemp -d) evolve four_lanes_cold 90 --dataset digits --max-individuals $N --lanes 4 "${TINY[@]}"
grep -H fingerprint "$OUT"/{one_lane,eight_lanes,four_lanes_cold}.log | sed "s|$OUT/||" | tee "$OUT/fingerprints.txt"

# 2. Individuals an hour, and the bench.
if [ -n "$IMAGES" ]; then
  TINY=(); ((SMOKE)) && TINY=(--max-individuals 3 --train-steps 4)
  evolve paper_300 60 --dataset "$IMAGES" --preset paper --train-steps 300 --max-individuals 500 --lanes 4 --max-seconds 40 "${TINY[@]}"
  watch gpu_300
  evolve gpu_300 90 --dataset "$IMAGES" --preset gpu --train-steps 300 --finish-share 0 --lanes 4 --max-seconds 40 "${TINY[@]}"
  busy gpu_300
fi
LINES_SHOWN=90 part bench 240 $J bench --quick --json "$OUT/bench.json"

# 3. In the time that is left, parts of the bench with more networks: steps by batch size and lanes; bfloat16; kernels.
if ((SMOKE)); then
  LINES_SHOWN=6 part steps 60 $B.device_steps --networks linear "conv 1" --lanes 1 2 --seconds 0.3
else
  LINES_SHOWN=40 part steps 120 $B.device_steps --networks linear "conv 3" ResNet-20 --lanes 1 2 4 8 --seconds 1
  LINES_SHOWN=20 part batches 80 $B.device_steps --networks "conv 3" ResNet-20 "ResNet-20 wide" --batch-sizes 128 512 --seconds 0.6
  LINES_SHOWN=12 part bfloat16 60 $B.device_steps --networks "conv 6" "ResNet-20 wide" --batch-sizes 128 --seconds 0.6 --bfloat16
  LINES_SHOWN=12 part kernels 60 $B.device_steps --networks "conv 3" ResNet-20 --seconds 0.5 --profile
fi
keep
