package op

import "errors"

// HintOf is the outermost hint of an error, "" where it has none.
func HintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}
