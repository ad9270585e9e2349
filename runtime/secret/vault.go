package secret

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// Vault resolves secrets and tells the scrubber every value that it hands out. It is safe for concurrent use.
type Vault struct {
	Getenv   func(string) (string, bool)
	ReadFile func(string) ([]byte, error)
	// Run gives what a program prints. Its errors show nothing of that.
	Run      func(ctx context.Context, argv []string) ([]byte, error)
	Scrubber *Scrubber

	mu    sync.Mutex
	known map[string]*entry
}

// entry is one secret. Who fetches it holds the turn: whoever else wants it waits, and others' secrets do not.
type entry struct {
	turn  chan struct{}
	value string // "" until it was had
}

// Reveal gives the value. Asked again it gives the same value, whatever has changed outside. The error names the
// secret and never quotes it.
func (v *Vault) Reveal(t Text) (string, error) { return v.RevealIn(context.Background(), t) }

// RevealIn is Reveal for an op: a program that prints the secret ends with ctx, and its wait is the op's.
func (v *Vault) RevealIn(ctx context.Context, t Text) (string, error) {
	switch {
	case !t.IsSecret():
		return t.plain, nil
	case t.format != "":
		return v.derive(ctx, t)
	}
	e := v.entry(strings.Join(append([]string{t.env, t.file}, t.command...), "\x00"))
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-e.turn }()
	if e.value != "" {
		return e.value, nil
	}
	s, err := v.fetch(ctx, t)
	if err != nil {
		return "", err
	}
	v.Scrubber.Add(t.Name(), s)
	e.value = s
	return s, nil
}

// Conceal tells the scrubber of a value that was learnt elsewhere, as from the records of a target.
func (v *Vault) Conceal(name, value string) {
	if v != nil {
		v.Scrubber.Add(name, value)
	}
}

func (v *Vault) entry(key string) *entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = map[string]*entry{}
	}
	if v.known[key] == nil {
		v.known[key] = &entry{turn: make(chan struct{}, 1)}
	}
	return v.known[key]
}

func (v *Vault) derive(ctx context.Context, t Text) (string, error) {
	var b strings.Builder
	for i, piece := range strings.Split(t.format, "{}") {
		if i > 0 {
			s, err := v.RevealIn(ctx, t.parts[i-1])
			if err != nil {
				return "", err
			}
			b.WriteString(s)
		}
		b.WriteString(piece)
	}
	return b.String(), nil
}

func (v *Vault) fetch(ctx context.Context, t Text) (string, error) {
	if t.env != "" {
		s, ok := v.Getenv(t.env)
		if !ok || s == "" {
			return "", fmt.Errorf("cannot read the secret %s: the environment variable is not set", t.env)
		}
		return s, nil
	}
	read := func() ([]byte, error) { return v.open(t.file) }
	empty := errors.New("the file is empty")
	if len(t.command) > 0 {
		read = func() ([]byte, error) { return v.run(ctx, t.command) }
		empty = errors.New("it printed nothing")
	}
	b, err := read()
	s := strings.TrimSuffix(string(b), "\n")
	if err == nil && s == "" {
		err = empty
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the secret %s: %w", t.Name(), err)
	}
	return s, nil
}

// open reads a file; its errors name the whole path, which the name of a secret does not.
func (v *Vault) open(name string) ([]byte, error) {
	b, err := v.ReadFile(name)
	var p *fs.PathError
	switch {
	case errors.As(err, &p) && errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist", p.Path)
	case errors.As(err, &p):
		return nil, fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return b, err
}

func (v *Vault) run(ctx context.Context, argv []string) ([]byte, error) {
	if v.Run == nil {
		return nil, errors.New("no program can be run here")
	}
	return v.Run(ctx, argv)
}
