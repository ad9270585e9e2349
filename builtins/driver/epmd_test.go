package driver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestNameFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	for name, c := range map[string]struct {
		args, epmd string
		live       string // the name of the node that runs, whose process may be another user's
		taken      string
	}{
		"another's":        {args: "-sname ${NODE_NAME}", epmd: "echo 'epmd: up and running on port 4369 with data:'; echo name app at port PORT", taken: "app"},
		"a long one":       {args: "## the name\n-name ${NODE_NAME}", epmd: "echo name app at port PORT", taken: "app"},
		"a fixed one":      {args: "-name fixed@127.0.0.1", epmd: "echo name fixed at port PORT", taken: "fixed"},
		"one with another": {args: "-name ${NODE_NAME:-other@127.0.0.1}", epmd: "echo name app at port PORT", taken: "app"},
		"an unset one":     {args: "-name ${NAME:-other@127.0.0.1}", epmd: "echo name other at port PORT", taken: "other"},
		"that of the live": {args: "-sname ${NODE_NAME}", epmd: "echo name app at port PORT", live: "app"},
		"a live one's old": {args: "-sname ${NODE_NAME}", epmd: "echo name app at port PORT", live: "old", taken: "app"},
		"another name":     {args: "-sname ${NODE_NAME}", epmd: "echo name app2 at port PORT"},
		"one that went":    {args: "-sname ${NODE_NAME}", epmd: "echo name app at port 1"},
		"no epmd":          {args: "-sname ${NODE_NAME}", epmd: "echo epmd: Cannot connect to local epmd; exit 1"},
		"a deaf epmd":      {args: "-sname ${NODE_NAME}", epmd: "echo name app at port PORT; exec sleep 60"},
		"not known":        {args: "-sname ${NAME}", epmd: "echo name app at port PORT"},
		"no node":          {args: "+K true", epmd: "echo name app at port PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := relxPlace(t, c.args)
			bin := filepath.Join(p.root, "releases", "000001", "erts-13.1.5", "bin")
			p.must(os.MkdirAll(bin, 0o755))
			script := "#!/bin/sh\n[ \"$1\" = -names ] || exit 9\n" + strings.ReplaceAll(c.epmd, "PORT", strconv.Itoa(port))
			p.must(os.WriteFile(filepath.Join(bin, "epmd"), []byte(script), 0o755))
			u, err := relx(t).Unit(p.h, p.root, "000001", "r/1")
			p.must(err)
			runs := Running{Alive: c.live != "", Loaded: Unit{Dir: u.Dir, Env: []string{"NODE_NAME=" + c.live}}}
			err = u.NameFree(t.Context(), p.h, runs)
			var taken *NameTaken
			switch {
			case c.taken == "" && err != nil:
				t.Error(err)
			case c.taken != "":
				// A child that is being started has all that its parent has, and may be named in its place.
				if want := fmt.Sprintf("the node name %s is taken by process ", c.taken); !errors.As(err, &taken) || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%v, want %s", err, want)
				}
			}
		})
	}
}
