//go:build labs

package connect

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/runtime/host"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	kubeconfig "k8s.io/client-go/tools/clientcmd/api"
)

// plugin is a program that gives credentials, behind what it does before.
func plugin(t *testing.T, status any, before ...string) string {
	t.Helper()
	said, err := json.Marshal(map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	script := "#!/bin/sh\n" + strings.Join(before, "\n") + "\necho " + base64.StdEncoding.EncodeToString(said) + " | base64 -d\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// An API server is reached as the kubeconfig says, by a program that gives credentials, and as somebody else; who is not
// known, or comes as somebody he may not be, is told so.
func TestLabWays(t *testing.T) {
	lab := kubetest.Start(t)
	token := strings.TrimSpace(lab.Kubectl(t, "create", "token", "default", "-n", "default"))
	all, err := clientcmd.LoadFromFile(lab.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, who *kubeconfig.AuthInfo) {
		all.AuthInfos[name] = who
		all.Contexts[name] = &kubeconfig.Context{Cluster: all.Contexts[lab.Context].Cluster, AuthInfo: name}
	}
	exec := func(status any) *kubeconfig.AuthInfo {
		return &kubeconfig.AuthInfo{Exec: &kubeconfig.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", Command: plugin(t, status), InteractiveMode: kubeconfig.NeverExecInteractiveMode}}
	}
	add("plugin", exec(map[string]any{"token": token}))
	add("expired", exec(map[string]any{"token": token[:len(token)-4] + "AAAA"}))
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*all, file); err != nil {
		t.Fatal(err)
	}
	open := func(c cluster.Cluster) (*api.Conn, error) {
		c.Namespace, c.Name, c.Kubeconfig = "default", "shop", file
		return NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: os.Environ()}).Open(t.Context(), c)
	}
	for _, c := range []struct {
		to       cluster.Cluster
		who, bad string
	}{
		{to: cluster.Cluster{Context: lab.Context, Server: lab.Server, CA: lab.CA}, who: "lab-admin"},
		{to: cluster.Cluster{Context: "plugin"}, who: "system:serviceaccount:default:default"},
		{to: cluster.Cluster{Context: lab.Context, AsUser: "ana", AsGroups: []string{"ops"}}, who: "ana"},
		{to: cluster.Cluster{Context: "expired"}, bad: "it does not know the credentials of context expired"},
		{to: cluster.Cluster{Context: "plugin", AsUser: "ana"}, bad: `User "system:serviceaccount:default:default" cannot impersonate`},
	} {
		conn, err := open(c.to)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%+v: %v", c.to, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c.to, err)
			continue
		}
		me, err := conn.Create(t.Context(), &api.Object{Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}})
		if err != nil {
			t.Fatal(err)
		}
		who, _, _ := unstructured.NestedString(me.Object, "status", "userInfo", "username")
		groups, _, _ := unstructured.NestedStringSlice(me.Object, "status", "userInfo", "groups")
		if who != c.who || len(c.to.AsGroups) > 0 && !strings.Contains(fmt.Sprint(groups), "ops") {
			t.Errorf("%+v: the server sees %s %v", c.to, who, groups)
		}
	}
}

// A program may take longer to give credentials than a request may take: somebody logs in by it.
func TestLabSlowLogin(t *testing.T) {
	t.Parallel()
	lab := kubetest.Start(t)
	token := strings.TrimSpace(lab.Kubectl(t, "create", "token", "default", "-n", "default"))
	all, err := clientcmd.LoadFromFile(lab.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	all.AuthInfos["slow"] = &kubeconfig.AuthInfo{Exec: &kubeconfig.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: kubeconfig.NeverExecInteractiveMode,
		Command: plugin(t, map[string]any{"token": token}, "sleep 11")}}
	all.Contexts["slow"] = &kubeconfig.Context{Cluster: all.Contexts[lab.Context].Cluster, AuthInfo: "slow"}
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*all, file); err != nil {
		t.Fatal(err)
	}
	p := NewPool(&host.Host{Files: host.OS{}, Clock: host.SystemClock{}, Env: os.Environ()})
	if _, err := p.Open(t.Context(), cluster.Cluster{Namespace: "default", Name: "shop", Kubeconfig: file, Context: "slow"}); err != nil {
		t.Error(err)
	}
}
