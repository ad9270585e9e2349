package git

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/optest"
)

// in is an op in a repository made by commands. Its world is every byte of it: git keeps notes of its own in the index.
func in(params any, commands ...[]string) func(testing.TB) optest.World {
	return func(t testing.TB) optest.World {
		r := newRepo(t)
		for _, argv := range commands {
			r.run(argv...)
		}
		return optest.World{Host: r.h, Params: params, Snapshot: func() string { return r.bytes() }}
	}
}

// bytes is every file of the repository with its content.
func (r *repo) bytes() (out string) {
	err := filepath.WalkDir(r.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out += path + "\n" + string(host.SHA256(b)) + "\n"
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
	return out
}

func TestOps(t *testing.T) {
	one, dirty := []string{"git", "commit", "--allow-empty", "-qm", "one"}, []string{"sh", "-c", "echo >f; git add f; git commit -qm f; touch -d 2020-01-01 f; echo >g"}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	slow := []string{"sh", "-c", "printf '#!/bin/sh\\nsleep 1.3\\nexec " + git + " \"$@\"\\n' >../bin/git; chmod +x ../bin/git"}
	optest.Run(t, optest.Suite{Family: Family, Worlds: optest.Worlds{
		"head":               in(Head{}, one),
		"head: no commit":    in(Head{}),
		"status":             in(Status{Limit: 100}, one, dirty),
		"status: a slow one": in(Status{Limit: 100}, one, slow),
		"changelog":          in(Changelog{Until: "HEAD", Limit: 50}, one),
	}})
}
