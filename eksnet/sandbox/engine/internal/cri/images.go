package cri

import (
	"context"
	"errors"
	"io/fs"
	"log"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"eksnet.dev/engine/internal/images"
	"eksnet.dev/engine/internal/state"
)

// imageStore is the table of images and the names under which some were pulled.
type imageStore struct {
	table images.Table
	file  string

	mu     sync.Mutex
	pulled []string
}

func openImages(table images.Table, file string) (*imageStore, error) {
	store := &imageStore{table: table, file: file}
	err := state.Read(file, &store.pulled)
	if errors.Is(err, state.ErrDamaged) {
		log.Print(err) // what is needed is pulled again
		store.pulled = nil
		err = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return store, err
}

// find returns the first image that one of the references means.
func (s *imageStore) find(references ...string) (images.Image, error) {
	for _, reference := range references {
		if image, found := s.table.Find(reference); found {
			return image, nil
		}
	}
	return images.Image{}, status.Errorf(codes.NotFound,
		"image %q is not known here: this sandbox downloads nothing; it knows %s",
		references[0], strings.Join(s.table.Names(), ", "))
}

func (s *imageStore) pull(reference string) (images.Image, error) {
	image, err := s.find(reference)
	if err != nil {
		return image, err
	}
	if missing := image.Missing(); missing != "" {
		return image, status.Errorf(codes.Unavailable,
			"image %q cannot be used yet: %s is not built; %s", reference, path.Base(missing), image.Remedy)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.pulled, reference) {
		return image, nil
	}
	s.pulled = append(s.pulled, reference)
	return image, state.Write(s.file, s.pulled)
}

// names returns the names under which an image was pulled.
func (s *imageStore) names(image images.Image) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, reference := range s.pulled {
		if found, ok := s.table.Find(reference); ok && found.Match == image.Match {
			names = append(names, reference)
		}
	}
	return names
}

// remove forgets a name, or all names of an image whose id is given.
func (s *imageStore) remove(reference string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulled = slices.DeleteFunc(s.pulled, func(name string) bool {
		image, found := s.table.Find(name)
		return name == reference || found && image.ID() == reference
	})
	return state.Write(s.file, s.pulled)
}

// described is an image as the CRI shows it. Its size is that of no download. The kubelet holds its
// user against runAsNonRoot, and runs containers as it whose pod names no user.
func described(image images.Image, names []string) *runtime.Image {
	shown := &runtime.Image{Id: image.ID(), RepoTags: names, Size: 1, Spec: &runtime.ImageSpec{Image: image.ID()}}
	if image.User != nil {
		shown.Uid = &runtime.Int64Value{Value: *image.User}
	}
	return shown
}

// PullImage makes a known image available; of an unknown one it says which are known.
func (s *Server) PullImage(_ context.Context, request *runtime.PullImageRequest) (*runtime.PullImageResponse, error) {
	image, err := s.images.pull(request.GetImage().GetImage())
	if err != nil {
		return nil, err
	}
	return &runtime.PullImageResponse{ImageRef: image.ID()}, nil
}

// ImageStatus describes an image that was pulled, and answers nothing for any other.
func (s *Server) ImageStatus(_ context.Context, request *runtime.ImageStatusRequest) (*runtime.ImageStatusResponse, error) {
	reference := request.GetImage().GetImage()
	image, found := s.images.table.Find(reference)
	if !found {
		return &runtime.ImageStatusResponse{}, nil
	}
	names := s.images.names(image)
	if len(names) == 0 || reference != image.ID() && !slices.Contains(names, reference) {
		return &runtime.ImageStatusResponse{}, nil
	}
	return &runtime.ImageStatusResponse{Image: described(image, names)}, nil
}

// ListImages lists the images that were pulled.
func (s *Server) ListImages(_ context.Context, request *runtime.ListImagesRequest) (*runtime.ListImagesResponse, error) {
	wanted := request.GetFilter().GetImage().GetImage()
	response := &runtime.ListImagesResponse{}
	for _, image := range s.images.table {
		names := s.images.names(image)
		if len(names) > 0 && (wanted == "" || slices.Contains(names, wanted)) {
			response.Images = append(response.Images, described(image, names))
		}
	}
	return response, nil
}

// RemoveImage forgets an image. Removing what is not there is no error.
func (s *Server) RemoveImage(_ context.Context, request *runtime.RemoveImageRequest) (*runtime.RemoveImageResponse, error) {
	return &runtime.RemoveImageResponse{}, s.images.remove(request.GetImage().GetImage())
}

// ImageFsInfo names the directory that containers write to.
func (s *Server) ImageFsInfo(context.Context, *runtime.ImageFsInfoRequest) (*runtime.ImageFsInfoResponse, error) {
	usage := []*runtime.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &runtime.FilesystemIdentifier{Mountpoint: s.directory.Path()},
		UsedBytes:  &runtime.UInt64Value{Value: uint64(os.Getpagesize())},
		InodesUsed: &runtime.UInt64Value{Value: 1},
	}}
	return &runtime.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}
