package connect

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// expired names the credentials of a way whose time is over by what they say of themselves, and until when they were good;
// "" where that is not so.
func expired(config *rest.Config, now time.Time) (what string, until time.Time) {
	for _, c := range []struct {
		what  string
		until func() (time.Time, bool)
	}{
		{"certificate", func() (time.Time, bool) { return certified(contents(config.CertData, config.CertFile)) }},
		{"token", func() (time.Time, bool) {
			return claimed(cmp.Or(config.BearerToken, string(contents(nil, config.BearerTokenFile))))
		}},
	} {
		if until, known := c.until(); known && until.Before(now) {
			return c.what, until.UTC()
		}
	}
	return "", time.Time{}
}

func contents(data []byte, file string) []byte {
	if len(data) > 0 || file == "" {
		return data
	}
	data, _ = os.ReadFile(file) // who cannot read it has been told so before
	return data
}

func certified(text []byte) (time.Time, bool) {
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}, false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, false
	}
	return cert.NotAfter, true
}

// claimed is until when a token is good, where it is one that can be read (RFC 7519).
func claimed(token string) (time.Time, bool) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Until float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Until == 0 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Until), 0), true
}
