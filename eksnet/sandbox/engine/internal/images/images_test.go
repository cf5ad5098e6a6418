package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for reference, want := range map[string]string{
		"busybox":                             "busybox",
		"busybox:1.36":                        "busybox",
		"docker.io/library/busybox@sha256:00": "busybox",
		"localhost:5000/busybox":              "busybox",
		"602401143452.dkr.ecr.ap-northeast-2.amazonaws.com/eks/coredns:v1@sha256:00": "coredns",
	} {
		if got := Name(reference); got != want {
			t.Errorf("Name(%q) = %q; expected %q", reference, got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	image := Image{Entrypoint: []string{"/entry"}, Command: []string{"default"}}
	for _, c := range []struct{ command, args, want []string }{
		{nil, nil, []string{"/entry", "default"}},
		{nil, []string{"a"}, []string{"/entry", "a"}},
		{[]string{"c"}, nil, []string{"c"}},
		{[]string{"c"}, []string{"a"}, []string{"c", "a"}},
	} {
		if got := image.Arguments(c.command, c.args); !slices.Equal(got, c.want) {
			t.Errorf("Arguments(%q, %q) = %q; expected %q", c.command, c.args, got, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	table := Table{{Match: "coredns", Version: "1"}, {Match: "busybox", Version: "2"}}
	if image, found := table.Find("registry/busybox:9"); !found || image.Match != "busybox" {
		t.Errorf("found %v %v", image, found)
	}
	if image, found := table.Find("sandbox/coredns@1"); !found || image.Match != "coredns" {
		t.Errorf("by its id: %v %v", image, found)
	}
	if _, found := table.Find("nginx"); found {
		t.Error("found what is not there")
	}
	if got := table.Names(); !slices.Equal(got, []string{"busybox", "coredns"}) {
		t.Errorf("names %q", got)
	}
}

func TestMissing(t *testing.T) {
	there := filepath.Join(t.TempDir(), "program")
	image := Image{Binds: map[string]string{"/program": there}}
	if got := image.Missing(); got != there {
		t.Errorf("missing %q; expected %q", got, there)
	}
	if err := os.WriteFile(there, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := image.Missing(); got != "" {
		t.Errorf("missing %q, which is there", got)
	}
}

func TestLoadRefusesABadTable(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                              "unexpected end",
		`[{"version": "1"}]`:             "without `match`",
		`[{"match": "a", "base": "cd"}]`: `base is "cd"`,
	} {
		file := filepath.Join(t.TempDir(), "images.json")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; expected %q", text, err, want)
		}
	}
}

func TestTheSandboxesOwnTable(t *testing.T) {
	table, err := Load("../../../images.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"agnhost", "alpine", "amazon-k8s-cni", "aws-load-balancer-controller", "busybox", "coredns", "debian", "kube-proxy", "pause", "ubuntu"}
	if got := table.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q; expected %q", got, want)
	}
	for _, image := range table {
		if len(image.Arguments(nil, nil)) == 0 {
			t.Errorf("image %s runs nothing", image.Match)
		}
	}
}
