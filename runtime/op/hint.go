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

// OneLine is an error with its hint behind it, for lists.
func OneLine(err error) string {
	if hint := HintOf(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}
