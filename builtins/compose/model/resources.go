package model

import (
	"maps"
	"regexp"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
)

// resources are what a container may use.
func resources(s types.ServiceConfig) container.Resources {
	oom := s.OomKillDisable
	r := container.Resources{
		CgroupParent: s.CgroupParent, Memory: int64(s.MemLimit), MemorySwap: int64(s.MemSwapLimit), MemoryReservation: int64(s.MemReservation),
		OomKillDisable: &oom, CPUCount: s.CPUCount, CPUPeriod: s.CPUPeriod, CPUQuota: s.CPUQuota, CPURealtimePeriod: s.CPURTPeriod,
		CPURealtimeRuntime: s.CPURTRuntime, CPUShares: s.CPUShares, NanoCPUs: int64(s.CPUS * 1e9), CPUPercent: int64(s.CPUPercent * 100),
		CpusetCpus: s.CPUSet, DeviceCgroupRules: s.DeviceCgroupRules, Ulimits: ulimits(s.Ulimits),
	}
	if s.MemSwappiness != 0 {
		n := int64(s.MemSwappiness)
		r.MemorySwappiness = &n
	}
	if s.PidsLimit != 0 {
		n := s.PidsLimit
		r.PidsLimit = &n
	}
	throttle(s.BlkioConfig, &r)
	if s.Deploy != nil {
		limit(s.Deploy.Resources.Limits, &r)
		reserve(s.Deploy.Resources.Reservations, &r)
	}
	devices(s, &r)
	return r
}

func limit(l *types.Resource, r *container.Resources) {
	if l == nil {
		return
	}
	if l.MemoryBytes != 0 {
		r.Memory = int64(l.MemoryBytes)
	}
	if l.NanoCPUs != 0 {
		r.NanoCPUs = int64(l.NanoCPUs * 1e9)
	}
	if l.Pids > 0 {
		n := l.Pids
		r.PidsLimit = &n
	}
}

func reserve(l *types.Resource, r *container.Resources) {
	if l == nil {
		return
	}
	if l.MemoryBytes != 0 {
		r.MemoryReservation = int64(l.MemoryBytes)
	}
	for _, d := range l.Devices {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{
			Driver: d.Driver, Count: int(d.Count), DeviceIDs: d.IDs, Capabilities: [][]string{d.Capabilities}, Options: d.Options})
	}
}

// qualified is a device by the name of its vendor and class: vendor.com/class=device.
var qualified = regexp.MustCompile(`^[A-Za-z](?:[\w.-]*[A-Za-z0-9])?/[A-Za-z](?:[\w-]*[A-Za-z0-9])?=[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?$`)

func devices(s types.ServiceConfig, r *container.Resources) {
	var named []string
	for _, d := range s.Devices {
		if d.Source == d.Target && qualified.MatchString(d.Source) {
			named = append(named, d.Source)
			continue
		}
		r.Devices = append(r.Devices, container.DeviceMapping{PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Permissions})
	}
	if len(named) > 0 {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{Driver: "cdi", DeviceIDs: named})
	}
	for _, g := range s.Gpus {
		r.DeviceRequests = append(r.DeviceRequests, container.DeviceRequest{
			Driver: g.Driver, Count: int(g.Count), DeviceIDs: g.IDs, Capabilities: [][]string{append(slices.Clone(g.Capabilities), "gpu")}, Options: g.Options})
	}
}

func ulimits(all map[string]*types.UlimitsConfig) (out []*container.Ulimit) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		u := all[name]
		soft, hard := u.Single, u.Single
		if u.Soft != 0 {
			soft = u.Soft
		}
		if u.Hard != 0 {
			hard = u.Hard
		}
		out = append(out, &container.Ulimit{Name: name, Soft: int64(soft), Hard: int64(hard)})
	}
	return out
}

func throttle(b *types.BlkioConfig, r *container.Resources) {
	if b == nil {
		return
	}
	r.BlkioWeight = b.Weight
	for _, w := range b.WeightDevice {
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: w.Path, Weight: w.Weight})
	}
	for _, t := range []struct {
		from []types.ThrottleDevice
		to   *[]*blkiodev.ThrottleDevice
	}{
		{b.DeviceReadBps, &r.BlkioDeviceReadBps}, {b.DeviceReadIOps, &r.BlkioDeviceReadIOps},
		{b.DeviceWriteBps, &r.BlkioDeviceWriteBps}, {b.DeviceWriteIOps, &r.BlkioDeviceWriteIOps},
	} {
		for _, d := range t.from {
			*t.to = append(*t.to, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
		}
	}
}
