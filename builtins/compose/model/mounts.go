package model

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/mount"

	"github.com/erlmcp/runner/builtins/compose/shape"
)

// mounts are what a container has of volumes and of the host's files. What the engine's older form can say is said so,
// as Compose does: only that makes a folder of the host that is not there.
func (m *Model) mounts(s types.ServiceConfig) (binds []string, out []mount.Mount, err error) {
	all := map[string]types.ServiceVolumeConfig{}
	for _, v := range m.fileMounts(s) {
		all[v.Target] = v
	}
	for _, v := range s.Volumes {
		all[v.Target] = v
	}
	for _, target := range slices.Sorted(maps.Keys(all)) {
		v := all[target]
		own := slices.ContainsFunc(s.Volumes, func(o types.ServiceVolumeConfig) bool { return o.Target == target })
		named, known := m.Project.Volumes[v.Source]
		switch {
		case v.Type == types.VolumeTypeBind && own && plainBind(v.Bind):
			binds = append(binds, bindText(v.Source, v))
			continue
		case v.Type == types.VolumeTypeVolume && known && plainVolume(v.Volume):
			binds = append(binds, bindText(named.Name, v))
			continue
		case v.Type == types.VolumeTypeVolume && known:
			v.Source = named.Name
		case v.Type == types.VolumeTypeImage:
			if !m.speaks("1.48") {
				return nil, nil, fmt.Errorf("volumes.%s: the engine speaks API %s, and 1.48 is the oldest that mounts images (Docker 28)", v.Source, m.API)
			}
			if other, is := m.Project.Services[v.Source]; is {
				v.Source = m.image(other)
			}
		case v.Type == types.VolumeTypeCluster || v.Type == types.VolumeTypeNamedPipe:
			return nil, nil, fmt.Errorf("volumes.%s: a volume of type %s is not supported", v.Source, v.Type)
		}
		if v.Volume != nil && v.Volume.Subpath != "" && !m.speaks("1.45") {
			return nil, nil, fmt.Errorf("volumes.%s: the engine speaks API %s, and 1.45 is the oldest that knows subpath (Docker 26)", v.Source, m.API)
		}
		out = append(out, mounted(v))
	}
	return binds, out, nil
}

func plainBind(b *types.ServiceVolumeBind) bool {
	return b == nil || bool(b.CreateHostPath) && b.Propagation == "" && b.Recursive == ""
}

func plainVolume(v *types.ServiceVolumeVolume) bool {
	return v == nil || len(v.Labels) == 0 && v.Subpath == "" && !v.NoCopy
}

func bindText(source string, v types.ServiceVolumeConfig) string {
	options := "rw"
	if v.ReadOnly {
		options = "ro"
	}
	if v.Bind != nil && v.Bind.SELinux != "" {
		options += "," + v.Bind.SELinux
	}
	return source + ":" + v.Target + ":" + options
}

func mounted(v types.ServiceVolumeConfig) mount.Mount {
	out := mount.Mount{Type: mount.Type(v.Type), Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly, Consistency: mount.Consistency(v.Consistency)}
	switch {
	case v.Type == types.VolumeTypeBind && v.Bind != nil:
		out.BindOptions = &mount.BindOptions{
			Propagation: mount.Propagation(v.Bind.Propagation), CreateMountpoint: bool(v.Bind.CreateHostPath), NonRecursive: v.Bind.Recursive == "disabled",
			ReadOnlyNonRecursive: v.Bind.Recursive == "writable", ReadOnlyForceRecursive: v.Bind.Recursive == "readonly",
		}
	case v.Type == types.VolumeTypeVolume && v.Volume != nil:
		out.VolumeOptions = &mount.VolumeOptions{NoCopy: v.Volume.NoCopy, Subpath: v.Volume.Subpath, Labels: v.Volume.Labels}
	case v.Type == types.VolumeTypeTmpfs && v.Tmpfs != nil:
		out.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: os.FileMode(v.Tmpfs.Mode)}
	case v.Type == types.VolumeTypeImage && v.Image != nil:
		out.ImageOptions = &mount.ImageOptions{Subpath: v.Image.SubPath}
	}
	return out
}

// given is a secret or a config of a service, and what it is.
type given struct {
	types.FileReferenceConfig
	is     types.FileObjectConfig
	target string
	secret bool
}

func (m *Model) given(s types.ServiceConfig) (out []given) {
	for _, r := range s.Secrets {
		out = append(out, given{types.FileReferenceConfig(r), types.FileObjectConfig(m.Project.Secrets[r.Source]), under("/run/secrets", r.Target, r.Source), true})
	}
	for _, r := range s.Configs {
		out = append(out, given{types.FileReferenceConfig(r), types.FileObjectConfig(m.Project.Configs[r.Source]), under("/", r.Target, r.Source), false})
	}
	return out
}

// under is where a secret or a config lies in a container.
func under(dir, target, source string) string {
	switch {
	case target == "":
		return path.Join(dir, source)
	case strings.HasPrefix(target, "/"):
		return target
	}
	return path.Join(dir, target)
}

// fileMounts are the secrets and configs that are files of the host.
func (m *Model) fileMounts(s types.ServiceConfig) (out []types.ServiceVolumeConfig) {
	for _, g := range m.given(s) {
		if g.is.File == "" {
			continue
		}
		v := types.ServiceVolumeConfig{Type: types.VolumeTypeBind, Source: g.is.File, Target: g.target, ReadOnly: true}
		if g.secret {
			v.Bind = &types.ServiceVolumeBind{}
		}
		out = append(out, v)
	}
	return out
}

// laid are the secrets and configs that have no file: they are put into the container before it starts.
func (m *Model) laid(s types.ServiceConfig) (out []shape.File, err error) {
	for _, g := range m.given(s) {
		text := g.is.Content
		if g.is.Environment != "" && text == "" {
			text = m.Project.Environment[g.is.Environment]
		}
		if text == "" {
			continue
		}
		section := "configs."
		if g.secret {
			section = "secrets."
		}
		if s.ReadOnly {
			return nil, fmt.Errorf("%s%s: nothing can be laid into a read_only container: give it a file", section, g.Source)
		}
		f := shape.File{Path: g.target, Data: []byte(text), Mode: 0o444}
		if g.Mode != nil {
			f.Mode = uint32(*g.Mode)
		}
		for to, text := range map[*int]string{&f.UID: g.UID, &f.GID: g.GID} {
			if text == "" {
				continue
			}
			if *to, err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("%s%s: want the number of a user or a group, got %q", section, g.Source, text)
			}
		}
		out = append(out, f)
	}
	return out, nil
}
