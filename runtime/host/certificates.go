package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// Certificates are those that a TLS server shows, its own first. They are read, not trusted: nothing is sent to the server
// and no certificate is verified. One that afterwards wants a certificate of ours has shown its own.
func Certificates(ctx context.Context, addr string) ([]*x509.Certificate, error) {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var shown [][]byte
	d := tls.Dialer{Config: &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS10,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			shown = raw
			return nil
		},
	}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		c.Close()
	}
	if len(shown) == 0 {
		if err == nil {
			err = errors.New("the server shows no certificate")
		}
		return nil, plainly(ctx, err)
	}
	var chain []*x509.Certificate
	for _, raw := range shown {
		cert, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	return chain, nil
}
