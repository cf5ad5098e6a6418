package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// server answers /healthz with 500 until it was asked that many times.
func server(t *testing.T, unhealthy int) (*rest.Config, *int) {
	asked := 0
	started := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/healthz" {
			t.Errorf("asked for %s", request.URL.Path)
		}
		asked++
		if asked <= unhealthy {
			answer.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(started.Close)
	return &rest.Config{Host: started.URL}, &asked
}

func TestAPIServerIsAskedUntilItIsHealthy(t *testing.T) {
	config, asked := server(t, 3)
	if err := awaitHealthy(context.Background(), config); err != nil || *asked != 4 {
		t.Errorf("error: %v after %d questions; expected none after 4", err, *asked)
	}
}

func TestWaitingForHealthCanBeGivenUp(t *testing.T) {
	config, asked := server(t, 1000)
	ctx, giveUp := context.WithCancel(context.Background())
	giveUp()
	if err := awaitHealthy(ctx, config); err == nil || *asked > 1 {
		t.Errorf("error: %v after %d questions", err, *asked)
	}
}

func TestControllerManagerHasUpstreamsFlags(t *testing.T) {
	ours, theirs := newControllerManager().Flags(), controllermanager.NewControllerManagerCommand().Flags()
	if !ours.HasFlags() || ours.FlagUsages() != theirs.FlagUsages() {
		t.Errorf("flags\n%s; expected\n%s", ours.FlagUsages(), theirs.FlagUsages())
	}
}

func TestControllerManagerRefusesWhatUpstreamsDoes(t *testing.T) {
	// A program does so once, a test several times.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	for flag, want := range map[string]string{
		"--no-such-flag":                   "unknown flag",
		"--controllers=no-such-controller": "not in the list of known controllers",
		"--kubeconfig=/no/such/kubeconfig": "no such file",
	} {
		command := newControllerManager()
		command.SetArgs([]string{flag})
		command.SilenceErrors, command.SilenceUsage = true, true
		if err := command.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; expected %q", flag, err, want)
		}
	}
}
