//go:build mutant_late

package engine

// A mutant: the inverse is computed and recorded after the effect.
func inOrder(prepare, effect func() error) error {
	if err := effect(); err != nil {
		return err
	}
	return prepare()
}
