// Package once runs a container to its end and leaves nothing of it: the engine itself removes it when it ends, also when
// nobody is there any more, and one that does not end is removed by whoever runs the next after its time is over.
package once

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/erlmcp/runner/builtins/compose/shape"
	"github.com/erlmcp/runner/runtime/host"
	"github.com/erlmcp/runner/runtime/op"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// LabelUntil is when a container's time is over, in seconds of the Unix epoch.
const LabelUntil = "org.erlmcp.runner.until"

// Grace is how long a container may take to end when told to; the time after which it is swept is later by that, twice.
const Grace = 5 * time.Second

// Container is what to run.
type Container struct {
	Name     string // "" for one that the engine makes up
	Config   *container.Config
	Host     *container.HostConfig
	Networks *network.NetworkingConfig
	Key      op.Key
	Within   time.Duration
	Before   func(ctx context.Context, id string) error // lays in what it needs before it starts; may be nil
}

// Ended is how it ended.
type Ended struct {
	Code int
	OOM  bool
}

// String is such as "exit 3", or "ended by signal: killed (exit 137), out of memory".
func (e Ended) String() string {
	text := "exit " + strconv.Itoa(e.Code)
	if s := e.Signal(); s != "" {
		text = "ended by signal: " + s + " (" + text + ")"
	}
	if e.OOM {
		text += ", out of memory"
	}
	return text
}

// Signal is the signal that ended it, "" for none: by the custom that a code over 128 names one.
func (e Ended) Signal() string {
	if e.Code > 128 && e.Code <= 128+31 {
		return syscall.Signal(e.Code - 128).String()
	}
	return ""
}

// Run runs it, its outputs to out and errs. When ctx ends, or its time is over, it is told to end, then ended.
func Run(ctx context.Context, h *host.Host, e *client.Client, c Container, out, errs io.Writer) (Ended, error) {
	if err := Sweep(ctx, h, e, c.Key); err != nil {
		return Ended{}, err
	}
	limited, cancel := h.Clock.Timeout(ctx, c.Within, fmt.Errorf("it ran longer than %s", op.Duration(c.Within)))
	defer cancel()
	asking, over := lasting(limited, h.Clock)
	defer over()
	id, err := create(asking, h, e, c)
	if err != nil {
		return Ended{}, err
	}
	ended, err := run(limited, asking, h, e, c, id, out, errs)
	if err == nil {
		return ended, nil
	}
	if limited.Err() != nil {
		err = context.Cause(limited)
	}
	return Ended{}, errors.Join(err, remove(h, e, id))
}

// lasting is ctx, and goes on for a while when that has ended: what the engine has been asked for is awaited, for until then
// nobody can take it back, or tell it to end.
func lasting(ctx context.Context, clock host.Clock) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		limited, over := clock.Timeout(out, 2*Grace, nil)
		defer over()
		<-limited.Done()
		cancel()
	})
	return out, func() { stop(); cancel() }
}

func create(ctx context.Context, h *host.Host, e *client.Client, c Container) (string, error) {
	config, hostConfig := *c.Config, *c.Host
	labels := map[string]string{}
	for k, v := range config.Labels {
		labels[k] = v
	}
	run, _, _ := strings.Cut(string(c.Key), "/")
	labels[shape.LabelRun], labels[shape.LabelKey] = run, string(c.Key)
	labels[LabelUntil] = strconv.FormatInt(h.Clock.Now().Add(c.Within+2*Grace).Unix(), 10)
	config.Labels, config.AttachStdout, config.AttachStderr, hostConfig.AutoRemove = labels, true, true, true
	made, err := e.ContainerCreate(ctx, client.ContainerCreateOptions{Config: &config, HostConfig: &hostConfig, NetworkingConfig: c.Networks, Name: c.Name})
	if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such image") {
		return "", op.Hint(fmt.Errorf("the engine has no image %s", config.Image), "docker.pull fetches one, docker.build makes one")
	}
	return made.ID, err
}

// run listens before it starts the container, so that nothing is missed.
func run(ctx, asking context.Context, h *host.Host, e *client.Client, c Container, id string, out, errs io.Writer) (Ended, error) {
	if c.Before != nil {
		if err := c.Before(ctx, id); err != nil {
			return Ended{}, err
		}
	}
	attached, err := e.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return Ended{}, err
	}
	defer attached.Close()
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	heard := e.Events(listening, client.EventsListOptions{Filters: client.Filters{}.Add("type", "container").Add("container", id)})
	copied := make(chan error, 1)
	go func() {
		_, err := stdcopy.StdCopy(out, errs, attached.Reader)
		copied <- err
	}()
	var ended Ended
	gone := false
	if _, err = e.ContainerStart(asking, id, client.ContainerStartOptions{}); err == nil {
		if ended, err = wait(ctx, heard); err != nil && ctx.Err() != nil {
			gone = end(h, e, id, heard)
		}
	}
	if err != nil && !gone {
		attached.Close()
	}
	<-copied // what it printed last comes before its end is told
	return ended, err
}

// end tells a container to end, and reports whether it has.
func end(h *host.Host, e *client.Client, id string, heard client.EventsResult) bool {
	told, cancel := h.Clock.Timeout(context.Background(), 2*Grace, nil)
	defer cancel()
	seconds := int(Grace / time.Second)
	if _, err := e.ContainerStop(told, id, client.ContainerStopOptions{Timeout: &seconds}); err != nil {
		return false
	}
	_, err := wait(told, heard)
	return err == nil
}

// wait follows the engine's events to the container's end, and on until it is removed: that memory was short may be told
// after the end that it led to.
func wait(ctx context.Context, heard client.EventsResult) (ended Ended, err error) {
	for {
		select {
		case <-ctx.Done():
			return ended, context.Cause(ctx)
		case err := <-heard.Err:
			return ended, fmt.Errorf("the engine tells no more of it: %w", err)
		case m := <-heard.Messages:
			switch m.Action {
			case events.ActionOOM:
				ended.OOM = true
			case events.ActionDie:
				if ended.Code, err = strconv.Atoi(m.Actor.Attributes["exitCode"]); err != nil {
					return ended, err
				}
			case events.ActionDestroy:
				return ended, nil
			}
		}
	}
}

// remove removes a container whatever it does. One that is gone, or going, is no error.
func remove(h *host.Host, e *client.Client, id string) error {
	ctx, cancel := h.Clock.Timeout(context.Background(), 2*Grace, fmt.Errorf("the engine does not remove the container %s", id))
	defer cancel()
	_, err := e.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err == nil || errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("the container %s is left: %w", id, err)
}

// Sweep removes what earlier tries of the op have left, and the containers of anybody whose time is over.
func Sweep(ctx context.Context, h *host.Host, e *client.Client, key op.Key) error {
	list, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", LabelUntil)})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		until, err := strconv.ParseInt(c.Labels[LabelUntil], 10, 64)
		late := err == nil && h.Clock.Now().Unix() > until
		if late || key != "" && c.Labels[shape.LabelKey] == string(key) {
			if err := remove(h, e, c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
