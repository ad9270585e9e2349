package event

// All lists the closed set, a zero value each. Unrecognised is not in it: it is the absence of one.
func All() []Fact {
	return []Fact{
		RunStarted{}, StageStarted{}, OpStarted{}, OpOutput{}, OpProgress{}, OpWaiting{}, OpFinished{}, OpPlanned{},
		PlanEnded{}, ChildStarted{}, LeaseWaited{}, LeaseTaken{}, CheckAsked{}, RecoveryStarted{}, RecoveryFinished{},
		EvidenceFound{}, UndoStarted{}, OpUndone{}, Committed{}, Printed{}, Noted{}, RunFailed{}, RunFinished{},
	}
}

// Kind implements Fact.
func (RunStarted) Kind() string { return "run_started" }

// Kind implements Fact.
func (StageStarted) Kind() string { return "stage_started" }

// Kind implements Fact.
func (OpStarted) Kind() string { return "op_started" }

// Kind implements Fact.
func (OpOutput) Kind() string { return "op_output" }

// Kind implements Fact.
func (OpProgress) Kind() string { return "op_progress" }

// Kind implements Fact.
func (OpWaiting) Kind() string { return "op_waiting" }

// Kind implements Fact.
func (OpFinished) Kind() string { return "op_finished" }

// Kind implements Fact.
func (OpPlanned) Kind() string { return "op_planned" }

// Kind implements Fact.
func (PlanEnded) Kind() string { return "plan_ended" }

// Kind implements Fact.
func (ChildStarted) Kind() string { return "child_started" }

// Kind implements Fact.
func (LeaseWaited) Kind() string { return "lease_waited" }

// Kind implements Fact.
func (LeaseTaken) Kind() string { return "lease_taken" }

// Kind implements Fact.
func (CheckAsked) Kind() string { return "check_asked" }

// Kind implements Fact.
func (RecoveryStarted) Kind() string { return "recovery_started" }

// Kind implements Fact.
func (RecoveryFinished) Kind() string { return "recovery_finished" }

// Kind implements Fact.
func (EvidenceFound) Kind() string { return "evidence_found" }

// Kind implements Fact.
func (UndoStarted) Kind() string { return "undo_started" }

// Kind implements Fact.
func (OpUndone) Kind() string { return "op_undone" }

// Kind implements Fact.
func (Committed) Kind() string { return "committed" }

// Kind implements Fact.
func (Printed) Kind() string { return "printed" }

// Kind implements Fact.
func (Noted) Kind() string { return "noted" }

// Kind implements Fact.
func (RunFailed) Kind() string { return "run_failed" }

// Kind implements Fact.
func (RunFinished) Kind() string { return "run_finished" }

// Kind implements Fact.
func (u Unrecognised) Kind() string { return u.Name }
