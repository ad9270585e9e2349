//go:build labs

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	kubeconfig "k8s.io/client-go/tools/clientcmd/api"

	"github.com/erlmcp/runner/builtins/kube/kubetest"
	"github.com/erlmcp/runner/builtins/kube/rights"
	"github.com/erlmcp/runner/scripts"
)

// labKey is a key of the lab's own.
func labKey(t *testing.T, lab *kubetest.Lab, name string) *ecdsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate is one of the lab's authority, of an administrator, and its key, as PEM.
func certificate(t *testing.T, lab *kubetest.Lab, until time.Time) (cert, key []byte) {
	t.Helper()
	text, err := os.ReadFile(lab.CA)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ana", Organization: []string{"system:masters"}},
		NotBefore: until.Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, &own.PublicKey, labKey(t, lab, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
}

// token is one of the service account default/default, signed as the lab signs them, as good until then.
func token(t *testing.T, lab *kubetest.Lab, until time.Time) string {
	t.Helper()
	account := strings.TrimSpace(lab.Kubectl(t, "get", "serviceaccount", "default", "-n", "default", "-o", "jsonpath={.metadata.uid}"))
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	const issuer = "https://kubernetes.default.svc"
	public, err := x509.MarshalPKIXPublicKey(&labKey(t, lab, "sa.key").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(public)
	signed := part(map[string]any{"alg": "ES256", "kid": base64.RawURLEncoding.EncodeToString(id[:])}) + "." + part(map[string]any{
		"iss": issuer, "aud": []string{issuer}, "sub": "system:serviceaccount:default:default", "iat": until.Add(-time.Hour).Unix(), "nbf": until.Add(-time.Hour).Unix(), "exp": until.Unix(),
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "default", "uid": account}},
	})
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, labKey(t, lab, "sa.key"), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// TestLabKubeCredentials: credentials that are no good any more, and programs that give none, are one error that says what
// to do, and nothing is changed. Those that are good for an hour are good.
func TestLabKubeCredentials(t *testing.T) {
	t.Parallel()
	s := newKubeSite(t)
	all, err := clientcmd.LoadFromFile(s.lab.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	by := func(argv ...string) *kubeconfig.AuthInfo {
		return &kubeconfig.AuthInfo{Exec: &kubeconfig.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", Command: argv[0], Args: argv[1:], InteractiveMode: kubeconfig.IfAvailableExecInteractiveMode}}
	}
	signed := func(until time.Time) *kubeconfig.AuthInfo {
		cert, key := certificate(t, s.lab, until)
		return &kubeconfig.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	}
	now := time.Now()
	old := token(t, s.lab, now.Add(-time.Hour))
	for name, c := range map[string]struct {
		who  *kubeconfig.AuthInfo
		code int
		says []string
	}{
		"good-certificate": {signed(now.Add(time.Hour)), 0, []string{"production serves shop"}},
		"good-token": {&kubeconfig.AuthInfo{Token: token(t, s.lab, now.Add(time.Hour))}, 1,
			[]string{"these credentials may not ", "runner setup ENVIRONMENT prints the commands"}}, // who they are is known
		"old-certificate": {signed(now.Add(-time.Minute)), 1, []string{"the certificate of context old-certificate has expired at ", "get a new one"}},
		"old-token":       {&kubeconfig.AuthInfo{Token: old}, 1, []string{"the token of context old-token has expired at ", "get a new one"}},
		"garbage":         {&kubeconfig.AuthInfo{Token: "garbage"}, 1, []string{"it does not know the credentials of context garbage", "have expired: get new ones"}},
		"old-by-program": {by("printf", `{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}`, old), 1,
			[]string{"it does not know the credentials of context old-by-program", "have expired: get new ones"}},
		"failing": {by("sh", "-c", "echo the session of ana has ended >&2; exit 7"), 1,
			[]string{"the session of ana has ended", "cannot get the credentials of context failing: sh ends with exit code 7", "run it by hand"}},
		"babbling": {by("echo", "hello"), 1, []string{"cannot get the credentials of context babbling: what echo prints is no ExecCredential", "run it by hand"}},
		"missing":  {by("no-such-plugin"), 1, []string{"cannot get the credentials of context missing: there is no program no-such-plugin", "install it"}},
	} {
		all.AuthInfos[name] = c.who
		all.Contexts[name] = &kubeconfig.Context{Cluster: all.Contexts[s.lab.Context].Cluster, AuthInfo: name}
		file := filepath.Join(s.home, "config")
		if err := clientcmd.WriteToFile(*all, file); err != nil {
			t.Fatal(err)
		}
		deploy := s.deploy("1.0")
		text := strings.NewReplacer(`context = "`+s.lab.Context+`"`, `context = "`+name+`", kubeconfig = "`+file+`"`).Replace(s.read("environments.star"))
		s.write("environments.star", text)
		before := s.state()
		if code := s.process(0, deploy...); code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s", name, code, c.code, s.out.String())
		}
		s.says(c.says...)
		if c.code != 0 {
			s.says("nothing is changed")
			s.same(before, name)
		}
	}
}

// leeway is for how long an API server takes a token that is over: clocks differ.
const leeway = time.Minute

// credentialed is a site whose stock deployment takes half a minute, by a service account with the rights of k8s/role.yaml.
func credentialed(t *testing.T) *kubeSite {
	t.Helper()
	s := newKubeSite(t)
	s.runs(0, s.deploy("1.0")...)
	role, err := scripts.FS.ReadFile("k8s/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	roles, err := rights.Roles(role)
	if err != nil {
		t.Fatal(err)
	}
	s.write("role.yaml", string(role))
	s.lab.Kubectl(t, "apply", "-n", s.namespace, "-f", filepath.Join(s.dir, "role.yaml"))
	for _, r := range roles {
		s.write("binding.yaml", r.Binding(s.namespace, "User", "system:serviceaccount:default:default"))
		s.lab.Kubectl(t, "apply", "-f", filepath.Join(s.dir, "binding.yaml"))
	}
	return s
}

// slowly is a deployment of a version that takes half a minute, by somebody.
func (s *kubeSite) slowly(version string, who *kubeconfig.AuthInfo) []string {
	s.t.Helper()
	all, err := clientcmd.LoadFromFile(s.lab.Kubeconfig)
	if err != nil {
		s.t.Fatal(err)
	}
	all.AuthInfos["short"] = who
	all.Contexts["short"] = &kubeconfig.Context{Cluster: all.Contexts[s.lab.Context].Cluster, AuthInfo: "short"}
	file := filepath.Join(s.home, "config")
	if err := clientcmd.WriteToFile(*all, file); err != nil {
		s.t.Fatal(err)
	}
	deploy := s.deploy(version)
	s.write("k8s/app.yaml", strings.NewReplacer("replicas: 3", "replicas: 1", "metadata: {labels: {app: web}}", `metadata: {labels: {app: web}, annotations: {lab/ready-after: 30s}}`).Replace(s.read("k8s/app.yaml")))
	s.write("environments.star", strings.Replace(s.read("environments.star"), `context = "`+s.lab.Context+`"`, `context = "short", kubeconfig = "`+file+`"`, 1))
	return deploy
}

// short is a token that is over before a slow deployment is.
func short(t *testing.T, s *kubeSite) string {
	return token(t, s.lab, time.Now().Add(10*time.Second-leeway))
}

// TestLabKubeCredentialsEndMidway: credentials that end while a deployment waits are told as such; what is left is taken
// back by the next one that has good ones.
func TestLabKubeCredentialsEndMidway(t *testing.T) {
	t.Parallel()
	s := credentialed(t)
	before := s.state()
	s.runs(11, s.slowly("1.1", &kubeconfig.AuthInfo{Token: short(t, s)})...)
	s.says("takes these credentials no longer: they may have expired", "the next run on this target goes on with the undo")

	s.otherMachine()
	s.deploy("1.0")
	s.runs(0, "recover.star", "production")
	s.settles("1.0")
	s.same(before, "recovered")
}

// TestLabKubeCredentialsAreRenewed: a program that gave credentials is asked for new ones when those are over, whether it
// had said until when they are good or not.
func TestLabKubeCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	s := credentialed(t)
	const says = `{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}` + "\n"
	s.write("first", fmt.Sprintf(says, short(t, s)))
	s.write("second", fmt.Sprintf(says, token(t, s.lab, time.Now().Add(time.Hour))))
	program := &kubeconfig.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", Command: "sh", InteractiveMode: kubeconfig.NeverExecInteractiveMode,
		Args: []string{"-c", `cd "$1" && echo >>asked && cat first && cp second first`, "sh", s.dir}}
	s.runs(0, s.slowly("1.1", &kubeconfig.AuthInfo{Exec: program})...)
	if asked := strings.Count(s.read("asked"), "\n"); asked != 2 {
		t.Errorf("the program was asked %d times", asked)
	}
}
