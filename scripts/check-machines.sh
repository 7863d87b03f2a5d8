#!/usr/bin/env bash
# Tries what needs more than processes and a folder: ranks over two mounts of a GlusterFS, as two hosts see it, and the Slurm templates under a real
# Slurm with two nodes, one of which dies, a shared folder whose server dies and comes back, a worker whose link to Redis goes down, and one on a
# processor of other arithmetic. Everything runs in
# namespaces of its own and ends with them.
#
#     npm run build && sudo bash scripts/check-machines.sh [gluster | slurm | away | link | nehalem]...
#
# Needs Linux, root, /dev/fuse and, of Debian: glusterfs-server glusterfs-client slurmctld slurmd slurm-client munge iproute2
# redis-server qemu-user.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${NAAN_CHECK_INSIDE:-}" ]; then exec env NAAN_CHECK_INSIDE=1 unshare --net --mount --pid --fork --mount-proc bash "$0" "$@"; fi

export dir; dir=$(mktemp -d /tmp/naan-machines-XXXXXX)
trap 'umount "$dir/host0" "$dir/host1" 2>/dev/null || true; rm -rf "$dir"' EXIT
ip link set lo up
ip address add 10.99.0.1/32 dev lo # GlusterFS takes no loopback address
naan="$PWD/dist/src/cli/main.js"
say() { printf '%s\n' "$*"; }
same() { cmp "$1" "$2" && say "ok: $3: the same bytes as one process"; }
# until COMMAND...: waits for it to succeed, for a minute.
until_true() { for _ in $(seq 120); do "$@" >"$dir/until" 2>&1 && return; sleep .5; done; cat "$dir/until"; say "not after a minute: $*"; return 1; }

# One process makes what the others must make.
set=$dir/set/unlabeled
node "$naan" generate --out "$dir/set" --nodes 6000 --dim 64 --labeled-ids 0 --k 20 --shuffle --planted-knn --quiet >/dev/null
cp "$set/split1_feats.npz" "$set/feats.npz"
search=(knn --features "$set/feats.npz" --k 20 --method ivf --threads 1 --quiet)
node "$naan" "${search[@]}" --out "$dir/knn.npy" >/dev/null
cp "$dir/knn.npy" "$set/knn.npy"
cp config/general.safetensors "$set/model.safetensors"
label=(label --features "$set/feats.npz" --knn "$set/knn.npy" --model "$set/model.safetensors" --threads 1 --save-edges --quiet)
node "$naan" "${label[@]}" --out "$dir/labels" >/dev/null
same_labels() { for file in labels.txt edges.npy scores.npy; do same "$1/feats_$file" "$dir/labels/feats_$file" "$2, $file"; done; }

gluster_mounts() {
  mkdir -p "$dir"/{state,run,host0,host1}
  cat >"$dir/glusterd.vol" <<VOLUME
volume management
    type mgmt/glusterd
    option working-directory $dir/state
    option run-directory $dir/run
    option transport-type socket
    option transport.address-family inet
end-volume
VOLUME
  glusterd -f "$dir/glusterd.vol" --log-file "$dir/glusterd.log" -p "$dir/glusterd.pid"
  until_true gluster --mode=script volume create naan "10.99.0.1:$dir/brick" force
  until_true gluster --mode=script volume start naan
  for host in host0 host1; do glusterfs -s 10.99.0.1 --volfile-id naan --log-file "$dir/$host.log" "$dir/$host"; done
  echo seen >"$dir/host0/seen"
  until_true test -e "$dir/host1/seen"
}

check_gluster() {
  gluster_mounts
  # The control: a file that one host writes into while another has it open is not seen as it is, even synced.
  node --input-type=module - "$dir" <<'CONTROL'
import { fsyncSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
const [folder] = process.argv.slice(2);
writeFileSync(`${folder}/host0/rows`, Buffer.alloc(2 ** 20));
const [writer, reader] = [openSync(`${folder}/host0/rows`, 'r+'), openSync(`${folder}/host1/rows`, 'r')];
const page = Buffer.alloc(4096);
readSync(reader, page, 0, 4096, 8192);
writeSync(writer, Buffer.alloc(4096, 7), 0, 4096, 8192);
fsyncSync(writer);
readSync(reader, page, 0, 4096, 8192);
if (page[0] === 7) console.log('the control found nothing: rows written in place are seen at once here');
else console.log('ok: the control fails as it should: rows written in place are not seen by the other host');
CONTROL
  for rank in 0 1; do
    node "$naan" "${search[@]}" --cluster files --rank "$rank" --ranks 2 --work-dir "$dir/host$rank/knn-work" --out "$dir/host$rank/knn.npy" >/dev/null &
  done
  wait -n && wait -n
  same "$dir/host0/knn.npy" "$dir/knn.npy" 'knn by two ranks over GlusterFS'
  for rank in 0 1; do
    node "$naan" "${label[@]}" --cluster files --rank "$rank" --ranks 2 --work-dir "$dir/host$rank/work" --out "$dir/host$rank/labels" >/dev/null &
  done
  wait -n && wait -n
  same_labels "$dir/host0/labels" 'label by two ranks over GlusterFS'
}

check_slurm() {
  mkdir -p "$dir"/{munge,ctld,spool0,spool1,home}
  dd if=/dev/urandom of="$dir/munge/key" bs=1024 count=1 status=none
  chmod 400 "$dir/munge/key"
  chmod 711 "$dir" "$dir/munge"
  munged --force --key-file "$dir/munge/key" --socket "$dir/munge/socket" --pid-file "$dir/munge/pid" --log-file "$dir/munge/log" --seed-file "$dir/munge/seed"
  local host; host=$(hostname -s)
  export SLURM_CONF=$dir/slurm.conf
  cat >"$SLURM_CONF" <<CONF
ClusterName=naan
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$dir/ctld
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/ctld.log
SlurmdLogFile=$dir/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=10
ReturnToService=2
NodeName=node[0-1] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17101-17102] CPUs=1
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
  slurmctld
  for node in node0 node1; do slurmd -N "$node"; done
  until_true sh -c 'test "$(sinfo --noheader --format %D --states idle)" = 2'
  export NAAN="$dir/naan" SET=$set RUN=$dir/slurm-run K=20
  printf '#!/bin/sh\nexec node %s "$@"\n' "$naan" >"$NAAN"
  chmod +x "$NAAN"
  rm "$set/knn.npy"
  sbatch --wait --nodes 2 --ntasks 2 --chdir "$dir/home" --export ALL "$PWD/config/slurm/knn-ranks.sbatch"
  same "$set/knn.npy" "$dir/knn.npy" 'knn-ranks.sbatch under Slurm'
  sbatch --wait --nodes 2 --ntasks 2 --chdir "$dir/home" --export ALL "$PWD/config/slurm/ranks.sbatch"
  same_labels "$RUN/labels" 'ranks.sbatch under Slurm'

  # A node dies with all that runs there, and comes back: Slurm puts the job into the queue again, and it goes on.
  rm -r "$set/knn.npy" "$RUN"
  sbatch --wait --nodes 2 --ntasks 2 --chdir "$dir/home" --export ALL "$PWD/config/slurm/knn-ranks.sbatch" &
  local job=$! rank
  until_true test -e "$RUN/knn-work/rank-1/journal"
  rank=$(pgrep -f -- '^node .*--rank 1 ')
  pkill -KILL -f -- '^slurmd -N node1'
  kill -KILL "$(ps -o ppid= "$rank" | tr -d ' ')" "$rank"
  until_true sh -c 'sinfo --noheader --nodes node1 --format %t | grep -q down'
  slurmd -N node1
  wait "$job"
  same "$set/knn.npy" "$dir/knn.npy" 'knn-ranks.sbatch after a node has died'
}

# A Redis at 10.99.1.1, and a host `far` that reaches it by a link of its own.
redis_server() {
  mkdir -p /run/netns
  mount -t tmpfs none /run/netns
  ip netns add far
  ip link add near0 type veth peer name far0 netns far
  ip address add 10.99.1.1/24 dev near0
  ip link set near0 up
  ip -n far address add 10.99.1.2/24 dev far0
  ip -n far link set far0 up
  redis-server config/redis/naan.conf --port 6399 --bind 10.99.1.1 --protected-mode no --dir "$dir" >"$dir/redis.log" &
  until_true redis-cli -h 10.99.1.1 -p 6399 ping
}
cluster=redis://10.99.1.1:6399
# A worker that takes others for dead after a second.
worker="import { work } from '$PWD/dist/src/jobs/worker.js';
  const { tasks } = await work({ cluster: '$cluster', threads: 1, runs: 1, timing: { lockMs: 1000, stalledMs: 500 } });
  console.log(tasks);"

check_link() {
  redis_server
  ip netns exec far node --input-type=module --eval "$worker" >"$dir/far" &
  local far=$! near coordinator
  node "$naan" "${label[@]}" --cluster "$cluster" --work-dir "$dir/redis-work" --out "$dir/redis-labels" >/dev/null &
  coordinator=$!
  until_true sh -c "ls '$dir/redis-work' | grep -q '^load-0-.*rows$'"
  ip -n far link set far0 down
  node --input-type=module --eval "$worker" >"$dir/near" &
  near=$!
  wait "$coordinator" "$near"
  same_labels "$dir/redis-labels" 'label by a worker, after the link of the other went down'
  ip -n far link set far0 up
  wait "$far"
  [ "$(<"$dir/near")" -gt 0 ]
  say "ok: it computed $(<"$dir/near") shards, the other $(<"$dir/far"), which has ended with the run once its link was up"
}

# The server of the shared folder is killed when a worker has begun shards, and started again when the coordinator has seen that it is gone.
check_away() {
  [ -e "$dir/host0/seen" ] || gluster_mounts
  [ -e "$dir/redis.log" ] || redis_server
  node "$naan" worker --cluster "$cluster" --threads 1 --runs 1 >/dev/null 2>"$dir/away-worker" &
  local worker=$! coordinator
  # All of its flags but the last, --quiet.
  node "$naan" "${label[@]:0:${#label[@]}-1}" --cluster "$cluster" --work-dir "$dir/host0/away-work" --out "$dir/away-labels" >/dev/null 2>"$dir/away" &
  coordinator=$!
  until_true sh -c "ls '$dir/host0/away-work' | grep -q '^load-0-.*rows$'"
  pkill -KILL -f "^/usr/sbin/glusterfsd .*$dir/brick"
  until_true grep 'it is waited for' "$dir/away"
  gluster --mode=script volume start naan force >/dev/null
  wait "$coordinator" || { cat "$dir/away" "$dir/away-worker"; return 1; }
  wait "$worker"
  same_labels "$dir/away-labels" 'label after the server of the shared folder was killed and came back'
}

check_nehalem() {
  [ -e "$dir/redis.log" ] || redis_server
  node "$naan" "${label[@]}" --cluster "$cluster" --work-dir "$dir/old-work" --out "$dir/old-labels" >/dev/null &
  local coordinator=$!
  until_true test -e "$dir/old-work/journal"
  if qemu-x86_64 -cpu Nehalem "$(command -v node)" "$naan" worker --cluster "$cluster" --threads 1 --runs 1 2>"$dir/refused"; then
    say 'a worker on a Nehalem was not refused'
    return 1
  fi
  grep 'arithmetic' "$dir/refused" && say 'ok: a worker on a processor of other arithmetic is refused'
  kill "$coordinator"
  wait "$coordinator" || true
}

if [ $# = 0 ]; then set -- gluster slurm away link nehalem; fi
for what in "$@"; do "check_$what"; done
