package shape

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// order is how Docker Compose has always ordered the keys of a service before it counts its hash. It is kept to the
// byte: another order is another hash, and plain Compose would make every container anew.
const order = `profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup cpu_count
	cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs container_name
	credential_spec depends_on deploy device_cgroup_rules devices dns dns_opt dns_search dockerfile domainname entrypoint
	provider environment env_file expose extends external_links extra_hosts group_add gpus hostname healthcheck image init
	ipc isolation labels label_file links logging log_driver log_opt mem_limit mem_reservation memswap_limit mem_swappiness
	mac_address models net network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports privileged
	pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal
	storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volume_driver volumes volumes_from working_dir
	pre_start post_start pre_stop pull_refresh_after`

// Ordered is a service's JSON with its keys in the order of Compose, as Service.Source holds it. Its values stay as they
// are, to the byte.
func Ordered(service []byte) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(service, &fields); err != nil {
		return nil, err
	}
	return ordered(fields), nil
}

func ordered(fields map[string]json.RawMessage) json.RawMessage {
	keys := slices.DeleteFunc(strings.Fields(order), func(key string) bool { return fields[key] == nil })
	rest := maps.Clone(fields)
	for _, key := range keys {
		delete(rest, key)
	}
	var b bytes.Buffer
	for i, key := range slices.Concat(keys, slices.Sorted(maps.Keys(rest))) {
		b.WriteByte("{,"[min(i, 1)])
		name, _ := json.Marshal(key)
		b.Write(name)
		b.WriteByte(':')
		b.Write(fields[key])
	}
	if b.Len() == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Hash is what Compose counts over a service's Source: com.docker.compose.config-hash.
func Hash(source []byte) string {
	sum := sha256.Sum256(source)
	return hex.EncodeToString(sum[:])
}

// HashWith is the hash of a service that shares what another's container has: its network, its processes, its memory,
// its volumes. Compose counts the IDs of those containers in; ids has them by service. Without such a service among
// them it is the hash of the Source itself.
func (s Service) HashWith(ids map[string]string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(s.Source, &fields); err != nil {
		return "", err
	}
	for _, key := range []string{"network_mode", "ipc", "pid"} {
		var mode string
		_ = json.Unmarshal(fields[key], &mode)
		if name, of := strings.CutPrefix(mode, "service:"); of && ids[name] != "" {
			fields[key], _ = json.Marshal("container:" + ids[name])
		}
	}
	var from []string
	if json.Unmarshal(fields["volumes_from"], &from) == nil {
		for i, f := range from {
			name, rest, _ := strings.Cut(f, ":")
			if name == "container" {
				from[i], _, _ = strings.Cut(rest, ":")
			} else if ids[name] != "" {
				from[i] = ids[name]
			}
		}
		fields["volumes_from"], _ = json.Marshal(from)
	}
	return Hash(ordered(fields)), nil
}

// Shares are the services whose containers a service uses as its own: they must be there before it is made.
func (s Service) Shares() []string {
	var source struct {
		NetworkMode string   `json:"network_mode"`
		IPC         string   `json:"ipc"`
		PID         string   `json:"pid"`
		VolumesFrom []string `json:"volumes_from"`
	}
	_ = json.Unmarshal(s.Source, &source)
	var out []string
	for _, mode := range []string{source.NetworkMode, source.IPC, source.PID} {
		if name, of := strings.CutPrefix(mode, "service:"); of {
			out = append(out, name)
		}
	}
	for _, f := range source.VolumesFrom {
		if name, _, _ := strings.Cut(f, ":"); name != "container" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
