package cri

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/pause"
	"eksnet.dev/engine/internal/podnet"
	"eksnet.dev/engine/internal/process"
	"eksnet.dev/engine/internal/state"
)

// sandboxRecord is what a restart must know of a pod sandbox.
type sandboxRecord struct {
	ID      string                    `json:"id"`
	Created time.Time                 `json:"created"`
	Address netip.Addr                `json:"address"`
	Holder  process.Identity          `json:"holder"`
	Stopped bool                      `json:"stopped"`
	Config  *runtime.PodSandboxConfig `json:"config"`
}

// sandbox is a pod's namespaces, held by a process that does nothing else.
type sandbox struct {
	folder string
	// turn belongs to whoever stops or removes the pod.
	turn turn
	// starts are the containers that are being made or started in it just now.
	starts sync.WaitGroup

	mu     sync.Mutex
	record sandboxRecord
	// closed is closed when the pod is to stop: from then on nothing begins in it.
	closed chan struct{}
}

func newSandbox(folder string) *sandbox {
	return &sandbox{folder: folder, turn: newTurn(), closed: make(chan struct{})}
}

// enter begins something in a pod that is not to stop meanwhile. Its context ends when the call
// does, and when the pod is to stop.
func (b *sandbox) enter(ctx context.Context) (inside context.Context, leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closed:
		return nil, nil, status.Errorf(codes.FailedPrecondition, "pod sandbox %s is stopped", b.record.ID)
	default:
	}
	b.starts.Add(1)
	inside, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-b.closed:
			cancel()
		case <-inside.Done():
		}
	}()
	return inside, func() { cancel(); b.starts.Done() }, nil
}

// close lets nothing more begin in a pod, ends what is being started there, and waits for that.
func (b *sandbox) close(ctx context.Context) error {
	b.mu.Lock()
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	b.mu.Unlock()
	quiet := make(chan struct{})
	go func() {
		b.starts.Wait()
		close(quiet)
	}()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return cancelled(ctx.Err())
	}
}

const sandboxFile = "sandbox.json"

func newID() string {
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// RunPodSandbox makes a pod's namespaces and connects them to the node.
func (s *Server) RunPodSandbox(ctx context.Context, request *runtime.RunPodSandboxRequest) (*runtime.RunPodSandboxResponse, error) {
	config := request.Config
	if err := supported(config); err != nil {
		return nil, err
	}
	id := newID()
	b := newSandbox(s.directory.Sandbox(id))
	b.record = sandboxRecord{ID: id, Created: time.Now(), Config: config}
	if err := s.start(ctx, b); err != nil {
		// Also when the call was cancelled: nobody knows of this pod, so nobody would clear it away.
		return nil, errors.Join(err, s.stop(context.WithoutCancel(ctx), b), state.Remove(b.folder))
	}
	s.mu.Lock()
	s.sandboxes[id] = b
	s.mu.Unlock()
	return &runtime.RunPodSandboxResponse{PodSandboxId: id}, nil
}

func supported(config *runtime.PodSandboxConfig) error {
	if onNodeNetwork(config) {
		return nil
	}
	for _, port := range config.PortMappings {
		if port.HostPort != 0 {
			return status.Errorf(codes.Unimplemented,
				"hostPort %d: the sandbox's nodes have no hostPort; use a Service of type NodePort, or hostNetwork", port.HostPort)
		}
	}
	return nil
}

func (s *Server) start(ctx context.Context, b *sandbox) error {
	config := b.record.Config
	if err := os.MkdirAll(b.folder, 0o700); err != nil {
		return err
	}
	if config.LogDirectory != "" {
		if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
			return err
		}
	}
	if err := writePodFiles(b.folder, config); err != nil {
		return err
	}
	holder, err := pause.Start(ctx, holderOptions(config))
	if err != nil {
		return fmt.Errorf("hold the pod's namespaces: %w", err)
	}
	b.record.Holder = holder
	if !onNodeNetwork(config) {
		if err := s.connect(b); err != nil {
			return fmt.Errorf("connect the pod: %w", err)
		}
	}
	return b.save()
}

func (s *Server) connect(b *sandbox) error {
	s.mu.Lock()
	address, err := s.pool.Take()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	b.record.Address = address
	metadata := b.record.Config.Metadata
	link := podnet.LinkName(metadata.GetNamespace(), metadata.GetName())
	return podnet.Attach(b.record.Holder.Namespace("net"), link, address)
}

func holderOptions(config *runtime.PodSandboxConfig) pause.Options {
	namespaces := namespaceOptions(config)
	options := pause.Options{
		NewIPC:  namespaces.GetIpc() != runtime.NamespaceMode_NODE,
		NewPID:  namespaces.GetPid() == runtime.NamespaceMode_POD,
		Sysctls: config.GetLinux().GetSysctls(),
	}
	if !onNodeNetwork(config) {
		options.NewNetwork = true
		options.Hostname = config.Hostname
	}
	return options
}

func namespaceOptions(config *runtime.PodSandboxConfig) *runtime.NamespaceOption {
	return config.GetLinux().GetSecurityContext().GetNamespaceOptions()
}

func onNodeNetwork(config *runtime.PodSandboxConfig) bool {
	return namespaceOptions(config).GetNetwork() == runtime.NamespaceMode_NODE
}

// The files of a pod that all of its containers see in /etc.
const (
	resolvFile   = "resolv.conf"
	hostnameFile = "hostname"
)

func writePodFiles(folder string, config *runtime.PodSandboxConfig) error {
	resolv, err := resolvConf(config.DnsConfig)
	if err != nil {
		return err
	}
	hostname := config.Hostname
	if hostname == "" || onNodeNetwork(config) {
		if hostname, err = os.Hostname(); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, resolvFile), []byte(resolv), 0o644),
		os.WriteFile(filepath.Join(folder, hostnameFile), []byte(hostname+"\n"), 0o644),
	)
}

// resolvConf writes a resolver's configuration in containerd's order; without one, it is the node's.
func resolvConf(dns *runtime.DNSConfig) (string, error) {
	if dns == nil {
		text, err := os.ReadFile("/etc/resolv.conf")
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return string(text), err
	}
	var lines strings.Builder
	if len(dns.Searches) > 0 {
		fmt.Fprintln(&lines, "search", strings.Join(dns.Searches, " "))
	}
	for _, server := range dns.Servers {
		fmt.Fprintln(&lines, "nameserver", server)
	}
	if len(dns.Options) > 0 {
		fmt.Fprintln(&lines, "options", strings.Join(dns.Options, " "))
	}
	return lines.String(), nil
}

// StopPodSandbox ends all of a pod's processes and gives its address back. Stopping what is
// stopped or unknown is no error.
func (s *Server) StopPodSandbox(ctx context.Context, request *runtime.StopPodSandboxRequest) (*runtime.StopPodSandboxResponse, error) {
	b, err := s.sandbox(request.PodSandboxId)
	if err != nil {
		return &runtime.StopPodSandboxResponse{}, nil
	}
	return &runtime.StopPodSandboxResponse{}, s.stop(ctx, b)
}

func (s *Server) stop(ctx context.Context, b *sandbox) error {
	if err := b.turn.take(ctx); err != nil {
		return err
	}
	defer b.turn.give()
	return s.stopNow(ctx, b)
}

// stopNow is stop for whoever has the turn.
func (s *Server) stopNow(ctx context.Context, b *sandbox) error {
	if err := b.close(ctx); err != nil {
		return err
	}
	for _, container := range s.containersOf(b.record.ID) {
		if err := container.kill(ctx); err != nil {
			return err
		}
	}
	if b.stopped() {
		return nil
	}
	if err := b.endHolder(); err != nil {
		return err
	}
	s.mu.Lock()
	s.pool.Release(b.record.Address)
	s.mu.Unlock()
	b.mu.Lock()
	b.record.Stopped = true
	b.mu.Unlock()
	return b.save()
}

func (b *sandbox) stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.record.Stopped
}

func (b *sandbox) endHolder() error {
	holder := b.record.Holder
	if !holder.Alive() {
		return nil
	}
	if !onNodeNetwork(b.record.Config) {
		if err := podnet.Detach(holder.Namespace("net")); err != nil {
			return fmt.Errorf("disconnect the pod: %w", err)
		}
	}
	if err := holder.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// RemovePodSandbox forgets a pod and its containers. Removing what is unknown is no error.
func (s *Server) RemovePodSandbox(ctx context.Context, request *runtime.RemovePodSandboxRequest) (*runtime.RemovePodSandboxResponse, error) {
	b, err := s.sandbox(request.PodSandboxId)
	if err != nil {
		return &runtime.RemovePodSandboxResponse{}, nil
	}
	if err := b.turn.take(ctx); err != nil {
		return nil, err
	}
	defer b.turn.give()
	if err := s.stopNow(ctx, b); err != nil {
		return nil, err
	}
	for _, container := range s.containersOf(b.record.ID) {
		if err := s.remove(ctx, container); err != nil {
			return nil, err
		}
	}
	if err := removeFolder(b.folder); err != nil {
		return nil, err
	}
	s.mu.Lock()
	delete(s.sandboxes, b.record.ID)
	s.mu.Unlock()
	return &runtime.RemovePodSandboxResponse{}, nil
}

func (b *sandbox) save() error { return state.Write(filepath.Join(b.folder, sandboxFile), b.record) }

// state is READY as long as the pod's namespaces are held: after a boot, they are not.
func (b *sandbox) state() runtime.PodSandboxState {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.record.Stopped || !b.record.Holder.Alive() {
		return runtime.PodSandboxState_SANDBOX_NOTREADY
	}
	return runtime.PodSandboxState_SANDBOX_READY
}

func (b *sandbox) address() string {
	if !b.record.Address.IsValid() {
		return "" // the node's, which the kubelet knows
	}
	return b.record.Address.String()
}

// PodSandboxStatus describes a pod sandbox.
func (s *Server) PodSandboxStatus(_ context.Context, request *runtime.PodSandboxStatusRequest) (*runtime.PodSandboxStatusResponse, error) {
	b, err := s.sandbox(request.PodSandboxId)
	if err != nil {
		return nil, err
	}
	config := b.record.Config
	return &runtime.PodSandboxStatusResponse{Status: &runtime.PodSandboxStatus{
		Id:          b.record.ID,
		Metadata:    config.Metadata,
		State:       b.state(),
		CreatedAt:   b.record.Created.UnixNano(),
		Network:     &runtime.PodSandboxNetworkStatus{Ip: b.address()},
		Linux:       &runtime.LinuxPodSandboxStatus{Namespaces: &runtime.Namespace{Options: namespaceOptions(config)}},
		Labels:      config.Labels,
		Annotations: config.Annotations,
	}}, nil
}

// ListPodSandbox lists the pod sandboxes that a filter lets through.
func (s *Server) ListPodSandbox(_ context.Context, request *runtime.ListPodSandboxRequest) (*runtime.ListPodSandboxResponse, error) {
	s.mu.Lock()
	all := make([]*sandbox, 0, len(s.sandboxes))
	for _, b := range s.sandboxes {
		all = append(all, b)
	}
	s.mu.Unlock()
	response := &runtime.ListPodSandboxResponse{}
	for _, b := range all {
		if item := b.item(); wantsSandbox(request.Filter, item) {
			response.Items = append(response.Items, item)
		}
	}
	return response, nil
}

func (b *sandbox) item() *runtime.PodSandbox {
	config := b.record.Config
	return &runtime.PodSandbox{
		Id:          b.record.ID,
		Metadata:    config.Metadata,
		State:       b.state(),
		CreatedAt:   b.record.Created.UnixNano(),
		Labels:      config.Labels,
		Annotations: config.Annotations,
	}
}

func wantsSandbox(filter *runtime.PodSandboxFilter, item *runtime.PodSandbox) bool {
	return filter == nil ||
		(filter.Id == "" || filter.Id == item.Id) &&
			(filter.State == nil || filter.State.State == item.State) &&
			matches(filter.LabelSelector, item.Labels)
}

// adoptSandbox takes up a pod sandbox from an earlier server; half-made ones it clears away.
func (s *Server) adoptSandbox(id string) error {
	b := newSandbox(s.directory.Sandbox(id))
	if there, err := adopt(b.folder, sandboxFile, &b.record); !there {
		return err
	}
	if b.record.Stopped {
		close(b.closed)
	}
	s.sandboxes[id] = b
	if b.state() != runtime.PodSandboxState_SANDBOX_READY {
		// The next pod may get the address: this one must not give it back when it is stopped.
		b.record.Address = netip.Addr{}
	}
	if b.record.Address.IsValid() {
		s.pool.Keep(b.record.Address)
	}
	return nil
}
