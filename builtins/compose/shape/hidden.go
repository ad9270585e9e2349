package shape

import "strings"

// Hidden reports whether the value of a variable is never shown: its name says that it may be a secret.
func Hidden(name string) bool {
	for _, part := range []string{"PASS", "SECRET", "TOKEN", "KEY", "CRED", "AUTH", "DSN", "PRIVATE", "CERT"} {
		if strings.Contains(strings.ToUpper(name), part) {
			return true
		}
	}
	return false
}
