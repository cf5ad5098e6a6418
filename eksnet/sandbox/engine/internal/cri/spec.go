package cri

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/launch"
	"eksnet.dev/engine/internal/rootfs"
	"eksnet.dev/engine/internal/shim"
)

// shimConfig translates a container as the CRI describes it into what its shim must do.
func (s *Server) shimConfig(c *container) (shim.Config, error) {
	config := c.record.Config
	root, err := c.rootSpec()
	if err != nil {
		return shim.Config{}, err
	}
	program := c.program()
	program.Args = c.record.Image.Arguments(config.Command, config.Args)
	program.Directory = config.WorkingDir
	program.Terminal = config.Tty
	join, fresh, err := s.namespaces(c)
	return shim.Config{
		Root: root, Program: program, Join: join, Fresh: fresh,
		LogPath: c.record.LogPath, Stdin: config.Stdin, StdinOnce: config.StdinOnce,
	}, err
}

func (c *container) rootSpec() (rootfs.Spec, error) {
	config, image, security := c.record.Config, c.record.Image, c.security()
	spec := rootfs.Spec{
		Root:  filepath.Join(c.folder, rootFolder),
		Base:  image.Base,
		Binds: image.Binds,
		Files: map[string]string{
			"/etc/resolv.conf": filepath.Join(c.sandbox.folder, resolvFile),
			"/etc/hostname":    filepath.Join(c.sandbox.folder, hostnameFile),
		},
		ReadOnly:      security.GetReadonlyRootfs(),
		Privileged:    security.GetPrivileged(),
		MaskedPaths:   security.GetMaskedPaths(),
		ReadOnlyPaths: security.GetReadonlyPaths(),
	}
	for _, mount := range config.Mounts {
		if err := ensureSource(mount.HostPath); err != nil {
			return spec, err
		}
		spec.Mounts = append(spec.Mounts, rootfs.Mount{
			Source: mount.HostPath, Target: mount.ContainerPath, ReadOnly: mount.Readonly,
		})
	}
	return spec, nil
}

// supportedContainer refuses what would not be there once the container runs. Said before it is made:
// then its pod waits with this reason, and does not crash over and over.
func supportedContainer(config *runtime.ContainerConfig) error {
	for _, mount := range config.Mounts {
		if image := mount.GetImage().GetImage(); image != "" {
			return status.Errorf(codes.Unimplemented,
				"%s: the sandbox's nodes mount no image as a volume, and so not %s", mount.ContainerPath, image)
		}
	}
	return nil
}

// ensureSource makes a directory of what a hostPath volume names and the node does not have, as
// containerd does, which EKS's nodes run.
func ensureSource(path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(path, 0o755)
	}
	return err
}

func (c *container) security() *runtime.LinuxContainerSecurityContext {
	return c.record.Config.GetLinux().GetSecurityContext()
}

// program is what all processes of a container have in common: environment and user.
func (c *container) program() launch.Program {
	security := c.security()
	program := launch.Program{
		Env:             c.environment(),
		User:            security.GetRunAsUsername(),
		NoNewPrivileges: security.GetNoNewPrivs(),
		Capabilities:    capabilities(security),
		OOMScore:        int(c.record.Config.GetLinux().GetResources().GetOomScoreAdj()),
	}
	if user := security.GetRunAsUser(); user != nil {
		program.UID = new(int)
		*program.UID = int(user.Value)
	}
	if group := security.GetRunAsGroup(); group != nil {
		program.GID = new(int)
		*program.GID = int(group.Value)
	}
	for _, group := range security.GetSupplementalGroups() {
		program.Groups = append(program.Groups, int(group))
	}
	return program
}

func capabilities(security *runtime.LinuxContainerSecurityContext) launch.Capabilities {
	if security.GetPrivileged() {
		return launch.AllCapabilities
	}
	asked := security.GetCapabilities()
	return launch.ChooseCapabilities(asked.GetAddCapabilities(), asked.GetDropCapabilities())
}

// environment puts what is more particular behind what it overrides: runtime, image, pod.
func (c *container) environment() []string {
	variables := []string{"PATH=" + launch.DefaultPath, "HOME=/root"}
	if hostname, err := os.ReadFile(filepath.Join(c.sandbox.folder, hostnameFile)); err == nil {
		variables = append(variables, "HOSTNAME="+strings.TrimSpace(string(hostname)))
	}
	if c.record.Config.Tty {
		variables = append(variables, "TERM=xterm")
	}
	variables = append(variables, c.record.Image.Env...)
	for _, variable := range c.record.Config.Envs {
		variables = append(variables, variable.Key+"="+variable.Value)
	}
	return lastOfEach(variables)
}

// lastOfEach drops variables that are set again later, and keeps the order of the others.
func lastOfEach(variables []string) []string {
	last := map[string]int{}
	for i, variable := range variables {
		name, _, _ := strings.Cut(variable, "=")
		last[name] = i
	}
	kept := make([]string, 0, len(last))
	for i, variable := range variables {
		name, _, _ := strings.Cut(variable, "=")
		if last[name] == i {
			kept = append(kept, variable)
		}
	}
	return kept
}

// namespaces returns the namespaces that a container joins, and the flags of its new ones.
func (s *Server) namespaces(c *container) (join []string, fresh uintptr, err error) {
	b := c.sandbox
	if b.state() != runtime.PodSandboxState_SANDBOX_READY {
		return nil, 0, status.Errorf(codes.FailedPrecondition, "pod sandbox %s is not ready", b.record.ID)
	}
	holder := b.record.Holder
	join = []string{holder.Namespace("net"), holder.Namespace("uts"), holder.Namespace("ipc")}
	options := c.security().GetNamespaceOptions()
	switch options.GetPid() {
	case runtime.NamespaceMode_CONTAINER:
		fresh = unix.CLONE_NEWPID
	case runtime.NamespaceMode_POD:
		join = append(join, holder.Namespace("pid"))
	case runtime.NamespaceMode_TARGET:
		target, err := s.container(options.GetTargetId())
		if err != nil {
			return nil, 0, err
		}
		started, err := target.running()
		if err != nil {
			return nil, 0, err
		}
		join = append(join, started.Process.Namespace("pid"))
	}
	return join, fresh, nil
}
