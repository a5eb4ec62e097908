#!/bin/bash
# A Slurm cluster of this one machine, to try batch scripts on. Needs root and Debian's slurm-wlm, munge.
#
#   workflows/slurm/local_slurm.sh start DIR [CPUS]     # then: export SLURM_CONF=DIR/slurm.conf
#   workflows/slurm/local_slurm.sh stop DIR
#
# All of its files are in DIR (a short path: sockets have at most 107 characters).
set -euo pipefail

action=$1 dir=$(mkdir -p "$2" && cd "$2" && pwd)

stop() {
    for daemon in slurmd slurmctld munged; do
        [ -s "$dir/$daemon.pid" ] && kill "$(cat "$dir/$daemon.pid")" 2>/dev/null || true
    done
}

if [ "$action" = stop ]; then
    stop
    exit
fi

cpus=${3:-$(nproc)} host=$(hostname -s) ports=$((20000 + $$ % 20000))
chmod 755 "$dir"
mkdir -p "$dir/munge" "$dir/state" "$dir/spool"
(umask 077 && head -c 1024 /dev/urandom > "$dir/munge/munge.key")
cat > "$dir/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$ports
SlurmdPort=$((ports + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=local Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$dir/slurm.conf
munged --key-file="$dir/munge/munge.key" --socket="$dir/munge/socket" --force \
    --pid-file="$dir/munged.pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
slurmctld
slurmd
for _ in $(seq 60); do
    sinfo --noheader --format=%T 2>/dev/null | grep -q idle && exit 0
    sleep 0.5
done
tail -n 5 "$dir"/*.log >&2
stop
exit 1
