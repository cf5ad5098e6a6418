package main

import (
	"slices"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		call []string
		name string
		args []string
	}{
		{[]string{"/usr/bin/kube-proxy", "--v=2"}, "kube-proxy", []string{"--v=2"}},
		{[]string{"kube", "kubelet", "--config=x"}, "kubelet", []string{"--config=x"}},
		{[]string{"kube", "kubectl"}, "kubectl", nil},
		{[]string{"kube"}, "", nil},
	} {
		name, args := choose(c.call)
		if name != c.name || !slices.Equal(args, c.args) {
			t.Errorf("choose(%v) = %q, %v; want %q, %v", c.call, name, args, c.name, c.args)
		}
	}
}
