// Package archtest holds the laws of this module as tests: who may import whom, what no package may keep, and how large
// things may grow. It parses the sources itself: asking the go command from a test would stay green from the cache after
// a violation. It refuses to have opinions that a decision has not made; the list of exceptions only shrinks.
package archtest
