package connect

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"k8s.io/client-go/rest"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/runtime/op"
)

// unreachable says why a cluster does not answer, and what to do about it.
func unreachable(c cluster.Cluster, config *rest.Config, err error) error {
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
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", at, err)
	case api.IsUnauthorized(err):
		return op.Hint(fmt.Errorf("%s: it does not know the credentials of %s", at, who), "they are another cluster's, or have expired: get new ones")
	case api.IsForbidden(err):
		return op.Hint(fmt.Errorf("%s: %w", at, err), "%s may not do that; runner setup ENVIRONMENT prints the commands that give the rights", who)
	case strings.Contains(text, "tls: expired certificate"), strings.Contains(text, "tls: bad certificate"), strings.Contains(text, "tls: unknown certificate"), strings.Contains(text, "tls: certificate required"):
		return op.Hint(fmt.Errorf("%s: it does not take the certificate of %s", at, who), "it has expired, or is another cluster's: get a new one")
	case strings.Contains(text, "getting credentials: "):
		_, why, _ := strings.Cut(text, "getting credentials: ")
		return op.Hint(fmt.Errorf("cannot get the credentials of %s: %s", who, why), "the kubeconfig names a program that gives them: run it by hand to see what it wants")
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

// innermost leaves out what the network's errors say of themselves.
func innermost(err error) error {
	var net *net.OpError
	if errors.As(err, &net) {
		return net.Err
	}
	return err
}
