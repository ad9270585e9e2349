#!/bin/bash
# up.sh DIR PID, by "unshare --net": the network and the cgroups of a node, then init.sh. The node is reached at the
# address in DIR/address, by a pair of links whose other end is in the network of PID; it reaches nothing but that end, and
# ends with the process that this becomes. What is left then is removed by down.sh.
set -euo pipefail
dir=$1 owner=$2
PATH=$PATH:/usr/sbin:/sbin
for name in containerd ctr curl ip iptables-legacy runc; do
	command -v "$name" >/dev/null || { echo "this machine lacks $name: make setup installs it"; exit 1; }
done
[[ -x /usr/lib/cni/bridge ]] || { echo 'this machine lacks containernetworking-plugins: make setup installs them'; exit 1; }

n=0
until ip link add node0 type veth peer name "rnode$n" netns "$owner" 2>"$dir/link.log"; do
	if ((++n == 250)); then cat "$dir/link.log"; exit 1; fi
done
nsenter --net --target "$owner" sh -c "ip address add 10.89.$n.1/30 dev rnode$n && ip link set rnode$n up"
ip link set lo up
ip address add "10.89.$n.2/30" dev node0
ip link set node0 up
ip route add 10.96.0.0/16 dev node0 # a Service is reached from here
echo "10.89.$n.2" >"$dir/address"
echo "10.89.$n.1:5000" >"$dir/registry"
touch "$dir/networked"

# A cgroup below this shell's in each hierarchy that is mounted here: it is the root of all that the node sees. A container
# may have others.
mapfile -t mine </proc/self/cgroup # all of it at once: what follows changes it
memory=
for line in "${mine[@]}"; do
	IFS=: read -r _ raw path <<<"$line"
	names=${raw#name=} at=/sys/fs/cgroup/${raw#name=}
	[[ -n $names ]] && mountpoint -q "$at" && [[ -d $at$path ]] || continue
	at=$at${path%/}
	mkdir "$at/runner-node-$owner"
	if [[ $names == cpuset ]]; then
		cat "$at/cpuset.cpus" >"$at/runner-node-$owner/cpuset.cpus"
		cat "$at/cpuset.mems" >"$at/runner-node-$owner/cpuset.mems"
	fi
	echo "$BASHPID" >"$at/runner-node-$owner/cgroup.procs"
	echo "$raw" >>"$dir/cgroups"
	[[ ,$names, != *,memory,* ]] || memory=yes
done
[[ -n $memory ]] || { echo 'this machine has no cgroups of version 1 that a node could have'; exit 1; }
exec unshare --mount --propagation slave --pid --ipc --uts --cgroup --fork --kill-child --mount-proc bash "$(dirname "$0")/init.sh" "$dir"
