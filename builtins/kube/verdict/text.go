package verdict

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
)

// maxText is how much of what others say stands in one line.
const maxText = 220

// ids are what messages carry that tells nobody anything.
var ids = regexp.MustCompile(`\s*(rpc error: code = \w+ desc = |\[?preemption: .*$)`)

// line is a message as one line, without what tells nobody anything.
func line(message string) string {
	message = strings.Join(strings.Fields(ids.ReplaceAllString(message, " ")), " ")
	message = strings.TrimRight(message, " .")
	if len(message) > maxText {
		message = strings.ToValidUTF8(message[:maxText], "") + "…"
	}
	return message
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// exit says how a process ended: "exits with 1", "is ended by SIGKILL".
func exit(code, signal int32) string {
	if signal == 0 && code > 128 && code < 128+32 {
		signal = code - 128
	}
	if name := signals[syscall.Signal(signal)]; signal > 0 && name != "" {
		return "is ended by " + name
	}
	return fmt.Sprintf("exits with %d", code)
}

// signals are those that end processes, by number.
var signals = map[syscall.Signal]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}

// has reports whether a text holds one of some parts, whatever their case.
func has(text string, parts ...string) bool {
	text = strings.ToLower(text)
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}
