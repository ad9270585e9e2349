package script

import (
	"go.starlark.net/starlark"

	"github.com/erlmcp/runner/runtime/builtin"
	"github.com/erlmcp/runner/runtime/op"
)

// The parameters of what a test is given, as the reference shows them.
type (
	// TestFake is t.fake.
	TestFake struct {
		_      op.Doc         `doc:"Says what an op gives from now on. Reads and Makes need one, for scripts decide by what they give; a change or a final without one passes, and its result may not be looked at."`
		Op     starlark.Value `json:"op" doc:"The op, by its name: \"releases.current\"."`
		Result starlark.Value `json:"result,omitempty" doc:"What it gives: the fields that matter, as a dict, the others are empty; or a function that is given the call, with op, args and n, and gives that. fail() in the function fails the op."`
		Error  string         `json:"error,omitempty" doc:"The op fails with this text."`
		Hint   string         `json:"hint,omitempty" doc:"The hint of that error."`
		Takes  op.Duration    `json:"takes,omitempty" doc:"How long it takes, by the test's clock: nothing really waits."`
	}
	// TestFailAt is t.fail_at.
	TestFailAt struct {
		_     op.Doc         `doc:"Has an op fail, once, with what it has changed half done."`
		Op    starlark.Value `json:"op" doc:"The op, by its name."`
		Error string         `json:"error,omitempty" doc:"The text of the error."`
		Nth   int            `json:"nth,omitempty" doc:"Which call fails, counted from now on; the first, when left out."`
	}
	// TestInterruptAt is t.interrupt_at.
	TestInterruptAt struct {
		_   op.Doc         `doc:"Has the run asked to stop, as by Ctrl-C, while an op is at work."`
		Op  starlark.Value `json:"op" doc:"The op, by its name."`
		Nth int            `json:"nth,omitempty" doc:"Which call, counted from now on; the first, when left out."`
	}
	// TestLoseLeaseAt is t.lose_lease_at.
	TestLoseLeaseAt struct {
		_   op.Doc         `doc:"Has another run take the lease while an op is at work. The next t.run recovers what the run left."`
		Op  starlark.Value `json:"op" doc:"The op, by its name."`
		Nth int            `json:"nth,omitempty" doc:"Which call, counted from now on; the first, when left out."`
	}
	// TestHold is t.hold.
	TestHold struct {
		_           op.Doc         `doc:"Has somebody hold an environment's target from now on, as runner hold does."`
		Environment starlark.Value `json:"environment" doc:"An environment, or its name."`
		Why         string         `json:"why" doc:"The reason they give; \"\" ends the hold."`
		Who         string         `json:"who,omitempty" doc:"Who; \"somebody\", when left out."`
	}
	// TestRun is t.run.
	TestRun struct {
		_        op.Doc      `doc:"Runs a script's main, with the real engine: leases, undo, commit, verdict, exit code. Only the ops are fakes. The arguments that are not named here are main's; environment is a value, or a name in environments.star."`
		Script   string      `json:"script" doc:"The script, seen from the test's file: \"deploy.star\"."`
		Yes      bool        `json:"yes,omitempty" doc:"Answer yes to every question."`
		NoUndo   bool        `json:"no_undo,omitempty" doc:"Leave things as they are when the run fails."`
		Deadline op.Duration `json:"deadline,omitempty" doc:"Stop the run after this time of the test's clock."`
	}
	// TestCall is t.call.
	TestCall struct {
		_        op.Doc         `doc:"Calls a function as the main of a run, and gives what t.run gives, with the function's value. What changes a target needs lease(environment) here too. The arguments behind fn are the function's."`
		Fn       starlark.Value `json:"fn" doc:"The function, without calling it: t.call(serves, environment, app)."`
		Yes      bool           `json:"yes,omitempty" doc:"Answer yes to every question."`
		NoUndo   bool           `json:"no_undo,omitempty" doc:"Leave things as they are when the run fails."`
		Deadline op.Duration    `json:"deadline,omitempty" doc:"Stop the run after this time of the test's clock."`
	}
	// TestKillEverywhere is t.kill_everywhere.
	TestKillEverywhere struct {
		_      op.Doc   `doc:"Runs a script to its end, which must succeed; then calls the whole test again for every moment of that run, just before and just behind each op and each commit, stops the run dead there and has a new run recover. The test fails unless the changes in effect are then those of before, or, behind a commit, those of the whole run. A test calls it once. It proves the order of the script: no final before the commit, no change behind it, no change without its lease. It proves nothing about the ops themselves, whose inverses are taken at their word."`
		Script string   `json:"script" doc:"The script, seen from the test's file."`
		Allow  []string `json:"allow,omitempty" doc:"Ops that may stay, or be lost, wherever the run dies: a notice, for instance."`
		Yes    bool     `json:"yes,omitempty" doc:"Answer yes to every question."`
	}
	// TestEnvironment is t.environment.
	TestEnvironment struct {
		_     op.Doc         `doc:"Gives an environment of environments.star, or gives a value of the test its name."`
		Name  string         `json:"name" doc:"Its name: \"production\"."`
		Value starlark.Value `json:"value,omitempty" doc:"A value that environment(...) made, to be given that name."`
	}
	// TestEqual is t.equal.
	TestEqual struct {
		_    op.Doc         `doc:"Fails the test unless two values are equal."`
		Got  starlark.Value `json:"got" doc:"What there is."`
		Want starlark.Value `json:"want" doc:"What there should be."`
	}
	// TestTrue is t.true.
	TestTrue struct {
		_       op.Doc         `doc:"Fails the test unless a value is true."`
		Value   starlark.Value `json:"value" doc:"The value."`
		Because string         `json:"because,omitempty" doc:"What the value says."`
	}
	// TestContains is t.contains.
	TestContains struct {
		_     op.Doc         `doc:"Fails the test unless a text, list or dict has a part, element or key."`
		Whole starlark.Value `json:"whole" doc:"A text, a list or a dict."`
		Part  starlark.Value `json:"part" doc:"What must be in it."`
	}
	// TestError is t.error.
	TestError struct {
		_    op.Doc         `doc:"Fails the test unless a run failed with an error that holds a text."`
		Run  starlark.Value `json:"run" doc:"What t.run gave."`
		Text string         `json:"text" doc:"What must be in its error."`
	}
	// TestFail is t.fail.
	TestFail struct {
		_    op.Doc         `doc:"Fails the test."`
		Text starlark.Value `json:"text" doc:"Why."`
	}
	// TestNow is t.clock.now.
	TestNow struct {
		_ op.Doc `doc:"Gives the time of the test's clock. It stands still but for what ops take, and begins at the same moment in each test."`
	}
	// TestAdvance is t.clock.advance.
	TestAdvance struct {
		_ op.Doc      `doc:"Lets time pass on the test's clock."`
		D op.Duration `json:"d" doc:"How much."`
	}
)

// Testing is what a test is given, for the reference.
func Testing() builtin.Family {
	var members []any
	for _, m := range testMethods() {
		v := builtin.ValueSpec{Name: "t." + m.name, Global: true, Proto: m.proto}
		if m.name == "run" {
			v.Gives = Ran{}
		}
		members = append(members, v)
	}
	return builtin.NewFamily("test", "What runner test gives to the functions test_NAME(t) of the files NAME_test.star. Each runs in a world of its own: no op touches the machine, no wait waits. What t.run gives has lists of calls and of what was undone: call.op, call.args, call.effect, call.stage, call.at, call.summary, call.error; undone.op, undone.outcome, undone.detail.", members...)
}
