package host

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// signer makes certificates; the zero signer makes one that signs itself.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (s signer) sign(t *testing.T, change func(*x509.Certificate)) (signer, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: s.cert == nil}
	change(c)
	parent, with := c, key
	if s.cert != nil {
		parent, with = s.cert, s.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, with)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{cert, key}, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func pemOf(t *testing.T, c tls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// secured serves with a certificate; with clients, it wants theirs.
func secured(t *testing.T, cert tls.Certificate, clients *x509.CertPool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range r.TLS.PeerCertificates {
			fmt.Fprint(w, "from ", c.Subject.CommonName)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if clients != nil {
		s.TLS.ClientCAs, s.TLS.ClientAuth = clients, tls.RequireAndVerifyClientCert
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

func TestTLS(t *testing.T) {
	root, rootCert := signer{}.sign(t, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "Our\nroot"} })
	ca, rootKey := pemOf(t, rootCert)
	sign := func(change func(*x509.Certificate)) tls.Certificate { _, c := root.sign(t, change); return c }
	good := sign(func(*x509.Certificate) {})
	cert, key := pemOf(t, sign(func(c *x509.Certificate) { c.Subject.CommonName = "deployer" }))
	_, itself := signer{}.sign(t, func(*x509.Certificate) {})
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, c := range []struct {
		name string
		url  string
		tls  TLS
		why  Distrust // "" where it holds
		want string   // of the body or of the error
	}{
		{"known", secured(t, good, nil), TLS{CA: ca}, "", ""},
		{"unknown", secured(t, good, nil), TLS{}, Unknown, `the server's certificate is signed by "Our\nroot", which is not known here`},
		{"insecure", secured(t, good, nil), TLS{Insecure: true}, "", ""},
		{"self-signed", secured(t, itself, nil), TLS{CA: ca}, Unknown, "the server's certificate is signed by itself, which is not known here"},
		{"expired", secured(t, sign(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Unix(86400, 0)
		}), nil), TLS{CA: ca}, Expired, "the server's certificate is valid from 1970-01-01 to 1970-01-02"},
		{"another name", secured(t, sign(func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "b.example", "c", "d", "e"} }), nil), TLS{CA: ca}, WrongName,
			`the server's certificate is for "a.example", "b.example", "c", 2 more and not for localhost`},
		{"another name, asked for", secured(t, sign(func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} }), nil), TLS{CA: ca, ServerName: "a.example"}, "", ""},
		{"client", secured(t, good, pool), TLS{CA: ca, Cert: cert, Key: key}, "", "from deployer"},
		{"no client", secured(t, good, pool), TLS{CA: ca}, NoClient, "the server refuses the client's certificate, or its lack: certificate required"},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), TLS{CA: ca}, NoTLS, "the server does not speak TLS"},
		{"no PEM", secured(t, good, nil), TLS{CA: []byte("junk")}, "", "there is no certificate in PEM among the authorities"},
		{"no pair", secured(t, good, nil), TLS{CA: ca, Cert: cert, Key: rootKey}, "", "cannot use the client's certificate: private key does not match public key"},
		{"no key", secured(t, good, nil), TLS{CA: ca, Cert: cert}, "", "cannot use the client's certificate: failed to find any PEM data in key input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Internet{}.Do(t.Context(), Request{URL: c.url, TLS: c.tls})
			var u *Untrusted
			switch {
			case errors.As(err, &u) && (u.Why != c.why || u.Error() != c.want):
				t.Errorf("%s: %v", u.Why, err)
			case u == nil && c.why != "":
				t.Errorf("trusted: %+v, %v", r, err)
			case u == nil && err != nil && err.Error() != c.want:
				t.Error(err)
			case err == nil && string(r.Body) != c.want:
				t.Errorf("%q", r.Body)
			}
		})
	}
}

// What is meant for one host does not follow a redirect to another one.
func TestRedirectsKeepSecrets(t *testing.T) {
	var seen []string
	note := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Header.Get("X-Token")+r.Header.Get("Authorization")+r.Header.Get("Referer")+string(b))
	}
	other := httptest.NewServer(http.HandlerFunc(note))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/end", note)
	mux.Handle("/own", http.RedirectHandler("/end", http.StatusTemporaryRedirect))
	mux.Handle("/away", http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	mux.Handle("/twice", http.RedirectHandler("/away", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	own := httptest.NewServer(mux)
	defer own.Close()
	ask := func(path, body string) error {
		seen = nil
		_, err := Internet{}.Do(t.Context(), Request{Method: "POST", URL: own.URL + path, Body: []byte(body), Follow: true, Header: map[string]string{"X-Token": "t", "Authorization": "a"}})
		return err
	}
	if err := ask("/own", "b"); err != nil || len(seen) != 1 || !strings.HasPrefix(seen[0], "ta") || !strings.HasSuffix(seen[0], "b") {
		t.Errorf("to the same host: %q, %v", seen, err)
	}
	for _, path := range []string{"/away", "/twice"} {
		if err := ask(path, ""); err != nil || len(seen) != 1 || seen[0] != "" {
			t.Errorf("%s: another host hears %q, %v", path, seen, err)
		}
	}
	if err := ask("/away", "b"); err == nil || len(seen) > 0 || !strings.Contains(err.Error(), "a body is not sent on to another host") {
		t.Errorf("a body: %q, %v", seen, err)
	}
	if err := ask("/loop", ""); err == nil || err.Error() != "more than 10 redirects" {
		t.Error(err)
	}
}
