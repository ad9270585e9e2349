package build

import (
	"cmp"
	"debug/elf"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
)

// anywhere is the platform of what holds no machine code.
const anywhere = "any"

// judge says where what was made runs.
func judge(f host.FS, name string, a *artifact.Artifact) (err error) {
	if a.Platform, err = platformOf(f, name); err != nil {
		return fmt.Errorf("cannot tell where %s runs: %w", a.Name, artifact.Plainly(err))
	}
	return nil
}

// platformOf is the platform that the programs and libraries of a file or folder are for, several where it holds several.
// An Erlang release runs where its virtual machine does, and a library in it for elsewhere is an error.
func platformOf(f host.FS, name string) (string, error) {
	info, err := f.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		p, err := codeOf(f, name)
		return cmp.Or(p, anywhere), err
	}
	files := map[string]string{} // the first file for each platform
	vm := ""
	err = artifact.Walk(f, name, func(rel string, info fs.FileInfo) error {
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 && !strings.Contains(path.Base(rel), ".so") {
			return nil
		}
		p, err := codeOf(f, filepath.Join(name, rel))
		if ok, _ := path.Match("erts-*/bin/beam*", rel); ok && p != "" {
			vm, files[p] = p, rel
		}
		if p != "" {
			files[p] = cmp.Or(files[p], rel)
		}
		return err
	})
	var all []string
	for p, file := range files {
		if vm != "" && p != vm && err == nil {
			err = fmt.Errorf("%s is for %s, and %s for %s", file, p, files[vm], vm)
		}
		all = append(all, p)
	}
	slices.Sort(all)
	return cmp.Or(strings.Join(all, ","), anywhere), err
}

// codeOf is the platform that a file's machine code is for, "" where it holds none.
func codeOf(f host.FS, name string) (string, error) {
	file, err := f.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b := make([]byte, 20)
	_, err = io.ReadFull(file, b)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "", nil
	case err != nil:
		return "", err
	case string(b[:4]) == elf.ELFMAG:
		return elfOf(b), nil
	case binary.LittleEndian.Uint32(b) == macho.Magic64:
		return machoOf(macho.Cpu(binary.LittleEndian.Uint32(b[4:]))), nil
	}
	return "", nil
}

// elfOf reads the beginning of an ELF file. Linux leaves the mark of its system out, mostly.
func elfOf(b []byte) string {
	var order binary.ByteOrder = binary.LittleEndian
	little := elf.Data(b[elf.EI_DATA]) != elf.ELFDATA2MSB
	if !little {
		order = binary.BigEndian
	}
	system := "linux"
	switch elf.OSABI(b[elf.EI_OSABI]) {
	case elf.ELFOSABI_FREEBSD:
		system = "freebsd"
	case elf.ELFOSABI_OPENBSD:
		system = "openbsd"
	case elf.ELFOSABI_NETBSD:
		system = "netbsd"
	}
	switch m := elf.Machine(order.Uint16(b[18:])); m {
	case elf.EM_X86_64:
		return system + "/amd64"
	case elf.EM_AARCH64:
		return system + "/arm64"
	case elf.EM_PPC64:
		if little {
			return system + "/ppc64le"
		}
		return system + "/ppc64"
	case elf.EM_RISCV:
		return system + "/riscv64"
	case elf.EM_S390:
		return system + "/s390x"
	case elf.EM_LOONGARCH:
		return system + "/loong64"
	default: // 386 and arm are called so
		return system + "/" + strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
	}
}

func machoOf(cpu macho.Cpu) string {
	switch cpu {
	case macho.CpuAmd64:
		return "darwin/amd64"
	case macho.CpuArm64:
		return "darwin/arm64"
	}
	return "darwin/" + strings.ToLower(strings.TrimPrefix(cpu.String(), "Cpu"))
}
