package cri

import (
	"context"
	"errors"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/images"
	"eksnet.dev/engine/internal/process"
	"eksnet.dev/engine/internal/shim"
	"eksnet.dev/engine/internal/state"
)

// containerRecord is what a restart must know of a container.
type containerRecord struct {
	ID      string                   `json:"id"`
	Sandbox string                   `json:"sandbox"`
	Created time.Time                `json:"created"`
	Image   images.Image             `json:"image"`
	LogPath string                   `json:"logPath"`
	Config  *runtime.ContainerConfig `json:"config"`
}

// container is one container. What it does is what its shim writes down.
type container struct {
	folder  string
	record  containerRecord
	sandbox *sandbox
	// ended is closed when the container is known to have ended.
	ended chan struct{}
	// turn belongs to whoever starts, ends or removes it.
	turn turn

	// mu guards what follows, and is held for no longer than it takes to read or set it.
	mu      sync.Mutex
	phase   phase
	started *shim.Started
	exit    *shim.Exit
}

func newContainer(folder string) *container {
	return &container{folder: folder, ended: make(chan struct{}), turn: newTurn(), phase: created}
}

// removeFolder may take as long as a container's files do; only tests change it.
var removeFolder = state.Remove

const (
	containerFile = "container.json"
	rootFolder    = "root"
	// killed is how long the end of a killed container may take.
	killed = 10 * time.Second
)

// CreateContainer writes a container down; nothing runs yet.
func (s *Server) CreateContainer(ctx context.Context, request *runtime.CreateContainerRequest) (*runtime.CreateContainerResponse, error) {
	b, err := s.sandbox(request.PodSandboxId)
	if err != nil {
		return nil, err
	}
	_, leave, err := b.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	config := request.Config
	if err := supportedContainer(config); err != nil {
		return nil, err
	}
	image, err := s.images.find(config.GetImage().GetImage(), config.GetImage().GetUserSpecifiedImage())
	if err != nil {
		return nil, err
	}
	id := newID()
	c := newContainer(s.directory.Container(id))
	c.sandbox = b
	c.record = containerRecord{ID: id, Sandbox: b.record.ID, Created: time.Now(), Image: image, Config: config}
	if config.LogPath != "" {
		c.record.LogPath = filepath.Join(b.record.Config.LogDirectory, config.LogPath)
	}
	if err := os.MkdirAll(filepath.Join(c.folder, rootFolder), 0o755); err != nil {
		return nil, err
	}
	if err := state.Write(filepath.Join(c.folder, containerFile), c.record); err != nil {
		return nil, errors.Join(err, state.Remove(c.folder))
	}
	s.mu.Lock()
	s.containers[id] = c
	s.mu.Unlock()
	return &runtime.CreateContainerResponse{ContainerId: id}, nil
}

// StartContainer starts a container that was created. The end of the call, or of its pod, ends the
// start.
func (s *Server) StartContainer(ctx context.Context, request *runtime.StartContainerRequest) (*runtime.StartContainerResponse, error) {
	c, err := s.container(request.ContainerId)
	if err != nil {
		return nil, err
	}
	if err := c.turn.take(ctx); err != nil {
		return nil, err
	}
	defer c.turn.give()
	ctx, leave, err := c.sandbox.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := c.become(starting, nil); err != nil {
		return nil, err
	}
	if err := s.launch(ctx, c); err != nil {
		c.notStarted(err)
		return nil, status.Errorf(codes.Unknown, "unable to start container process: %v", err)
	}
	return &runtime.StartContainerResponse{}, c.follow()
}

func (s *Server) launch(ctx context.Context, c *container) error {
	config, err := s.shimConfig(c)
	if err != nil {
		return err
	}
	if err := shim.WriteConfig(c.folder, config); err != nil {
		return err
	}
	return shim.Start(ctx, c.folder)
}

// follow learns that a container runs, and waits for its end in the background.
func (c *container) follow() error {
	started, err := shim.ReadStarted(c.folder)
	if err != nil {
		return err
	}
	if err := c.become(running, func() { c.started = &started }); err != nil {
		return err
	}
	client, err := shim.Dial(c.folder)
	if err != nil {
		// No shim: it has written down the end, or was itself killed.
		c.settle()
		return nil
	}
	go func() {
		client.Wait()
		client.Close()
		c.settle()
	}()
	return nil
}

// notStarted learns why a container could not be started, and leaves nothing of the attempt.
func (c *container) notStarted(why error) {
	exit, err := shim.ReadExit(c.folder)
	if err != nil {
		// The shim had no time to write it down.
		c.endUnseen()
		exit, _ = shim.WriteStartError(c.folder, why)
	}
	c.end(exit)
}

// settle learns how a container ended, and makes sure that it did.
func (c *container) settle() {
	exit, err := shim.ReadExit(c.folder)
	if err != nil {
		c.endUnseen()
		// The record is for the next server; this one knows without it.
		exit, _ = shim.WriteLost(c.folder)
	}
	c.end(exit)
}

// end takes down how a container ended; the first word counts.
func (c *container) end(exit shim.Exit) {
	if c.become(exited, func() { c.exit = &exit }) != nil {
		return
	}
	close(c.ended)
	// A container's files end with it: what is kept of it is its log.
	_ = os.RemoveAll(filepath.Join(c.folder, rootFolder))
}

// endUnseen ends what a shim that died has left running.
func (c *container) endUnseen() {
	started, err := shim.ReadStarted(c.folder)
	if err != nil {
		return
	}
	mounts, err := started.OpenMounts()
	if err != nil {
		log.Printf("container %s: processes beside the first one may be left: %v", c.record.ID, err)
	}
	_ = started.Process.Signal(syscall.SIGKILL)
	if mounts != nil {
		_ = process.EndAll(mounts)
		mounts.Close()
	}
}

// running returns the container's first process.
func (c *container) running() (shim.Started, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.phase.runs() || c.started == nil {
		return shim.Started{}, status.Errorf(codes.FailedPrecondition, "container %s is not running", c.record.ID)
	}
	return *c.started, nil
}

// StopContainer asks a container to end, and after the grace period ends it. Stopping what has
// ended or is unknown is no error.
func (s *Server) StopContainer(ctx context.Context, request *runtime.StopContainerRequest) (*runtime.StopContainerResponse, error) {
	c, err := s.container(request.ContainerId)
	if err != nil {
		return &runtime.StopContainerResponse{}, nil
	}
	if err := c.terminate(ctx, time.Duration(request.Timeout)*time.Second); err != nil {
		return nil, err
	}
	return &runtime.StopContainerResponse{}, c.kill(ctx)
}

// terminate sends SIGTERM and waits for the end or for the end of the grace period.
func (c *container) terminate(ctx context.Context, grace time.Duration) error {
	if err := c.turn.take(ctx); err != nil {
		return err
	}
	started, err := c.running()
	if err == nil {
		// It may end at this very moment, and then there is nothing to stop.
		err = c.become(stopping, nil)
	}
	c.turn.give()
	if err != nil || grace <= 0 {
		return nil
	}
	if err := started.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(grace):
		return nil
	case <-ctx.Done():
		return cancelled(ctx.Err())
	}
}

// kill ends a container and returns when it has ended; one that is being started is waited for.
func (c *container) kill(ctx context.Context) error {
	if err := c.turn.take(ctx); err != nil {
		return err
	}
	defer c.turn.give()
	return c.killNow(ctx)
}

// killNow is kill for whoever has the turn.
func (c *container) killNow(ctx context.Context) error {
	if c.current() == created {
		// An earlier server may have died while it started this one, and its shim went on alone.
		if err := c.follow(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	started, err := c.running()
	if err != nil {
		return nil
	}
	if err := started.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return cancelled(ctx.Err())
	case <-time.After(killed):
		return status.Errorf(codes.DeadlineExceeded, "container %s was killed and has not ended within %s", c.record.ID, killed)
	}
}

func (c *container) current() phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase
}

// RemoveContainer forgets a container, and ends it first. Removing what is unknown is no error.
func (s *Server) RemoveContainer(ctx context.Context, request *runtime.RemoveContainerRequest) (*runtime.RemoveContainerResponse, error) {
	c, err := s.container(request.ContainerId)
	if err != nil {
		return &runtime.RemoveContainerResponse{}, nil
	}
	return &runtime.RemoveContainerResponse{}, s.remove(ctx, c)
}

func (s *Server) remove(ctx context.Context, c *container) error {
	if err := c.turn.take(ctx); err != nil {
		return err
	}
	defer c.turn.give()
	if err := c.killNow(ctx); err != nil {
		return err
	}
	if err := c.become(removing, nil); err != nil {
		return err
	}
	if err := removeFolder(c.folder); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, c.record.ID)
	return nil
}

// ReopenContainerLog goes on in a new log file after the kubelet moved the old one away.
func (s *Server) ReopenContainerLog(_ context.Context, request *runtime.ReopenContainerLogRequest) (*runtime.ReopenContainerLogResponse, error) {
	c, err := s.container(request.ContainerId)
	if err != nil {
		return nil, err
	}
	if _, err := c.running(); err != nil {
		return nil, err
	}
	client, err := shim.Dial(c.folder)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return &runtime.ReopenContainerLogResponse{}, client.ReopenLog()
}

// ContainerStatus describes a container.
func (s *Server) ContainerStatus(_ context.Context, request *runtime.ContainerStatusRequest) (*runtime.ContainerStatusResponse, error) {
	c, err := s.container(request.ContainerId)
	if err != nil {
		return nil, err
	}
	return &runtime.ContainerStatusResponse{Status: c.status()}, nil
}

// image is the image by the name that the pod gives it; the kubelet asks for it by its id.
func (c *container) image() *runtime.ImageSpec {
	if name := c.record.Config.GetImage().GetUserSpecifiedImage(); name != "" {
		return &runtime.ImageSpec{Image: name}
	}
	return c.record.Config.Image
}

func (c *container) status() *runtime.ContainerStatus {
	config := c.record.Config
	c.mu.Lock()
	defer c.mu.Unlock()
	current := &runtime.ContainerStatus{
		Id:          c.record.ID,
		Metadata:    config.Metadata,
		State:       c.phase.reported(),
		CreatedAt:   c.record.Created.UnixNano(),
		Image:       c.image(),
		ImageRef:    c.record.Image.ID(),
		ImageId:     c.record.Image.ID(),
		Labels:      config.Labels,
		Annotations: config.Annotations,
		Mounts:      config.Mounts,
		LogPath:     c.record.LogPath,
		Resources:   &runtime.ContainerResources{Linux: config.GetLinux().GetResources()},
	}
	if c.started != nil {
		current.StartedAt = c.started.At.UnixNano()
	}
	if c.exit != nil {
		current.FinishedAt = c.exit.At.UnixNano()
		current.ExitCode = int32(c.exit.Code)
		current.Reason = c.exit.Reason
		current.Message = c.exit.Message
	}
	return current
}

// ListContainers lists the containers that a filter lets through.
func (s *Server) ListContainers(_ context.Context, request *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	response := &runtime.ListContainersResponse{}
	for _, c := range s.allContainers() {
		if item := c.item(); wantsContainer(request.Filter, item) {
			response.Containers = append(response.Containers, item)
		}
	}
	return response, nil
}

func (s *Server) allContainers() []*container {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*container, 0, len(s.containers))
	for _, c := range s.containers {
		all = append(all, c)
	}
	return all
}

func (c *container) item() *runtime.Container {
	config := c.record.Config
	return &runtime.Container{
		Id:           c.record.ID,
		PodSandboxId: c.record.Sandbox,
		Metadata:     config.Metadata,
		Image:        c.image(),
		ImageRef:     c.record.Image.ID(),
		ImageId:      c.record.Image.ID(),
		State:        c.current().reported(),
		CreatedAt:    c.record.Created.UnixNano(),
		Labels:       config.Labels,
		Annotations:  config.Annotations,
	}
}

func wantsContainer(filter *runtime.ContainerFilter, item *runtime.Container) bool {
	return filter == nil ||
		(filter.Id == "" || filter.Id == item.Id) &&
			(filter.PodSandboxId == "" || filter.PodSandboxId == item.PodSandboxId) &&
			(filter.State == nil || filter.State.State == item.State) &&
			matches(filter.LabelSelector, item.Labels)
}

// adoptContainer takes up a container from an earlier server; half-made ones it clears away.
func (s *Server) adoptContainer(id string) error {
	c := newContainer(s.directory.Container(id))
	if there, err := adopt(c.folder, containerFile, &c.record); !there {
		return err
	}
	c.sandbox = s.sandboxes[c.record.Sandbox]
	if c.sandbox == nil {
		return state.Remove(c.folder) // its pod was being removed
	}
	if _, err := shim.ReadStarted(c.folder); errors.Is(err, state.ErrDamaged) {
		return clear(c.folder, err)
	}
	s.containers[id] = c
	if err := c.follow(); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := shim.ReadExit(c.folder); err == nil {
		c.settle() // it never ran: its start failed
	}
	return nil
}

// adopt reads what an earlier server wrote down of a pod or container, and tells whether it is
// there. What is half-made or damaged it clears away.
func adopt(folder, file string, record any) (there bool, err error) {
	err = state.Read(filepath.Join(folder, file), record)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, state.Remove(folder)
	case errors.Is(err, state.ErrDamaged):
		return false, clear(folder, err)
	}
	return err == nil, err
}

func clear(folder string, damage error) error {
	log.Print(damage)
	return state.Remove(folder)
}
