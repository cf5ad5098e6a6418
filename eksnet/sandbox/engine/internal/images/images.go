// Package images is the sandbox's registry: a table that says which of the node's files make up
// an image. Nothing is downloaded.
package images

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// Image is one entry of the table.
type Image struct {
	// Match is the last part of the repository, as in `eks/coredns:v1.12.4` the `coredns`; registry,
	// tag and digest play no part.
	Match string `json:"match"`
	// Version is what the node's program really is, whatever tag was asked for.
	Version string `json:"version"`
	// Base is "host" for the node's own /usr, or empty for nothing but the binds.
	Base string `json:"base"`
	// Binds maps paths in the image to files or directories of the node.
	Binds map[string]string `json:"binds"`
	// Remedy says what to do when a file of the node that Binds names is not there.
	Remedy string `json:"remedy"`
	// User is the id that its containers run as when their pod names none; without it, root.
	User *int64 `json:"user"`
	// Entrypoint, Command and Env are what an image's configuration says.
	Entrypoint []string `json:"entrypoint"`
	Command    []string `json:"cmd"`
	Env        []string `json:"env"`
}

// ID names the image's content, as a digest does for a downloaded one.
func (i Image) ID() string { return "sandbox/" + i.Match + "@" + i.Version }

// Arguments joins a container's command and arguments with the image's own, as Kubernetes does:
// a command replaces both, arguments replace the image's command.
func (i Image) Arguments(command, args []string) []string {
	switch {
	case len(command) > 0:
		return slices.Concat(command, args)
	case len(args) > 0:
		return slices.Concat(i.Entrypoint, args)
	default:
		return slices.Concat(i.Entrypoint, i.Command)
	}
}

// Missing returns a file of the node that the image is made of and that is not there, or nothing.
func (i Image) Missing() string {
	for _, source := range i.Binds {
		if _, err := os.Stat(source); err != nil {
			return source
		}
	}
	return ""
}

// Table is all images that the sandbox knows.
type Table []Image

// Load reads a table from a JSON file.
func Load(file string) (Table, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var table Table
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for _, image := range table {
		if err := image.check(); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	return table, nil
}

func (i Image) check() error {
	if i.Match == "" {
		return fmt.Errorf("an image without `match`: %+v", i)
	}
	if i.Base != "" && i.Base != "host" {
		return fmt.Errorf("image %s: base is %q; expected \"host\" or nothing", i.Match, i.Base)
	}
	return nil
}

// Find returns the image that a reference means.
func (t Table) Find(reference string) (Image, bool) {
	name := Name(reference)
	for _, image := range t {
		if image.Match == name || image.ID() == reference {
			return image, true
		}
	}
	return Image{}, false
}

// Names returns the names of all images, sorted.
func (t Table) Names() []string {
	all := make([]string, 0, len(t))
	for _, image := range t {
		all = append(all, image.Match)
	}
	slices.Sort(all)
	return all
}

// Name returns the last part of a reference's repository, without registry, tag and digest.
func Name(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name, _, _ := strings.Cut(path.Base(reference), ":")
	return name
}
