package alb

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"eksnet.dev/engine/internal/loadbalancer/desired"
	"eksnet.dev/engine/internal/loadbalancer/targets"
)

// Balancer is one Application Load Balancer. Its methods are for one caller at a time.
type Balancer struct {
	registry  *targets.Registry
	listeners map[string]*listener
}

// New returns a load balancer that listens nowhere yet.
func New(registry *targets.Registry) *Balancer {
	return &Balancer{registry: registry, listeners: map[string]*listener{}}
}

// Apply makes the load balancer what is desired. A listener that cannot be made so stays as it was,
// and keeps no other one from being made.
func (b *Balancer) Apply(given desired.LoadBalancer) error {
	wanted := map[string]bool{}
	for _, one := range given.Listeners {
		wanted[one.ARN] = true
	}
	// First those that are gone: another one may want their port.
	for arn, open := range b.listeners {
		if !wanted[arn] {
			open.close(lastRequests)
			delete(b.listeners, arn)
		}
	}
	var failures []error
	for _, one := range given.Listeners {
		open := b.listeners[one.ARN]
		if open == nil {
			open = newListener(b.registry)
		}
		if err := open.apply(given, one); err != nil {
			failures = append(failures, fmt.Errorf("load balancer %s, port %d: %w", given.Name, one.Port, err))
		}
		if open.settings.Load() != nil {
			b.listeners[one.ARN] = open
		}
	}
	return errors.Join(failures...)
}

// Close stops listening, and returns when each request has ended or was given up at the bound.
func (b *Balancer) Close(bound time.Duration) {
	var ending sync.WaitGroup
	for arn, open := range b.listeners {
		delete(b.listeners, arn)
		ending.Go(func() {
			open.close(bound)
			open.ending.Wait()
		})
	}
	ending.Wait()
}

// Abandon stops listening; requests in flight end in the background.
func (b *Balancer) Abandon() {
	for arn, open := range b.listeners {
		open.close(lastRequests)
		delete(b.listeners, arn)
	}
}
