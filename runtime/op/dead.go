package op

// Dead is a run that ended without settling what it changed, as scripts see it.
type Dead struct {
	Run     string   `json:"run" doc:"Its id."`
	Script  string   `json:"script" doc:"The script that it ran."`
	Args    []string `json:"args" doc:"The words behind the script, as they were given."`
	By      string   `json:"by" doc:"Who started it, where and when: \"ana on web1 at 2026-01-26T12:00:00Z\"."`
	Changes int      `json:"changes" doc:"How many of its changes are neither committed nor taken back."`
}
