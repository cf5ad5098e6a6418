// Package loadbalancer is the data plane of the account's load balancers. It makes what a file
// desires, and writes down what it observes.
package loadbalancer

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/alb"
	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// observedFile is the name of what is written about targets.
const observedFile = "observed.json"

const (
	// looking is how often the file is looked at.
	looking = 100 * time.Millisecond
	// ending is what requests in flight get when the program ends.
	ending = 3 * time.Second
)

// Plane is the data plane. Run is its only user.
type Plane struct {
	// desired is the file to read, observed the folder to write to.
	desired, observed string

	registry  *targets.Registry
	balancers map[string]*alb.Balancer
	state     desired.State
	// seen is the file that was read last.
	seen os.FileInfo
	// failure is why something of the state could not be made; then it is tried again.
	failure string
	changed chan struct{}
	// zones are the zone files by their names.
	zones map[string]*zone
}

// New returns a data plane that has not begun.
func New(desired, observed string) *Plane {
	p := &Plane{
		desired: desired, observed: observed,
		balancers: map[string]*alb.Balancer{},
		zones:     map[string]*zone{},
		changed:   make(chan struct{}, 1),
	}
	p.registry = targets.NewRegistry(readObserved(filepath.Join(observed, observedFile)).Targets, p.noteChange)
	return p
}

func (p *Plane) noteChange() {
	select {
	case p.changed <- struct{}{}:
	default: // it is noted already
	}
}

// Run makes what is desired until the context ends.
func (p *Plane) Run(ctx context.Context) error {
	if err := os.MkdirAll(p.observed, 0o755); err != nil {
		return err
	}
	ticker := time.NewTicker(looking)
	defer ticker.Stop()
	defer p.end()
	p.look()
	p.publish()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.look()
		case <-p.changed:
			p.publish()
		}
	}
}

// look reads the file if it is another one than before, or if something could not be made.
func (p *Plane) look() {
	info, err := os.Stat(p.desired)
	if errors.Is(err, fs.ErrNotExist) {
		return // not written yet
	}
	if err != nil {
		p.complain(err)
		return
	}
	if p.seen != nil && isSame(p.seen, info) {
		if p.failure != "" {
			p.complain(p.apply())
		}
		return
	}
	p.seen = info
	state, wrong, err := desired.Read(p.desired)
	if err != nil {
		log.Printf("%v; what was desired before stays", err)
		return
	}
	p.state = state
	p.complain(errors.Join(append(wrong, p.apply())...))
	p.noteChange()
}

func isSame(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// complain logs a failure once, however often it is met.
func (p *Plane) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != p.failure && text != "" {
		log.Print(text)
	}
	p.failure = text
}

// apply makes the state. A load balancer that cannot be made keeps no other one from being made.
func (p *Plane) apply() error {
	p.registry.Update(p.state)
	wanted := map[string]bool{}
	for _, given := range p.state.LoadBalancers {
		wanted[given.ARN] = given.Type == desired.Application
	}
	for arn, balancer := range p.balancers {
		if !wanted[arn] {
			balancer.Abandon()
			delete(p.balancers, arn)
		}
	}
	var failures []error
	for _, given := range p.state.LoadBalancers {
		if given.Type != desired.Application {
			continue
		}
		balancer := p.balancers[given.ARN]
		if balancer == nil {
			balancer = alb.New(p.registry)
			p.balancers[given.ARN] = balancer
		}
		failures = append(failures, balancer.Apply(given))
	}
	return errors.Join(failures...)
}

// end stops all listeners at once, and waits until each request has its answer or an error.
func (p *Plane) end() {
	var all sync.WaitGroup
	for _, balancer := range p.balancers {
		all.Go(func() { balancer.Close(ending) })
	}
	all.Wait()
	p.registry.Close()
}

// observed is what is written for the AWS side.
type observed struct {
	Targets       targets.Observed `json:"targets"`
	LoadBalancers map[string]inDNS `json:"load_balancers"`
}

type inDNS struct {
	ZonesInDNS []string `json:"zones_in_dns"`
}

func readObserved(path string) observed {
	var found observed
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Printf("read %s: %v", path, err)
		return observed{}
	}
	return found
}

// publish writes what is observed now.
func (p *Plane) publish() {
	now := observed{Targets: p.registry.Observed(), LoadBalancers: map[string]inDNS{}}
	var records []record
	for _, balancer := range p.state.LoadBalancers {
		zones := p.registry.ZonesInDNS(balancer)
		names := make([]string, 0, len(zones))
		for _, zone := range zones {
			names = append(names, zone.Zone)
			records = append(records, recordsOf(balancer, zone)...)
		}
		now.LoadBalancers[balancer.ARN] = inDNS{names}
	}
	text, err := json.Marshal(now)
	if err == nil {
		err = replace(filepath.Join(p.observed, observedFile), text)
	}
	if p.state.Region != "" {
		err = errors.Join(err, p.publishNames(records))
	}
	if err != nil {
		log.Printf("write what is observed: %v", err)
		time.AfterFunc(time.Second, p.noteChange)
	}
}

func (p *Plane) publishNames(records []record) error {
	var failures []error
	for name, origin := range origins(p.state.Region) {
		if p.zones[name] == nil {
			p.zones[name] = &zone{}
		}
		failures = append(failures, p.zones[name].write(filepath.Join(p.observed, name), origin, records))
	}
	return errors.Join(failures...)
}

// replace writes a file whole or not at all, and not when it is so already.
func replace(path string, text []byte) error {
	if now, err := os.ReadFile(path); err == nil && string(now) == string(text) {
		return nil
	}
	draft := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(draft, text, 0o644); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
