#!/bin/sh
# A whole Slurm on this machine, for tests: start.sh DIR starts munged, slurmctld and slurmd with everything they keep in
# DIR, on ports of their own, and prints the SLURM_CONF that srun, squeue and scancel need. start.sh stop DIR ends them.
# Exit code 77: it cannot be had here, and stderr says why.
set -u
skip() { echo "slurm: $*" >&2; exit 77; }

stop() {
  for daemon in slurmd slurmctld munged; do
    pid=$(cat "$1/$daemon.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      kill -0 "$pid" 2>/dev/null || continue 2
      sleep 0.25
    done
    kill -9 "$pid" 2>/dev/null
  done
}

if [ "${1:-}" = stop ]; then stop "$2"; exit 0; fi
dir=$1
[ "$(id -u)" = 0 ] || skip "wants to be root"
for program in munged slurmctld slurmd srun scancel scontrol sinfo; do
  command -v "$program" >/dev/null 2>&1 || skip "wants $program (Debian: slurm-wlm munge)"
done
mkdir -p "$dir/state" "$dir/spool" || skip "cannot make $dir"
chmod 700 "$dir"
port=$((20000 + $$ % 20000))
host=$(hostname -s)
dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 2>/dev/null
chmod 600 "$dir/munge.key"
cat >"$dir/slurm.conf" <<CONF
ClusterName=kronbit-test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
InactiveLimit=10
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
export SLURM_CONF="$dir/slurm.conf"
munged --force --socket="$dir/munge.socket" --key-file="$dir/munge.key" --pid-file="$dir/munged.pid" \
  --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" >/dev/null 2>"$dir/munged.err" ||
  skip "munged does not start: $(cat "$dir/munged.err")"
slurmctld -c >/dev/null 2>&1 && slurmd >/dev/null 2>&1 || { stop "$dir"; skip "the daemons do not start (see $dir)"; }
n=0
until [ "$(sinfo -h -o %t 2>/dev/null)" = idle ]; do
  n=$((n + 1))
  [ $n -lt 60 ] || { for log in slurmctld slurmd; do tail -n 3 "$dir/$log.log" >&2; done; stop "$dir"; skip "the node does not come up"; }
  sleep 0.5
done
echo "SLURM_CONF=$SLURM_CONF"
