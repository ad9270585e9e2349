package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// runPKI is "pki DIR SERVER_URL [EXTRA_SAN...]": it writes a throw-away CA, the API
// server's certificate, the ServiceAccount key pair, a client certificate and a
// kubeconfig for each component and for an administrator. Every file is new each time.
func runPKI() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: pki DIR SERVER_URL [EXTRA_SAN...]")
		os.Exit(2)
	}
	if err := writePKI(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func writePKI(dir, server string, sans []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := issue(nil, dir, "ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "lab-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
	if err != nil {
		return err
	}
	serving := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
	}
	for _, s := range sans {
		if ip := net.ParseIP(s); ip != nil {
			serving.IPAddresses = append(serving.IPAddresses, ip)
		} else {
			serving.DNSNames = append(serving.DNSNames, s)
		}
	}
	if _, err := issue(ca, dir, "apiserver", serving); err != nil {
		return err
	}
	if _, err := issue(ca, dir, "sa", &x509.Certificate{Subject: pkix.Name{CommonName: "sa"}}); err != nil {
		return err
	}
	caPEM, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return err
	}
	for _, u := range []struct{ file, user, group string }{
		{"admin", "lab-admin", "system:masters"},
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"kwok", "kwok", "system:masters"},
		{"kubelet", "system:node:node1", "system:nodes"},
		{"kube-proxy", "system:kube-proxy", ""},
		{"kubelet-client", "kube-apiserver-kubelet-client", "system:masters"},
	} {
		t := &x509.Certificate{
			Subject:     pkix.Name{CommonName: u.user},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		if u.group != "" {
			t.Subject.Organization = []string{u.group}
		}
		if _, err := issue(ca, dir, u.file, t); err != nil {
			return err
		}
		crt, err := os.ReadFile(filepath.Join(dir, u.file+".crt"))
		if err != nil {
			return err
		}
		key, err := os.ReadFile(filepath.Join(dir, u.file+".key"))
		if err != nil {
			return err
		}
		b64 := base64.StdEncoding.EncodeToString
		conf := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %s
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: lab
  context: {cluster: lab, user: %s}
current-context: lab
`, server, b64(caPEM), u.file, b64(crt), b64(key), u.file)
		if err := os.WriteFile(filepath.Join(dir, u.file+".kubeconfig"), []byte(conf), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func issue(by *signer, dir, name string, t *x509.Certificate) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(30*24*time.Hour)
	if t.KeyUsage == 0 {
		t.KeyUsage = x509.KeyUsageDigitalSignature
	}
	parent, parentKey := t, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	pubDER, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		ext, block string
		der        []byte
	}{{".crt", "CERTIFICATE", der}, {".key", "EC PRIVATE KEY", keyDER}, {".pub", "PUBLIC KEY", pubDER}} {
		data := pem.EncodeToMemory(&pem.Block{Type: f.block, Bytes: f.der})
		if err := os.WriteFile(filepath.Join(dir, name+f.ext), data, 0o600); err != nil {
			return nil, err
		}
	}
	cert, err := x509.ParseCertificate(der)
	return &signer{cert, key}, err
}
