package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/erlmcp/runner/builtins/cluster"
	"github.com/erlmcp/runner/builtins/command"
	"github.com/erlmcp/runner/builtins/kube/api"
	"github.com/erlmcp/runner/builtins/kube/evidence"
	"github.com/erlmcp/runner/builtins/kube/follow"
	"github.com/erlmcp/runner/builtins/kube/manifest"
	"github.com/erlmcp/runner/builtins/kube/rights"
	"github.com/erlmcp/runner/builtins/kube/tail"
	"github.com/erlmcp/runner/builtins/kube/verdict"
	"github.com/erlmcp/runner/runtime/op"
)

// RunJob is kube.run_job.
type RunJob struct {
	_        op.Doc            `doc:"Runs a Job once, under a name of its own, and shows what it prints: a migration, a question. The Job is one of the manifests that has the annotation runner.erlmcp.org/apply: \"false\", which kube.apply leaves alone, or a container of an image. Where its manifest does not say otherwise, it is tried once. The cluster ends it when its time is over though nobody is there any more, and removes it a day behind its end."`
	Cluster  cluster.Cluster   `json:"cluster" doc:"The target, such as environment.target."`
	Name     string            `json:"name" doc:"The Job's name in the manifests; with image, what it is called."`
	Image    string            `json:"image,omitempty" doc:"The image of a Job that is in no manifest."`
	Command  []string          `json:"command,omitempty" doc:"The program and its arguments, in place of those of the first container or the image."`
	Images   map[string]string `json:"images,omitempty" doc:"Images by the name that manifests have for them, as for kube.apply."`
	Objects  []manifest.Given  `json:"objects,omitempty" doc:"Objects that lie in no file, as for kube.apply: what the Job reads of them it finds where they are applied."`
	Migrated bool              `json:"migrated,omitempty" doc:"Whether it changes data in a way that the version before may not read. A run that fails behind it does what after_migration in cluster(...) says."`
	Leaves   string            `json:"leaves,omitempty" doc:"\"nothing\" says that it changes nothing that serves, so that there is nothing to take back."`
	Within   op.Duration       `json:"within" doc:"How long it may take, its start included; then it is ended and removed."`
	OK       []int             `json:"ok" doc:"The exit codes that count as success."`
	Key      op.Key            `json:"key,omitempty"`
}

// JobRan is how a Job ended.
type JobRan struct {
	_         op.Doc `doc:"How a Job ended, and what it printed."`
	Name      string `json:"name" doc:"Its name in the cluster."`
	Code      int    `json:"code" doc:"The exit code of its container; where it has several, of the first that did not end with 0."`
	Stdout    string `json:"stdout" doc:"The end of what its first container printed, both outputs, 64 KiB at most."`
	Truncated bool   `json:"truncated" doc:"Whether stdout lacks the beginning."`
	Path      string `json:"path" doc:"The file with every line of all containers, kept until the run's scratch folder goes."`
}

var (
	_ op.Graded                = RunJob{}
	_ op.Staying               = RunJob{}
	_ op.Checked               = RunJob{}
	_ op.Targeted[*Kubernetes] = RunJob{}
)

// Summary implements op.Op.
func (r RunJob) Summary() string { return "run the Job " + r.Name + " of " + r.Cluster.Name }

// Target implements op.Targeted.
func (r RunJob) Target(*Kubernetes) string { return r.Cluster.Target() }

// Grade implements op.Graded.
func (r RunJob) Grade() op.Class {
	if r.Leaves == "nothing" {
		return op.ClassMake
	}
	return op.ClassFinal
}

// Stays implements op.Staying.
func (r RunJob) Stays() string {
	if r.Migrated && r.Cluster.AfterMigration != "undo" {
		return "the Job " + r.Name + " has migrated data"
	}
	return ""
}

// Check implements op.Checked.
func (r RunJob) Check() error {
	switch {
	case !cluster.IsName(r.Name):
		return fmt.Errorf("name: want small letters, digits and -, got %q", r.Name)
	case r.Leaves != "" && r.Leaves != "nothing":
		return fmt.Errorf(`leaves: want "nothing" or no such parameter, got %q`, r.Leaves)
	case r.Migrated && r.Leaves == "nothing":
		return errors.New("migrated: what migrates data leaves something")
	case r.Migrated && r.Cluster.AfterMigration == "":
		return op.Hint(errors.New("migrated: the environment does not say what becomes of a run that fails behind it"),
			`say cluster(..., after_migration = "stay") to keep the new version then, or "undo" where the version before can read the data`)
	case slices.ContainsFunc(r.OK, func(code int) bool { return code < 0 || code > 255 }):
		return errors.New("ok: want exit codes between 0 and 255")
	case r.Within <= 0:
		return errors.New("within: want more than 0s")
	}
	if r.Command != nil {
		return command.CheckArgv("command", r.Command)
	}
	return nil
}

// Do implements op.Op.
func (r RunJob) Do(ctx context.Context, d *Kubernetes) (JobRan, error) {
	at, err := d.at(ctx, r.Cluster)
	if err != nil {
		return JobRan{}, err
	}
	job, err := r.job(ctx, d)
	if err != nil {
		return JobRan{}, fmt.Errorf("cannot %s: %w", r.Summary(), err)
	}
	said, err := command.Listen(ctx, d.Host, command.Cmd{Key: r.Key})
	if err != nil {
		return JobRan{}, fmt.Errorf("cannot keep the output of %s: %w", r.Name, err)
	}
	op.Waiting(ctx, "the Job "+job.GetName(), d.Host.Clock.Now().Add(r.Within.D()))
	limited, cancel := d.Host.Clock.Timeout(ctx, r.Within.D(), fmt.Errorf("it ran longer than %s", r.Within))
	code, err := r.run(limited, d, at, job, said)
	cancel()
	ran := said.Close()
	ran.Started = true
	return JobRan{Name: job.GetName(), Code: code, Stdout: ran.Stdout, Truncated: ran.Truncated, Path: ran.Path}, ran.Failure(r.Summary(), err, ran.Last)
}

// run makes the Job and sees it to its end. One that is not at its end when this returns is removed.
func (r RunJob) run(ctx context.Context, d *Kubernetes, at place, job *api.Object, said *command.Output) (int, error) {
	if err := rights.Check(ctx, at.conn, rights.Running(job.GetNamespace())); err != nil {
		return 0, err
	}
	made, err := r.make(ctx, at, job)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), removeJob(ctx, d, at, job))
		}
		return 0, err
	}
	if err := op.Half(ctx, "the Job is made"); err != nil {
		return 0, err
	}
	over, tailed := make(chan struct{}), make(chan error, 1)
	tailing, stop := context.WithCancel(ctx)
	defer stop()
	go func() { tailed <- r.tail(made, at, said).Run(tailing, over) }()
	result, err := await(ctx, at, []follow.Item{follow.ItemOf(made, false)}, follow.Options{})
	ended := err == nil || len(result.Standing) > 0 && result.Standing[0].Cause == verdict.JobFailed
	if !ended {
		stop()
		<-tailed
		if ctx.Err() == nil {
			show(ctx, at.conn, result)
		}
		return 0, errors.Join(err, removeJob(ctx, d, at, made))
	}
	close(over)
	late, done := d.Host.Clock.Timeout(ctx, reading, nil)
	defer done()
	context.AfterFunc(late, stop)
	if unread := <-tailed; unread != nil {
		say(ctx, unread.Error())
	}
	if err == nil {
		return r.judged(0, nil)
	}
	code, known := exitCode(ctx, at.conn, made)
	if known && slices.Contains(r.OK, code) {
		return code, nil
	}
	show(ctx, at.conn, result)
	return code, err
}

// reading is how long the logs of a Job that has ended may take to be read to their ends.
const reading = 10 * time.Second

func (r RunJob) judged(code int, err error) (int, error) {
	if err == nil && !slices.Contains(r.OK, code) {
		err = fmt.Errorf("exit %d", code)
	}
	return code, err
}

// make creates the Job, or finds the one of an earlier attempt.
func (r RunJob) make(ctx context.Context, at place, job *api.Object) (*api.Object, error) {
	made, err := at.conn.Create(ctx, job)
	if api.IsExists(err) {
		made, err = at.conn.Get(ctx, api.RefOf(job))
		if err == nil && made == nil {
			err = fmt.Errorf("%s is being removed", api.RefOf(job))
		}
	}
	return made, err
}

// tail is what streams the Job's output.
func (r RunJob) tail(made *api.Object, at place, said *command.Output) *tail.Tail {
	names, first := containersOf(made)
	return &tail.Tail{Conn: at.conn, Namespace: made.GetNamespace(), Labels: "batch.kubernetes.io/controller-uid=" + string(made.GetUID()),
		Show: func(l tail.Line) {
			switch {
			case len(names) == 1:
				io.WriteString(said.Stdout(), l.Text+"\n")
			case l.Container == first:
				io.WriteString(said.Stdout(), l.Container+"  "+l.Text+"\n")
			default:
				io.WriteString(said.Stderr(), l.Container+"  "+l.Text+"\n")
			}
		}}
}

// removeJob ends a Job that nobody waits for any more, and its pods.
func removeJob(ctx context.Context, d *Kubernetes, at place, job *api.Object) error {
	ctx, cancel := d.Host.Clock.Timeout(context.WithoutCancel(ctx), reading, nil)
	defer cancel()
	if err := at.conn.Delete(ctx, api.RefOf(job), job.GetUID()); err != nil {
		return fmt.Errorf("%s is left, and may go on: %w", api.RefOf(job), err)
	}
	return nil
}

// show writes what explains a Job that has not succeeded; what it printed is shown already.
func show(ctx context.Context, conn *api.Conn, r follow.Result) {
	out := op.Output(ctx)
	defer out.Close()
	for _, s := range r.Standing {
		for _, p := range evidence.About(ctx, conn, s.Ref, s.Verdict).Screen() {
			fmt.Fprintf(out, "%s\n%s\n", p.Title, p.Text)
		}
	}
}
