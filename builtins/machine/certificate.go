package machine

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
)

// Certificate reads a TLS certificate.
type Certificate struct {
	_       op.Doc      `doc:"Reads a TLS certificate, of a file or as a server shows it, and says when it expires."`
	At      string      `json:"at" doc:"A PEM file, or a server such as \"erlmcp.example.com:443\"."`
	Timeout op.Duration `json:"timeout" doc:"How long a server may take to answer."`
}

// Shown is a TLS certificate.
type Shown struct {
	_         op.Doc    `doc:"A TLS certificate."`
	At        string    `json:"at" doc:"Where it was read."`
	Subject   string    `json:"subject" doc:"Whom it names."`
	Issuer    string    `json:"issuer" doc:"Who has signed it."`
	Names     []string  `json:"names" doc:"The hosts and addresses that it is for."`
	NotBefore time.Time `json:"not_before" doc:"When it begins to be valid."`
	NotAfter  time.Time `json:"not_after" doc:"When it expires."`
	Days      int       `json:"days" doc:"How many whole days are left; below 0 where it has expired."`
	ChainOK   bool      `json:"chain_ok" doc:"Whether this machine trusts it: signed by an authority that it knows, and for a server's own name."`
	Problem   string    `json:"problem" doc:"What is wrong with it now, empty where nothing is."`
}

var (
	_ op.Op[*host.Host, Shown] = Certificate{}
	_ op.Checked               = Certificate{}
)

// Summary implements op.Op.
func (c Certificate) Summary() string { return "read the certificate of " + c.At }

// Check implements op.Checked.
func (c Certificate) Check() error {
	if c.At == "" || strings.Contains(c.At, "\x00") || strings.Contains(c.At, "://") {
		return fmt.Errorf(`at: want a PEM file or a server such as "example.com:443", got %q`, c.At)
	}
	if c.server() {
		return cmp.Or(checkAddress("at", c.At), checkTimeout(c.Timeout))
	}
	return nil
}

var hostPort = regexp.MustCompile(`^[^/]+:[0-9]+$`)

// server reports whether the certificate is a server's; a file of such a name is written ./name:1.
func (c Certificate) server() bool { return hostPort.MatchString(c.At) }

// Do implements op.Op.
func (c Certificate) Do(ctx context.Context, h *host.Host) (Shown, error) {
	chain, err := c.read(ctx, h)
	if ctx.Err() != nil {
		return Shown{}, context.Cause(ctx)
	}
	if err != nil {
		return Shown{}, fmt.Errorf("cannot read the certificate of %s: %s", c.At, why(err))
	}
	name := ""
	if c.server() {
		name, _, _ = net.SplitHostPort(c.At)
	}
	s := judge(chain, name, h.Clock.Now())
	s.At = c.At
	return s, nil
}

func (c Certificate) read(ctx context.Context, h *host.Host) (chain []*x509.Certificate, err error) {
	if !c.server() {
		b, err := host.ReadFile(h.Files, h.Abs(c.At), 1<<20)
		if err != nil {
			return nil, err
		}
		return parsePEM(b)
	}
	err = within(ctx, h, c.At+" to show its certificate", c.Timeout, func(ctx context.Context) error {
		chain, err = host.Certificates(ctx, c.At)
		return err
	})
	return chain, err
}

// parsePEM is every certificate of a file, the service's own first. Keys beside them are passed over.
func parsePEM(b []byte) (chain []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("what should be a certificate in it is none")
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return chain, nil
}

// judge describes the first of a chain, at a time and, unless name is "", for a server.
func judge(chain []*x509.Certificate, name string, now time.Time) Shown {
	c := chain[0]
	s := Shown{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: slices.Clone(c.DNSNames), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC()}
	for _, ip := range c.IPAddresses {
		s.Names = append(s.Names, ip.String())
	}
	s.Days = int(math.Floor(c.NotAfter.Sub(now).Hours() / 24))
	untrusted := trust(chain, name, now)
	s.ChainOK = untrusted == ""
	switch {
	case now.After(c.NotAfter):
		s.Problem = "it expired on " + s.NotAfter.Format(time.DateOnly)
	case now.Before(c.NotBefore):
		s.Problem = "it is not valid before " + s.NotBefore.Format(time.RFC3339)
	default:
		s.Problem = untrusted
	}
	return s
}

// trust says why this machine does not trust a chain, "" where it does. One that has expired is judged as of its time.
func trust(chain []*x509.Certificate, name string, now time.Time) string {
	c := chain[0]
	if now.After(c.NotAfter) {
		now = c.NotAfter
	} else if now.Before(c.NotBefore) {
		now = c.NotBefore
	}
	between := x509.NewCertPool()
	for _, other := range chain[1:] {
		between.AddCert(other)
	}
	_, err := c.Verify(x509.VerifyOptions{DNSName: name, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	switch {
	case err == nil:
		return ""
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "it is signed by nobody whom this machine trusts: " + c.Issuer.String()
	case errors.As(err, new(x509.HostnameError)):
		return "it is not for " + name
	}
	if bad := (x509.CertificateInvalidError{}); errors.As(err, &bad) && bad.Reason == x509.Expired && bad.Cert != nil {
		return fmt.Sprintf("%s, which signs it, is not valid now", bad.Cert.Subject)
	}
	return strings.TrimPrefix(err.Error(), "x509: ")
}
