package op

// Refused is the end of a run that somebody, or a gate, does not let change anything.
type Refused struct{ Why string }

func (e *Refused) Error() string { return "refused: " + e.Why }

// Held is a hold on a target, as scripts see it.
type Held struct {
	Text  string `json:"text" doc:"All of it, as a line to print: \"production is held by ana since 12:00 UTC: database migration\"."`
	Who   string `json:"who" doc:"Who holds it; empty where the record of the hold cannot be read, which holds all the same."`
	Why   string `json:"why" doc:"The reason that was given; why the record cannot be read."`
	Since string `json:"since" doc:"The time from which on it is held: \"2026-01-26T12:00:00Z\"."`
	Until string `json:"until" doc:"The time until which it is held; empty where nobody has said."`
}
