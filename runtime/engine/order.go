//go:build !mutant_late

package engine

// inOrder is the first law of ops: the inverse is on record before the effect begins. It stands alone because a
// mutant replaces it: the crash suite must fail with the two exchanged.
func inOrder(prepare, effect func() error) error {
	if err := prepare(); err != nil {
		return err
	}
	return effect()
}
