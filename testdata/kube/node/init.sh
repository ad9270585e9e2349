#!/bin/bash
# init.sh DIR: the first process in the namespaces of a node: etcd, API server, controllers, scheduler, containerd, kubelet
# and kube-proxy, all of LABKUBE but containerd. DIR/ready is there when they run. Logs are in DIR.
set -euo pipefail
dir=$1
ip=$(<"$dir/address") registry=$(<"$dir/registry")
hostname node1

# Mounts: ours alone, and shared among themselves as the kubelet wants them.
mount --make-rshared /
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /var/lib/cni
mount -t tmpfs tmpfs /var/lib/cni
mount -t tmpfs tmpfs /sys/fs/cgroup
while read -r names; do
	at=/sys/fs/cgroup/${names#name=}
	mkdir -p "$at"
	case $names in
	name=*) mount -t cgroup -o "none,$names" cgroup "$at" ;;
	*) mount -t cgroup -o "$names" cgroup "$at" ;;
	esac
done <"$dir/cgroups"
echo 1 >/proc/sys/net/ipv4/ip_forward

start() { # NAME COMMAND...
	local name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 </dev/null &
}
wait_for() { # NAME COMMAND...
	local name=$1 end=$((SECONDS + 120))
	shift
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= end)); then
			echo "$name is not ready"
			tail -n 20 "$dir/$name.log"
			exit 1
		fi
		sleep 0.1
	done
}
as() { # NAME
	echo --kubeconfig "$dir/$1.kubeconfig" --authentication-kubeconfig "$dir/$1.kubeconfig" --authorization-kubeconfig "$dir/$1.kubeconfig" \
		--bind-address 127.0.0.1 --leader-elect=false
}

"$LABKUBE" pki "$dir" "https://$ip:6443" "$ip"
start etcd "$LABKUBE" etcd --name lab --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn
start kube-apiserver "$LABKUBE" kube-apiserver --etcd-servers http://127.0.0.1:2379 \
	--bind-address "$ip" --advertise-address "$ip" --secure-port 6443 \
	--tls-cert-file "$dir/apiserver.crt" --tls-private-key-file "$dir/apiserver.key" --client-ca-file "$dir/ca.crt" \
	--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --service-cluster-ip-range 10.96.0.0/16 --allow-privileged \
	--service-account-issuer https://kubernetes.default.svc \
	--service-account-key-file "$dir/sa.pub" --service-account-signing-key-file "$dir/sa.key" \
	--kubelet-client-certificate "$dir/kubelet-client.crt" --kubelet-client-key "$dir/kubelet-client.key" \
	--kubelet-preferred-address-types InternalIP

mkdir -p "$dir/cni" "$dir/certs.d/$registry"
cat >"$dir/certs.d/$registry/hosts.toml" <<END
server = "http://$registry"
[host."http://$registry"]
  capabilities = ["pull", "resolve"]
END
cat >"$dir/cni/10-lab.conflist" <<END
{"cniVersion": "1.0.0", "name": "lab", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
END
cat >"$dir/containerd.toml" <<END
version = 2
root = "$dir/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$dir/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "lab.invalid/pause:1"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$dir/certs.d"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
END
start containerd containerd --config "$dir/containerd.toml"
ctr() { command ctr --address /run/containerd/containerd.sock -n k8s.io "$@"; }
wait_for containerd ctr version
ctr images import "$dir/pause.tar"
ctr images label lab.invalid/pause:1 io.cri-containerd.pinned=pinned >/dev/null

wait_for kube-apiserver curl -fsS --max-time 2 --cacert "$dir/ca.crt" --cert "$dir/admin.crt" --key "$dir/admin.key" "https://$ip:6443/readyz"
# shellcheck disable=SC2046
start kube-controller-manager "$LABKUBE" kube-controller-manager $(as controller-manager) --use-service-account-credentials \
	--kube-api-qps 1000 --kube-api-burst 1000 --service-account-private-key-file "$dir/sa.key" \
	--root-ca-file "$dir/ca.crt" --cluster-signing-cert-file "$dir/ca.crt" --cluster-signing-key-file "$dir/ca.key"
# shellcheck disable=SC2046
start kube-scheduler "$LABKUBE" kube-scheduler $(as scheduler)
: >"$dir/resolv.conf"
cat >"$dir/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $dir/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
resolvConf: $dir/resolv.conf
clusterDNS: [10.96.0.10] # nobody answers there
clusterDomain: cluster.local
podLogsDir: $dir/podlogs
volumePluginDir: $dir/plugins
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
nodeStatusUpdateFrequency: 4s
syncFrequency: 10s
END
start kubelet "$LABKUBE" kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubelet.kubeconfig" \
	--root-dir "$dir/kubelet" --hostname-override node1 --node-ip "$ip"
cat >"$dir/kube-proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $dir/kube-proxy.kubeconfig}
clusterCIDR: 10.244.0.0/16
hostnameOverride: node1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
# The old tables are swapped whole. With nftables a packet on its way while rules are changed may find no rule, and be
# refused though an endpoint is ready: one request was, of some hundred thousand.
mkdir "$dir/xtables"
for name in iptables ip6tables; do
	for does in "" -save -restore; do ln -s "$(command -v "$name-legacy$does")" "$dir/xtables/$name$does"; done
done
PATH=$dir/xtables:$PATH start kube-proxy "$LABKUBE" kube-proxy --config "$dir/kube-proxy.yaml"
touch "$dir/ready"
while :; do
	sleep 3600 &
	wait $! || true
done
