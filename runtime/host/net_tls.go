package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// TLS says how a connection is secured where the machine's own way is not enough.
type TLS struct {
	CA         []byte // authorities in PEM, in place of the machine's
	Cert, Key  []byte // the client's certificate and its key in PEM
	ServerName string // whose certificate is wanted, where that is not the URL's host
	Insecure   bool   // any certificate is taken
}

// config is nil where the machine's own way is enough.
func (t TLS) config() (*tls.Config, error) {
	if len(t.CA) == 0 && len(t.Cert) == 0 && len(t.Key) == 0 && t.ServerName == "" && !t.Insecure {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if len(t.CA) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("there is no certificate in PEM among the authorities")
		}
	}
	if len(t.Cert) > 0 || len(t.Key) > 0 {
		pair, err := tls.X509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot use the client's certificate: %s", strings.TrimPrefix(err.Error(), "tls: "))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Distrust is why a connection could not be secured.
type Distrust string

// The reasons.
const (
	Expired   Distrust = "expired"   // the server's certificate is over, or not valid yet
	WrongName Distrust = "name"      // it is somebody else's
	Unknown   Distrust = "authority" // nobody who is known here has signed it
	NoTLS     Distrust = "no tls"    // the server does not speak TLS on that port
	NoClient  Distrust = "client"    // the server wants to know who asks, and does not accept the answer
)

// Untrusted is the error where a connection could not be secured.
type Untrusted struct {
	Why  Distrust
	text string
}

func (u *Untrusted) Error() string { return u.text }

// untrusted finds why a connection could not be secured; nil where that is not what happened.
func untrusted(err error) error {
	var (
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		header    tls.RecordHeaderError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Untrusted{Expired, fmt.Sprintf("the server's certificate is valid from %s to %s",
			invalid.Cert.NotBefore.UTC().Format("2006-01-02"), invalid.Cert.NotAfter.UTC().Format("2006-01-02"))}
	case errors.As(err, &name):
		return &Untrusted{WrongName, fmt.Sprintf("the server's certificate is for %s and not for %s", namesOf(name.Certificate), name.Host)}
	case errors.As(err, &authority):
		return &Untrusted{Unknown, "the server's certificate is signed by " + issuerOf(authority.Cert) + ", which is not known here"}
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return &Untrusted{NoTLS, "the server does not speak TLS"}
	case errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Err.Error(), "certificate"):
		return &Untrusted{NoClient, "the server refuses the client's certificate, or its lack: " + strings.TrimPrefix(remote.Err.Error(), "tls: ")}
	}
	return nil
}

// namesOf are the names in a certificate, as its maker wrote them: they are quoted.
func namesOf(c *x509.Certificate) string {
	var names []string
	for _, n := range c.DNSNames {
		names = append(names, strconv.Quote(n))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	if more := len(names) - 3; more > 0 {
		names = append(slices.Clip(names[:3]), fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func issuerOf(c *x509.Certificate) string {
	switch {
	case c == nil:
		return "an authority"
	case c.Subject.String() == c.Issuer.String():
		return "itself"
	}
	return strconv.Quote(c.Issuer.CommonName)
}

// redirects decides about following a redirect: what was meant for one host, a secret in a header among it, does not go
// to another one, nor on without TLS.
func redirects(r Request) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case !r.Follow:
			return http.ErrUseLastResponse
		case len(via) >= 10:
			return errors.New("more than 10 redirects")
		case next.URL.Host == first.Host && (next.URL.Scheme == first.Scheme || next.URL.Scheme == "https"):
			return nil
		case next.ContentLength > 0:
			return fmt.Errorf("it redirects to %q, and a body is not sent on to another host", next.URL.Host)
		}
		for name := range r.Header {
			next.Header.Del(name)
		}
		next.Header.Del("Referer")
		return nil
	}
}

// request is the request and the client that sends it.
func (r Request) request(ctx context.Context) (*http.Request, *http.Client, error) {
	config, err := r.TLS.config()
	if err != nil {
		return nil, nil, err
	}
	req, err := newRequest(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	t := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment, TLSClientConfig: config}
	return req, &http.Client{Transport: t, CheckRedirect: redirects(r)}, nil
}
