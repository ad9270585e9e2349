//go:build !windows

package main

// doctor is "runner doctor ENVIRONMENT": the script doctor.star, which a project may replace.
func (p *program) doctor(f flags, args []string) (int, error) {
	if len(args) == 0 {
		return 0, &usage{"doctor wants an environment", "runner doctor production"}
	}
	return p.runScript(f, append([]string{"doctor.star"}, args...))
}
