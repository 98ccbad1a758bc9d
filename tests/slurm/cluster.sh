#!/usr/bin/env bash
# A real Slurm cluster of four nodes on this machine, for tests: each node has
# network, mounts and host name of its own (an address on a bridge, its own /tmp
# and /dev/shm), so that MPI sees different hosts. Needs root, Debian's or
# Ubuntu's slurmctld, slurmd, slurm-client and munge, and leave to make
# namespaces.
#
#   cluster.sh check             says why it can't run here; exit code 77 then
#   cluster.sh start DIR         starts it, with all its files in DIR
#   cluster.sh run DIR CMD...    runs a command on the head node
#   cluster.sh stop DIR          stops it: only the processes that it started
#   cluster.sh stop-node DIR N   takes node N (1 to 4) down as a power cut does
#   cluster.sh start-node DIR N  brings it back
set -euo pipefail
node_count=4
network=10.213.77

missing() {
  echo "no Slurm here: $*" >&2
  exit 77
}

check() {
  local program
  for program in slurmctld slurmd sbatch munged unshare nsenter ip mpirun; do
    command -v "$program" > /dev/null || missing "$program is not installed"
  done
  [ "$(id -u)" -eq 0 ] || missing "namespaces need root"
  unshare --pid --fork --mount-proc --net --mount --uts true 2> /dev/null || missing "namespaces are not allowed"
  unshare --net ip link add name gemcheck type bridge 2> /dev/null || missing "bridges are not allowed"
  unshare --net ip link add name gemcheck type veth peer name gempeer 2> /dev/null || missing "links are not allowed"
  unshare --mount mount -t tmpfs tmpfs /tmp 2> /dev/null || missing "mounts are not allowed"
}

# hold NAME: a process that keeps new namespaces alive; its number goes to DIR/NAME.pid.
hold() {
  unshare --net --mount --uts --propagation private sleep infinity < /dev/null > /dev/null 2>&1 &
  echo $! > "$dir/$1.pid"
  while [ "$(readlink "/proc/$!/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
}

# inside NAME COMMAND: not by `ip netns exec`, which hides /sys/fs/cgroup.
inside() {
  local name=$1
  shift
  nsenter --net --mount --uts --target "$(cat "$dir/$name.pid")" "$@"
}

# own_folders NAME: its own /tmp and /dev/shm, but with this repository and DIR even if they lie below /tmp.
own_folders() {
  # shellcheck disable=SC2016  # expanded inside
  inside "$1" bash -c '
    set -e
    exec 8< "$1" 9< "$2"
    mount -t tmpfs tmpfs /tmp
    mount -t tmpfs tmpfs /dev/shm
    mkdir -p "$1" "$2"
    [ -e "$1/CMakeLists.txt" ] || mount --no-canonicalize --bind /proc/self/fd/8 "$1"
    [ -e "$2/slurm.conf" ] || mount --no-canonicalize --bind /proc/self/fd/9 "$2"
    mount --bind "$2/hosts" /etc/hosts
    hostname "$3"' bash "$root" "$dir" "$1"
}

write_configuration() {
  local node
  dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 2> /dev/null
  chmod 600 "$dir/munge.key"
  printf '127.0.0.1 localhost\n%s.1 gemhead\n' "$network" > "$dir/hosts"
  for node in $(seq $node_count); do echo "$network.1$node gemnode$node" >> "$dir/hosts"; done
  cat > "$dir/slurm.conf" << END
ClusterName=gem
SlurmctldHost=gemhead($network.1)
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=2,sched_min_interval=0
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=3600
NodeName=gemnode[1-$node_count] NodeAddr=$network.[11-1$node_count] CPUs=2 RealMemory=1000
PartitionName=gem Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  # From 23 on slurmd looks for control groups though nothing here uses any, and for systemd to make them.
  [[ $(slurmd -V) =~ \ 2[0-2]\. ]] && return
  local version=v1
  [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] && version=v2
  printf 'CgroupPlugin=cgroup/%s\nIgnoreSystemd=yes\n' $version > "$dir/cgroup.conf"
}

# The cores that this process may use, a line each: taskset says "pid 7's current affinity list: 0,2-3".
processor_cores() {
  local range
  for range in $(taskset --cpu-list --pid $$ | sed 's/.*: //' | tr ',' ' '); do seq "${range%-*}" "${range#*-}"; done
}

start_node() {
  local name=gemnode$1 cores
  mapfile -t cores < <(processor_cores)
  hold "$name"
  inside gemhead ip link add "to$1" type veth peer name eth0 netns "$(cat "$dir/$name.pid")"
  inside gemhead ip link set "to$1" master bridge up
  inside "$name" ip address add "$network.1$1/24" dev eth0
  inside "$name" ip link set eth0 up
  inside "$name" ip link set lo up
  own_folders "$name"
  mkdir -p "$dir/spool.$name"
  # A core each as far as they go: ranks of different nodes would all take the first one, and wait for each other there.
  SLURM_CONF=$dir/slurm.conf inside "$name" taskset --cpu-list "${cores[$1 % ${#cores[@]}]}" \
    slurmd -N "$name" -f "$dir/slurm.conf"
}

# Ends what is in the network namespace of a node or the head, by number: daemons, steps, ranks. Nothing else can be in
# there.
end_all_in() {
  local name=$1 space process
  space=$(readlink "/proc/$(cat "$dir/$name.pid")/ns/net") || return 0
  [ "$space" != "$(readlink /proc/self/ns/net)" ] || return 0
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/ns/net" 2> /dev/null)" = "$space" ] || continue
    kill -KILL "${process#/proc/}" 2> /dev/null || true
  done
  rm -f "$dir/$name.pid"
}

start() {
  check
  mkdir -p "$dir/state"
  write_configuration
  hold gemhead
  inside gemhead ip link add bridge type bridge
  inside gemhead ip address add "$network.1/24" dev bridge
  inside gemhead ip link set bridge up
  inside gemhead ip link set lo up
  inside gemhead mount --bind "$dir/hosts" /etc/hosts
  inside gemhead hostname gemhead
  inside gemhead munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" \
    --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munge.seed"
  inside gemhead slurmctld -f "$dir/slurm.conf"
  local node
  for node in $(seq $node_count); do start_node "$node"; done
  for _ in $(seq 100); do
    [ "$(run sinfo --noheader --format=%D --states=idle 2> /dev/null || true)" = "$node_count" ] && return
    sleep 0.3
  done
  echo "the cluster did not come up; see the logs in $dir" >&2
  run sinfo >&2 || true
  exit 4
}

run() {
  SLURM_CONF=$dir/slurm.conf inside gemhead env --chdir="$PWD" "$@"
}

stop() {
  local name
  for name in $(seq -f 'gemnode%g' $node_count) gemhead; do
    [ ! -e "$dir/$name.pid" ] || end_all_in "$name"
  done
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
command=${1:-}
[ "$command" = check ] || [ $# -ge 2 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2; }
[ "$command" = check ] || { mkdir -p "$2"; dir=$(cd "$2" && pwd); shift 2; }
case $command in
  check) check ;;
  start) start ;;
  run) run "$@" ;;
  stop) stop ;;
  stop-node) end_all_in "gemnode$1" ;;
  start-node) start_node "$1" ;;
  *) echo "cluster.sh: unknown command $command" >&2; exit 2 ;;
esac
