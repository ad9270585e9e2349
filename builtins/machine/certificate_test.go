package machine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/erlmcp/runner/runtime/op"
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// sign makes a certificate, signed by itself where by is nil, that ends after d.
func issue(name string, ca bool, by *pair, d time.Duration) *pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(d),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}
	if ca {
		c.KeyUsage |= x509.KeyUsageCertSign
	} else {
		c.DNSNames, c.IPAddresses = []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &pair{made, key}
}

func (p *pair) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
}

// authorityKey is where authority leaves the key of the one authority that this test's machine trusts.
const authorityKey = "RUNNER_TEST_AUTHORITY"

func authority() string {
	ca := issue("Test authority", true, nil, 10000*time.Hour)
	f, err := os.CreateTemp("", "authority")
	if err != nil {
		panic(err)
	}
	f.WriteString(ca.pem())
	f.Close()
	der, _ := x509.MarshalECPrivateKey(ca.key)
	os.Setenv(authorityKey, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	return f.Name()
}

func trusted(t testing.TB) *pair {
	t.Helper()
	b, err := os.ReadFile(os.Getenv("SSL_CERT_FILE"))
	must(t, err)
	cert, _ := pem.Decode(b)
	key, _ := pem.Decode([]byte(os.Getenv(authorityKey)))
	c, err := x509.ParseCertificate(cert.Bytes)
	must(t, err)
	k, err := x509.ParseECPrivateKey(key.Bytes)
	must(t, err)
	return &pair{c, k}
}

// serve is a TLS server; it wants a certificate of its clients too where mutual is set.
func serve(t testing.TB, mutual bool, version uint16, chain ...*pair) string {
	t.Helper()
	var raw [][]byte
	for _, p := range chain {
		raw = append(raw, p.cert.Raw)
	}
	c := &tls.Config{Certificates: []tls.Certificate{{Certificate: raw, PrivateKey: chain[0].key}}, MaxVersion: version}
	if mutual {
		c.ClientAuth = tls.RequireAnyClientCert
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { conn.(*tls.Conn).Handshake(); conn.Close() }()
		}
	}()
	return l.Addr().String()
}

const day = 24 * time.Hour

func TestCertificateOfAServer(t *testing.T) {
	h := newHost(t)
	ca := trusted(t)
	between := issue("Between", true, ca, 100*day)
	ended := issue("Ended", true, ca, -day)
	for _, c := range []struct {
		name    string
		mutual  bool
		version uint16
		chain   []*pair
		days    int
		ok      bool
		problem string
	}{
		{"good", false, 0, []*pair{issue("a.example", false, ca, 30*day+time.Hour)}, 30, true, ""},
		{"near", false, 0, []*pair{issue("a.example", false, ca, time.Hour)}, 0, true, ""},
		{"expired", false, 0, []*pair{issue("a.example", false, ca, -time.Hour)}, -1, true, "it expired on "},
		{"expired long ago", false, 0, []*pair{issue("a.example", false, ca, -10*day-time.Hour)}, -11, true, "it expired on "},
		{"with one between", false, 0, []*pair{issue("a.example", false, between, 30*day+time.Hour), between}, 30, true, ""},
		{"without the one between", false, 0, []*pair{issue("a.example", false, between, 30*day+time.Hour)}, 30, false, "signed by nobody whom this machine trusts: CN=Between"},
		{"the one between has expired", false, 0, []*pair{issue("a.example", false, ended, 30*day+time.Hour), ended}, 30, false, "not valid now"},
		{"signed by itself", false, 0, []*pair{issue("a.example", false, nil, 30*day+time.Hour)}, 30, false, "signed by nobody"},
		{"wants one of ours", true, 0, []*pair{issue("a.example", false, ca, 30*day+time.Hour)}, 30, true, ""},
		{"old, wants one of ours", true, tls.VersionTLS12, []*pair{issue("a.example", false, ca, 30*day+time.Hour)}, 30, true, ""},
	} {
		at := serve(t, c.mutual, c.version, c.chain...)
		s, err := Certificate{At: at, Timeout: op.Duration(5 * time.Second)}.Do(t.Context(), h)
		if err != nil || s.Days != c.days || s.ChainOK != c.ok || (s.Problem == "") != (c.problem == "") || !strings.Contains(s.Problem, c.problem) {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
		if s.At != at || s.Subject != "CN=a.example" || len(s.Names) != 2 || s.Names[1] != "127.0.0.1" {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
	at := serve(t, false, 0, issue("a.example", false, ca, 30*day))
	_, port, _ := net.SplitHostPort(at)
	s, err := Certificate{At: "localhost:" + port, Timeout: op.Duration(5 * time.Second)}.Do(t.Context(), h)
	if err != nil || s.ChainOK || s.Problem != "it is not for localhost" {
		t.Errorf("another name: %+v, %v", s, err)
	}
}

func TestCertificateUnreadable(t *testing.T) {
	h := newHost(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	silent := l.Addr().String()
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err, gone.Close())
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	must(t, os.WriteFile(filepath.Join(h.Project, "garbage.pem"), []byte("garbage"), 0o644),
		os.WriteFile(filepath.Join(h.Project, "half.pem"), []byte("-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"), 0o644))
	for at, want := range map[string]string{
		silent:                    "no answer within 300ms",
		gone.Addr().String():      "connection refused",
		plain.Addr().String():     "the server does not speak TLS",
		"garbage.pem":             "there is no PEM certificate in it",
		"half.pem":                "what should be a certificate in it is none",
		"none.pem":                "it does not exist",
		"no.such.host.invalid:99": "",
	} {
		c := Certificate{At: at, Timeout: op.Duration(300 * time.Millisecond)}
		must(t, c.Check())
		_, err := c.Do(t.Context(), h)
		if err == nil || !strings.HasPrefix(err.Error(), "cannot read the certificate of "+at+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestCertificateOfAFile(t *testing.T) {
	h := newHost(t)
	ca := trusted(t)
	between := issue("Between", true, ca, 5*day)
	leaf := issue("b.example", false, between, 30*day+time.Hour)
	der, _ := x509.MarshalECPrivateKey(leaf.key)
	key := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	must(t, os.WriteFile(filepath.Join(h.Project, "chain.pem"), []byte("a comment\n"+key+leaf.pem()+between.pem()), 0o600))
	s, err := Certificate{At: "chain.pem"}.Do(t.Context(), h)
	if err != nil || s.Days != 30 || !s.ChainOK || s.Subject != "CN=b.example" || s.Issuer != "CN=Between" || s.Problem != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzPEM(f *testing.F) {
	f.Add([]byte(issue("x", false, nil, day).pem()))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if chain, err := parsePEM(b); err == nil {
			judge(chain, "host", time.Now())
		}
	})
}
