package http

import (
	"errors"
	"fmt"

	"github.com/erlmcp/runner/builtins/artifact"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/erlmcp/runner/runtime/secret"
)

// TLS says how a connection is secured.
type TLS struct {
	_          op.Doc      `doc:"How a connection is secured, where the machine's own authorities and no client certificate are not enough."`
	CA         string      `json:"ca,omitempty" doc:"A file with the authorities to trust, in PEM, in place of the machine's."`
	Cert       string      `json:"cert,omitempty" doc:"A file with the client's certificate, in PEM."`
	Key        secret.Text `json:"key,omitzero" doc:"The client's key in PEM, a secret: secret.file(\"client.key\")."`
	ServerName string      `json:"server_name,omitempty" doc:"The name that the server's certificate must have, where it is not that of the URL."`
	Insecure   bool        `json:"insecure,omitempty" doc:"Take any certificate: nobody knows then who answers."`
}

// Check implements op.Checked.
func (t TLS) Check() error {
	switch {
	case t.Insecure && (t.CA != "" || t.ServerName != ""):
		return errors.New("insecure: takes any certificate, and so cannot be combined with ca or server_name")
	case t.Cert == "" && t.hasKey():
		return errors.New("cert: missing beside key")
	case t.Cert != "" && !t.hasKey():
		return errors.New("key: missing beside cert")
	case t.hasKey() && !t.Key.IsSecret():
		return op.Hint(errors.New("key: want a secret, got a string"), `say secret.file("client.key")`)
	}
	return nil
}

func (t TLS) hasKey() bool { return t.Key.IsSecret() || t.Key.String() != "" }

const maxPEM = 1 << 20

// open reads the files.
func (t TLS) open(h *host.Host) (host.TLS, error) {
	out := host.TLS{ServerName: t.ServerName, Insecure: t.Insecure}
	key, err := h.Secrets.Reveal(t.Key)
	if err != nil {
		return out, err
	}
	out.Key = []byte(key)
	if out.CA, err = readPEM(h, t.CA); err != nil {
		return out, err
	}
	out.Cert, err = readPEM(h, t.Cert)
	return out, err
}

func readPEM(h *host.Host, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := host.ReadFile(h.Files, h.Abs(path), maxPEM)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, artifact.Plainly(err))
	}
	return b, nil
}
