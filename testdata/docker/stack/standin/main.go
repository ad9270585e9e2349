// Command standin stands in for the collector, Jaeger and Grafana in the labs, by the name that it is called by: it
// answers where they do. What they would refuse in the files that the standard stack gives them, it refuses. Called
// wget, it asks for an address.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v4"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	switch name := filepath.Base(os.Args[0]); name {
	case "wget":
		err = get(ctx, os.Args[len(os.Args)-1])
	case "otelcol":
		err = collector(ctx)
	case "jaeger":
		err = serve(ctx, "ok\n", "0.0.0.0:16686", "0.0.0.0:4317")
	case "grafana":
		err = grafana(ctx)
	default:
		err = fmt.Errorf("cannot stand in for %s", name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(a.Body, 4096))
		return fmt.Errorf("%s: %s", a.Status, b)
	}
	return nil
}

// serve gives the same answer at every address until it is told to stop.
func serve(ctx context.Context, answer string, addresses ...string) error {
	failed := make(chan error, len(addresses))
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		defer l.Close()
		go func() {
			failed <- http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		}()
	}
	fmt.Println("listens on", strings.Join(addresses, ", "))
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func read(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type endpoint struct {
	Endpoint string `yaml:"endpoint"`
}

// collector wants every part of a pipeline to be one that its file has.
func collector(ctx context.Context) error {
	var c struct {
		Receivers struct {
			OTLP struct {
				Protocols map[string]endpoint `yaml:"protocols"`
			} `yaml:"otlp"`
		} `yaml:"receivers"`
		Processors map[string]any      `yaml:"processors"`
		Exporters  map[string]endpoint `yaml:"exporters"`
		Extensions map[string]endpoint `yaml:"extensions"`
		Service    struct {
			Extensions []string                       `yaml:"extensions"`
			Pipelines  map[string]map[string][]string `yaml:"pipelines"`
		} `yaml:"service"`
	}
	if err := read("/etc/otelcol/config.yaml", &c); err != nil {
		return err
	}
	var all []string
	for _, e := range c.Service.Extensions {
		if c.Extensions[e].Endpoint == "" {
			return fmt.Errorf("extensions: there is no %s", e)
		}
		all = append(all, c.Extensions[e].Endpoint)
	}
	for name, p := range c.Service.Pipelines {
		for _, r := range p["receivers"] {
			if r != "otlp" {
				return fmt.Errorf("%s: there is no receiver %s", name, r)
			}
		}
		for _, part := range p["processors"] {
			if _, ok := c.Processors[part]; !ok {
				return fmt.Errorf("%s: there is no processor %s", name, part)
			}
		}
		for _, e := range p["exporters"] {
			if c.Exporters[e].Endpoint == "" {
				return fmt.Errorf("%s: there is no exporter %s", name, e)
			}
		}
	}
	for _, p := range c.Receivers.OTLP.Protocols {
		all = append(all, p.Endpoint)
	}
	if os.Getenv("DEPLOYMENT_ENVIRONMENT") == "" {
		return errors.New("DEPLOYMENT_ENVIRONMENT is not set")
	}
	return serve(ctx, "# TYPE standin gauge\nstandin 1\n", append(all, c.Exporters["prometheus"].Endpoint)...)
}

// grafana wants its password, and a dashboard whose panels ask data sources that are provisioned.
func grafana(ctx context.Context) error {
	var sources struct {
		Datasources []struct{ Name, UID, Type, URL string } `yaml:"datasources"`
	}
	var boards struct {
		Providers []struct {
			Name, Type string
			Options    struct{ Path string } `yaml:"options"`
		} `yaml:"providers"`
	}
	const provisioning = "/etc/grafana/provisioning/"
	if err := errors.Join(read(provisioning+"datasources/erlmcp.yml", &sources), read(provisioning+"dashboards/erlmcp.yml", &boards)); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, s := range sources.Datasources {
		known[s.UID] = s.URL != "" && s.Type != ""
	}
	for _, p := range boards.Providers {
		files, err := filepath.Glob(filepath.Join(p.Options.Path, "*.json"))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("%s: there are no dashboards in %s", p.Name, p.Options.Path)
		}
		for _, f := range files {
			if err := board(f, known); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
		}
	}
	password, err := os.ReadFile(os.Getenv("GF_SECURITY_ADMIN_PASSWORD__FILE"))
	if err != nil || len(password) == 0 {
		return fmt.Errorf("there is no password: %w", err)
	}
	if err := os.WriteFile("/var/lib/grafana/grafana.db", nil, 0o600); err != nil {
		return err
	}
	return serve(ctx, `{"database":"ok"}`, "0.0.0.0:3000")
}

func board(file string, known map[string]bool) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var d struct {
		UID, Title string
		Panels     []struct {
			Title      string
			Datasource struct{ UID string }
			Targets    []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	if d.UID == "" || len(d.Panels) == 0 {
		return errors.New("it has no uid, or no panels")
	}
	for _, p := range d.Panels {
		if !known[p.Datasource.UID] || len(p.Targets) == 0 {
			return fmt.Errorf("the panel %q has no data source", p.Title)
		}
	}
	return nil
}
