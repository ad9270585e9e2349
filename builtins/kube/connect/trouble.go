package connect

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	kubeconfig "k8s.io/client-go/tools/clientcmd/api"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// unreachable says why a cluster does not answer, and what to do about it.
func unreachable(c cluster.Cluster, config *rest.Config, now time.Time, err error) error {
	at := fmt.Sprintf("cannot reach the cluster at %s", config.Host)
	who := "context " + c.Context
	switch {
	case c.InCluster:
		who = "this pod's service account"
	case c.Context == "":
		who = "the kubeconfig"
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var named x509.HostnameError
	var lookup *net.DNSError
	over, until := expired(config, now)
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", at, err)
	case over != "" && (api.IsUnauthorized(err) || refusedCertificate(text)):
		return op.Hint(fmt.Errorf("%s: the %s of %s has expired at %s", at, over, who, until.Format("2006-01-02 15:04:05 UTC")), "get a new one")
	case api.IsUnauthorized(err):
		return op.Hint(fmt.Errorf("%s: it does not know the credentials of %s", at, who), "they are another cluster's, or have expired: get new ones")
	case api.IsForbidden(err):
		return op.Hint(fmt.Errorf("%s: %w", at, err), "%s may not do that; runner setup ENVIRONMENT prints the commands that give the rights", who)
	case refusedCertificate(text):
		return op.Hint(fmt.Errorf("%s: it does not take the certificate of %s", at, who), "it has expired, or is another cluster's: get a new one")
	case config.ExecProvider != nil && strings.Contains(text, gettingCredentials):
		_, why, _ := strings.Cut(text, gettingCredentials)
		why, hint := noCredentials(config.ExecProvider, why)
		return op.Hint(fmt.Errorf("cannot get the credentials of %s: %s", who, why), "%s", hint)
	case errors.As(err, &unknown):
		return op.Hint(fmt.Errorf("%s: it answers with a certificate of an authority that is not the cluster's", at), "nothing was sent; cluster(..., ca = FILE) names another authority")
	case errors.As(err, &named):
		return op.Hint(fmt.Errorf("%s: %w", at, named), "nothing was sent")
	case errors.As(err, &invalid):
		return fmt.Errorf("%s: the certificate that it answers with cannot be trusted: %w", at, invalid)
	case errors.Is(err, syscall.ECONNREFUSED):
		return op.Hint(fmt.Errorf("%s: connection refused", at), "nothing listens there")
	case errors.As(err, &lookup):
		return op.Hint(fmt.Errorf("%s: there is no host %s", at, lookup.Name), "the name is misspelt, or known in another network only")
	}
	return fmt.Errorf("%s: %w", at, innermost(err))
}

// refusedCertificate reports whether a server has ended the handshake for what it was shown.
func refusedCertificate(text string) bool {
	for _, alert := range []string{"expired certificate", "bad certificate", "unknown certificate", "certificate required"} {
		if strings.Contains(text, "tls: "+alert) {
			return true
		}
	}
	return false
}

// gettingCredentials is what client-go says where a program was to give credentials.
const gettingCredentials = "getting credentials: "

// noCredentials says why a program has given none, and what to do about it, by what client-go says of it.
func noCredentials(program *kubeconfig.ExecConfig, said string) (why, hint string) {
	name := filepath.Base(program.Command)
	hint = "the kubeconfig names a program that gives them: run it by hand to see what it wants"
	switch code, failed := strings.CutPrefix(said, "exec: executable "+program.Command+" failed with exit code "); {
	case failed:
		return name + " ends with exit code " + code + "; what it says is above", hint
	case strings.HasPrefix(said, "exec: executable "+program.Command+" not found"):
		hint = cmp.Or(strings.Join(strings.Fields(program.InstallHint), " "), "the kubeconfig names a program that gives them: install it")
		return "there is no program " + program.Command, hint
	case strings.HasPrefix(said, "decoding stdout: "):
		return "what " + name + " prints is no ExecCredential", hint
	case strings.Contains(said, "plugin returned version"):
		return name + " gives those of another version: " + said, "correct apiVersion in the user of the kubeconfig, or take another version of " + name
	case strings.Contains(said, "didn't return"):
		return name + " gives neither a token nor a certificate", hint
	case strings.Contains(said, "interactive mode"):
		return name + " asks at a terminal, and there is none", "log in before, or take credentials that need no question"
	}
	return said, hint
}

// innermost leaves out what the network's errors say of themselves.
func innermost(err error) error {
	var net *net.OpError
	if errors.As(err, &net) {
		return net.Err
	}
	return err
}
