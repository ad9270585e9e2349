package script

// Words are what the script takes on the command line: the parameters that stand without a flag, and its flags.
func (s *Script) Words() (positional, flags []Param) { return s.positional(), s.flags() }
