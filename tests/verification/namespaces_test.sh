#!/usr/bin/env bash
# Two network namespaces stand for nodes of two ranks each, the link between them limited by the kernel's traffic
# control: what a placement does to the exchange is then measured. Five placements; the exchange that gem-map predicts
# from the stated bandwidth must be within 15 % of what gem-verify measures, and their order right where predictions
# differ by more than that. Cores that others keep busy delay messages, so three
# tries are made, of which one must be good.
#   namespaces_test.sh BIN [page]      page: one try, the rows of nodes.md
# Skipped (exit code 77) where namespaces, links or traffic control can't be had.
set -euo pipefail
bin=$(cd "$1" && pwd)
page=${2:-}
PATH=$bin:$PATH:/usr/sbin:/sbin
network=10.213.78
mbit=${MBIT:-200} # across nodes, each way

skip() {
  echo "no nodes here: $*" >&2
  exit 77
}
for program in ip tc unshare nsenter mpirun python3; do
  command -v $program > /dev/null || skip "$program is not installed"
done
mpirun --version 2> /dev/null | grep -qi "open *mpi\|openrte" || skip "mpirun is not Open MPI's"
[ "$(id -u)" -eq 0 ] || skip "namespaces need root"
unshare --net --uts true 2> /dev/null || skip "namespaces are not allowed"
unshare --net sh -c 'ip link add gem0 type veth peer name gem1 && tc qdisc add dev gem0 root tbf rate 100mbit burst 64kb latency 50ms' \
  2> /dev/null || skip "links or traffic control are not allowed"

work=$(mktemp -d)
nodes=()
cleanup() {
  for node in "${nodes[@]}"; do kill "$node" 2> /dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
for node in 0 1; do
  unshare --net --uts sleep 600 < /dev/null > /dev/null 2>&1 &
  nodes+=("$!")
  while [ "$(readlink "/proc/$!/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
done
inside() { # inside NODE COMMAND...
  local node=$1
  shift
  nsenter --net --uts --target "${nodes[$node]}" "$@"
}
inside 0 ip link add eth0 type veth peer name eth0 netns "${nodes[1]}"
for node in 0 1; do
  inside $node hostname gemns$node
  inside $node ip address add $network.1$node/24 dev eth0
  inside $node ip link set eth0 up
  inside $node ip link set lo up
  inside $node tc qdisc add dev eth0 root tbf rate "${mbit}mbit" burst 64kb latency 200ms
done
cat > "$work/agent" << END
#!/bin/sh
# What mpirun starts its daemon on the other node with: HOST COMMAND...
shift
exec nsenter --net --uts --target ${nodes[1]} sh -c "\$*"
END
chmod +x "$work/agent"
cd "$work"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

hidden=512
OMPI_MCA_ess=isolated gem-trace synthesize --quiet --experts 8 --top-k 2 --layers 1 --steps 4 --tokens 1024 --skew 3 --seed 3 \
  --output trace.h5 > log.txt
OMPI_MCA_ess=isolated gem-profile --quiet --model Mixtral-8x7B --expert-shape ${hidden}x16 --device simulated --devices 4 --dtype f32 \
  --experts-per-device 2 --tile-tokens 16 --max-tokens 2048 --output profile.h5 >> log.txt
mappings=()
for seed in 11 12 13 14; do # placements for other loads: hot experts then meet by chance, or don't
  OMPI_MCA_ess=isolated gem-trace synthesize --quiet --experts 8 --top-k 2 --layers 1 --steps 4 --tokens 1024 --skew 3 \
    --seed $seed --output other.h5 >> log.txt
  OMPI_MCA_ess=isolated gem-map --quiet --profile profile.h5 --trace other.h5 --allow-model-mismatch --method eplb \
    --output other$seed.h5 >> log.txt
  mappings+=(--mapping "other$seed.h5")
done
# Rows travel in f32 both ways, twice the bytes that are counted for bf16; a node's two devices share its link, of whose
# bits 1448 of 1514 bytes a packet are rows.
across=$(python3 -c "print($mbit * 1e6 / 8 / 2 / 2 / 1e9 * 1448 / 1514)")
for stages in node off; do
  OMPI_MCA_ess=isolated gem-map --json --quiet --profile profile.h5 --trace trace.h5 --allow-model-mismatch --method eplb \
    --nodes 2 --inside-bandwidth 1000 --across-bandwidth "$across" --across-nodes $stages "${mappings[@]}" --output eplb.h5 \
    > $stages.json 2>> log.txt
done
measure() { # writes verify.json
  local code=0
  # shellcheck disable=SC2046  # one word an option
  inside 0 timeout 120 mpirun --mca plm_rsh_agent "$work/agent" --mca btl tcp,vader,self --mca pml ob1 \
    --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 --mca orte_keep_fqdn_hostnames 1 --bind-to none \
    --mca mpi_yield_when_idle 1 -n 4 --host $network.10:2,$network.11:2 -x PATH "$bin/gem-verify" --json --quiet \
    --profile "$work/profile.h5" --trace "$work/trace.h5" --device host --allow-model-mismatch \
    --first-step 0 --steps 4 --rounds 3 --checked-steps 1 --judge other11 --output "$work/report.h5" \
    $(for seed in 11 12 13 14; do echo "--mapping $work/other$seed.h5"; done) > verify.json 2>> log.txt || code=$?
  [ $code -le 1 ] || { cat log.txt verify.json; exit 1; }
}

compare() { # prints the rows; fails where one is wrong
  python3 - << 'END'
import json
import sys

def predicted(name):
    rows = {}
    for stages, sign in (("node", 1), ("off", -1)):
        for row in json.load(open(stages + ".json"))["methods"]:
            rows[row["method"]] = rows.get(row["method"], 0) + sign * row["train_s"]
    return rows[name]

measured = {row["mapping"]: row["exchange_s"] for row in json.load(open("verify.json"))["mappings"]}
rows = []
for name, seconds in measured.items():
    rows.append((name, predicted(name if name == "linear" else name + ".h5"), seconds))
rows.sort(key=lambda row: row[1])
good = len(rows) == 5
for name, told, seconds in rows:
    error = told / seconds - 1
    good = good and abs(error) <= 0.15
    print(f"| {name} | {told * 1e3:.1f} | {seconds * 1e3:.1f} | {error * 100:+.1f} % |")
for a, b in zip(rows, rows[1:]):
    if b[1] > 1.15 * a[1] and b[2] <= a[2]:
        good = False
        print(f"wrong order: {a[0]} and {b[0]}")
sys.exit(0 if good else 1)
END
}

tries=3
[ "$page" != page ] || tries=1
for ((try = 1; try <= tries; ++try)); do
  measure
  if compare; then exit 0; fi
done
exit 1
