package op

import "context"

// Stand is what happens in the place of an op while a script is tested. Both are given the op's parameters.
type Stand struct {
	Do      func(ctx context.Context, params any) (any, error)
	Inverse func(ctx context.Context, params any) (any, error) // of a Change
}

// StoodIn is the op with other effects: its name, class, parameters, target and result stay. What only looks at the
// machine, such as whether a program is there, a preview or evidence, is left out.
func (s *Spec) StoodIn(by Stand) *Spec {
	c := *s
	c.do, c.inverse, c.ready, c.preview, c.difference, c.evidence = by.Do, nil, nil, nil, nil, nil
	if s.inverse != nil {
		c.inverse = by.Inverse
	}
	return &c
}
