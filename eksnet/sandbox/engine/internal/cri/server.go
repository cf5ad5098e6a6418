// Package cri is a container runtime behind the kubelet's Container Runtime Interface: a pod is a
// group of processes in namespaces, an image an entry in a table.
package cri

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/cri/streaming"

	"eksnet.dev/engine/internal/images"
	"eksnet.dev/engine/internal/podnet"
	"eksnet.dev/engine/internal/state"
)

// Options are what a server is started with.
type Options struct {
	// Directory holds its records, Socket serves the kubelet.
	Directory string
	Socket    string
	// Images is the path of the table of images.
	Images string
	// PodCIDR is where pods get their addresses.
	PodCIDR netip.Prefix
	// Stream is the address that serves exec, attach and port-forward.
	Stream string
}

// maxMessage is the kubelet's own limit.
const maxMessage = 16 << 20

// Server implements the runtime and the image service.
type Server struct {
	runtime.UnimplementedRuntimeServiceServer
	runtime.UnimplementedImageServiceServer

	directory *state.Directory
	images    *imageStore
	streams   streaming.Server
	stream    net.Listener

	// mu guards the maps and the pool; sandboxes and containers have locks of their own.
	mu         sync.Mutex
	pool       *podnet.Pool
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// NewServer opens the directory and takes up what still lives from before.
func NewServer(options Options) (*Server, error) {
	table, err := images.Load(options.Images)
	if err != nil {
		return nil, err
	}
	pool, err := podnet.NewPool(options.PodCIDR)
	if err != nil {
		return nil, err
	}
	directory, err := state.Open(options.Directory)
	if err != nil {
		return nil, err
	}
	store, err := openImages(table, filepath.Join(options.Directory, "pulled.json"))
	if err != nil {
		return nil, err
	}
	s := &Server{
		directory: directory, images: store, pool: pool,
		sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
	if err := s.listenStreams(options.Stream); err != nil {
		return nil, err
	}
	return s, s.adopt()
}

func (s *Server) listenStreams(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	config := streaming.DefaultConfig
	config.Addr = listener.Addr().String()
	s.stream = listener
	s.streams, err = streaming.NewServer(config, streamRuntime{s})
	return err
}

// Serve answers the kubelet until the context ends. Containers live on.
func (s *Server) Serve(ctx context.Context, socket string) error {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.UnaryInterceptor(logFailures))
	runtime.RegisterRuntimeServiceServer(server, s)
	runtime.RegisterImageServiceServer(server, s)
	web := &http.Server{Handler: s.streams}
	go func() { _ = web.Serve(s.stream) }()
	stop := context.AfterFunc(ctx, func() {
		server.Stop()
		web.Close()
	})
	defer stop()
	err = server.Serve(listener)
	if ctx.Err() != nil {
		return s.directory.Close()
	}
	return err
}

func logFailures(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, request)
	if err != nil && status.Code(err) != codes.NotFound {
		log.Printf("%s: %v", info.FullMethod, err)
	}
	return response, err
}

// Version names the runtime, as `kubectl get nodes -o wide` shows it.
func (s *Server) Version(context.Context, *runtime.VersionRequest) (*runtime.VersionResponse, error) {
	return &runtime.VersionResponse{Version: "0.1.0", RuntimeName: "eksnet", RuntimeVersion: "0.1.0", RuntimeApiVersion: "v1"}, nil
}

// Status says that the runtime and its network are ready: it does not answer before they are.
func (s *Server) Status(context.Context, *runtime.StatusRequest) (*runtime.StatusResponse, error) {
	return &runtime.StatusResponse{
		Status: &runtime.RuntimeStatus{Conditions: []*runtime.RuntimeCondition{
			{Type: runtime.RuntimeReady, Status: true},
			{Type: runtime.NetworkReady, Status: true},
		}},
		RuntimeHandlers: []*runtime.RuntimeHandler{{Features: &runtime.RuntimeHandlerFeatures{}}},
	}, nil
}

// RuntimeConfig names a cgroup driver because the kubelet wants one; there are no cgroups.
func (s *Server) RuntimeConfig(context.Context, *runtime.RuntimeConfigRequest) (*runtime.RuntimeConfigResponse, error) {
	return &runtime.RuntimeConfigResponse{
		Linux: &runtime.LinuxRuntimeConfiguration{CgroupDriver: runtime.CgroupDriver_CGROUPFS},
	}, nil
}

// UpdateRuntimeConfig takes the node's pod CIDR, which the command line has told already.
func (s *Server) UpdateRuntimeConfig(context.Context, *runtime.UpdateRuntimeConfigRequest) (*runtime.UpdateRuntimeConfigResponse, error) {
	return &runtime.UpdateRuntimeConfigResponse{}, nil
}

// UpdateContainerResources accepts new limits, which are not enforced, as the first ones are not.
func (s *Server) UpdateContainerResources(context.Context, *runtime.UpdateContainerResourcesRequest) (*runtime.UpdateContainerResourcesResponse, error) {
	return &runtime.UpdateContainerResourcesResponse{}, nil
}

// UpdatePodSandboxResources accepts new limits, which are not enforced.
func (s *Server) UpdatePodSandboxResources(context.Context, *runtime.UpdatePodSandboxResourcesRequest) (*runtime.UpdatePodSandboxResourcesResponse, error) {
	return &runtime.UpdatePodSandboxResourcesResponse{}, nil
}

func (s *Server) sandbox(id string) (*sandbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.sandboxes[id]; found != nil {
		return found, nil
	}
	return nil, status.Errorf(codes.NotFound, "no pod sandbox %s", id)
}

func (s *Server) container(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.containers[id]; found != nil {
		return found, nil
	}
	return nil, status.Errorf(codes.NotFound, "no container %s", id)
}

func (s *Server) containersOf(sandboxID string) []*container {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*container
	for _, container := range s.containers {
		if container.record.Sandbox == sandboxID {
			all = append(all, container)
		}
	}
	return all
}

// matches tells whether labels have everything that a selector asks for.
func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// adopt takes up the sandboxes and containers that an earlier server left.
func (s *Server) adopt() error {
	ids, err := s.directory.Sandboxes()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.adoptSandbox(id); err != nil {
			return fmt.Errorf("pod sandbox %s: %w", id, err)
		}
	}
	ids, err = s.directory.Containers()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.adoptContainer(id); err != nil {
			return fmt.Errorf("container %s: %w", id, err)
		}
	}
	return nil
}
