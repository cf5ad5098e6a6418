package cri

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// phase is where a container is in its life.
type phase string

const (
	created  phase = "created"
	starting phase = "starting"
	running  phase = "running"
	stopping phase = "stopping"
	exited   phase = "exited"
	removing phase = "removing"
)

// following says where each phase may lead. What an earlier server was starting goes from created
// to running, because its shim went on alone; a removal that failed is tried again.
var following = map[phase][]phase{
	created:  {starting, running, exited, removing},
	starting: {running, exited},
	running:  {stopping, exited},
	stopping: {stopping, exited},
	exited:   {removing},
	removing: {removing},
}

func (p phase) mayBecome(next phase) bool { return slices.Contains(following[p], next) }

// runs tells whether the container's first process is there.
func (p phase) runs() bool { return p == running || p == stopping }

// reported is what the CRI calls a phase.
func (p phase) reported() runtime.ContainerState {
	switch p {
	case running, stopping:
		return runtime.ContainerState_CONTAINER_RUNNING
	case exited, removing:
		return runtime.ContainerState_CONTAINER_EXITED
	default:
		return runtime.ContainerState_CONTAINER_CREATED
	}
}

// turn is a lock for which a cancelled call does not wait. Whoever starts, ends or removes
// something has its turn meanwhile, so that none of these meets another half-way.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn, or for the end of the call.
func (t turn) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return cancelled(err)
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return cancelled(ctx.Err())
	}
}

func (t turn) give() { <-t }

// cancelled is a call's end as the CRI's client sees it.
func cancelled(err error) error { return status.FromContextError(err).Err() }

// become leads a container into its next phase and notes what belongs to it, so that nobody sees one
// without the other; or it says why that cannot be.
func (c *container) become(next phase, note func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.phase.mayBecome(next) {
		return status.Errorf(codes.FailedPrecondition, "container %s is %s and cannot be %s", c.record.ID, c.phase, next)
	}
	c.phase = next
	if note != nil {
		note()
	}
	return nil
}
